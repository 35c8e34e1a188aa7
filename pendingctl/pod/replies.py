"""The words that a person reads: the reply to a click, and what a card says when its buttons are gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from ..model import Outcome, Refusal, RefusalReason


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
    text: str


CANNOT_SERVE = Reply(ReplyKind.CANNOT_SERVE, "This cannot be served here right now, please try again.")
_NOT_YOURS = Reply(ReplyKind.NOT_YOURS, "This question is for somebody else.")
_WITHDRAWN = Reply(ReplyKind.WITHDRAWN, "This question was withdrawn.")
_EXPIRED = Reply(ReplyKind.EXPIRED, "This question has expired: nobody answered it in time.")
_SUPERSEDED = Reply(ReplyKind.SUPERSEDED, "This question has changed; answer the newer card.")
_UNKNOWN_OR_EXPIRED = Reply(ReplyKind.UNKNOWN_OR_EXPIRED, "This question is unknown or has expired.")


def reply_to_refusal(refusal: Refusal) -> Reply:
    """Return the reply to a click that did not win."""
    match refusal.reason:
        case RefusalReason.NOT_YOURS:
            return _NOT_YOURS
        case RefusalReason.INVALID_ANSWER:
            options = f": {', '.join(refusal.options)}" if refusal.options else ""
            return Reply(ReplyKind.INVALID_ANSWER, f"That is not one of the options{options}.")
        case RefusalReason.WITHDRAWN:
            return _WITHDRAWN
        case RefusalReason.EXPIRED:
            return _EXPIRED
        case RefusalReason.SUPERSEDED:
            return _SUPERSEDED
        case RefusalReason.OTHER_APPLICATION:
            return CANNOT_SERVE
        case RefusalReason.UNKNOWN_OR_EXPIRED:
            return _UNKNOWN_OR_EXPIRED
        case RefusalReason.ALREADY_ANSWERED:
            said = answered(refusal.answered_by, refusal.answer, refusal.claimed_at)
            return Reply(ReplyKind.ALREADY_ANSWERED, f"Already {said[0].lower()}{said[1:]}")


def ending_text(outcome: Outcome, by: str | None, value: str | None, at: datetime | None) -> str:
    """Say in one line how a question has ended, as far as that is known."""
    match outcome:
        case Outcome.ANSWERED:
            return answered(by, value, at)
        case Outcome.DEFAULTED:
            return f"Nobody answered in time; the answer is {value}{at_time(at)}"
        case Outcome.EXPIRED:
            return f"Expired{at_time(at)}: nobody answered in time."
        case Outcome.WITHDRAWN:
            return f"Withdrawn{at_time(at)}"


def answered(by: str | None, value: str | None, at: datetime | None) -> str:
    """Say in one line who answered what and when, as far as it is known."""
    words = "Answered" + (f" by {by}" if by else "") + (f": {value}" if value is not None else "")
    return words + at_time(at)


def card_text(question: str | None, said: str) -> str:
    """Return what a card says when its buttons are gone."""
    return f"{question or ''}\n{said}".strip()


def at_time(at: datetime | None) -> str:
    """Return when something was, for the end of a sentence; empty where that is not known."""
    return f" ({at.astimezone(UTC).isoformat(' ', 'minutes')[:16]} UTC)" if at else ""
