"""What a click is answered: its kind, and the sentence that the person reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..model import Refusal, RefusalReason
from ..platforms import Sentence, Wording, answered


class ReplyKind(StrEnum):
    """What a click is answered with."""

    ANSWERED = "answered"
    ALREADY_ANSWERED = "already_answered"
    NOT_YOURS = "not_yours"
    INVALID_ANSWER = "invalid_answer"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    UNKNOWN_OR_EXPIRED = "unknown_or_expired"
    CANNOT_SERVE = "cannot_serve"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a click, and the same as a sentence for the person."""

    kind: ReplyKind
    said: Sentence

    @property
    def text(self) -> str:
        """The sentence as plain text, with ids as they are and times in UTC."""
        return self.said.text()


def cannot_serve(wording: Wording) -> Reply:
    """Return the reply to a click that this pod cannot decide now."""
    return Reply(ReplyKind.CANNOT_SERVE, Sentence(words=wording.reply_cannot_serve))


def reply_to_win(value: str | None, wording: Wording) -> Reply:
    """Return the reply to the click that won."""
    words = wording.reply_answered_without_value if value is None else wording.reply_answered
    return Reply(ReplyKind.ANSWERED, Sentence(words=words, value=value))


def reply_to_refusal(refusal: Refusal, wording: Wording) -> Reply:
    """Return the reply to a click that did not win."""
    match refusal.reason:
        case RefusalReason.ALREADY_ANSWERED:
            words = wording.reply_already_answered
            said = answered(words, refusal.answered_by, refusal.answer, refusal.claimed_at)
            return Reply(ReplyKind.ALREADY_ANSWERED, said)
        case RefusalReason.NOT_YOURS:
            return Reply(ReplyKind.NOT_YOURS, Sentence(words=wording.reply_not_yours))
        case RefusalReason.INVALID_ANSWER:
            said = Sentence(words=wording.reply_invalid_answer, options=refusal.options)
            return Reply(ReplyKind.INVALID_ANSWER, said)
        case RefusalReason.WITHDRAWN:
            return Reply(ReplyKind.WITHDRAWN, Sentence(words=wording.reply_withdrawn))
        case RefusalReason.EXPIRED:
            return Reply(ReplyKind.EXPIRED, Sentence(words=wording.reply_expired))
        case RefusalReason.SUPERSEDED:
            return Reply(ReplyKind.SUPERSEDED, Sentence(words=wording.reply_superseded))
        case RefusalReason.OTHER_APPLICATION:
            return cannot_serve(wording)
        case RefusalReason.UNKNOWN_OR_EXPIRED:
            return Reply(ReplyKind.UNKNOWN_OR_EXPIRED, Sentence(words=wording.reply_unknown_or_expired))
