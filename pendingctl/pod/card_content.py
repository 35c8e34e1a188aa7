"""What a card shows, decided from what the question's row holds. Pure."""

from __future__ import annotations

from datetime import datetime

from ..leased import RetiredCard
from ..model import Outcome
from ..payload import JsonObject, conversation_of, question_options, question_text
from ..platforms import Card, Sentence, Shows, Wording, answered


def card_of(
    question_id: str,
    ask_number: int,
    payload: JsonObject,
    user_id: str,
    *,
    wording: Wording,
    outcome: Outcome | None = None,
    is_stale: bool = False,
    answered_by: str | None = None,
    answer: str | None = None,
    ended_at: datetime | None = None,
    organization_id: str = "",
) -> Card:
    """Return what the card of a row's present asking shows.

    `outcome` is None while the question is open: its card then has the options as buttons, and if it `is_stale` says
    that it will be removed. Of what is known of an ending, that is used which belongs to the outcome.
    """
    options: tuple[str, ...] = ()
    said = None
    if outcome is not None:
        shows, said = _ending(outcome, answered_by, answer, ended_at, wording)
    else:
        options = question_options(payload)
        shows = Shows.STALE if is_stale else Shows.PENDING
        said = Sentence(words=wording.card_stale) if is_stale else None
    text = question_text(payload) or ""
    conversation_id = conversation_of(payload)
    return Card(question_id, ask_number, conversation_id, text, options, shows, user_id, said, organization_id)


def retired_card_of(
    question_id: str, user_id: str, retired: RetiredCard, *, wording: Wording, organization_id: str = ""
) -> Card:
    """Return what the card of an earlier asking shows: how that ended, or that the question has changed since."""
    try:
        outcome = Outcome(retired.ending)
    except ValueError:
        shows, said = Shows.CHANGED, Sentence(words=wording.card_changed)
    else:
        shows, said = _ending(outcome, retired.answered_by, retired.answer, retired.at, wording)
    return Card(question_id, retired.ask_number, "", retired.text or "", (), shows, user_id, said, organization_id)


def _ending(
    outcome: Outcome, by: str | None, value: str | None, at: datetime | None, wording: Wording
) -> tuple[Shows, Sentence]:
    match outcome:
        case Outcome.ANSWERED:
            return Shows.ANSWERED, answered(wording.card_answered, by, value, at)
        case Outcome.DEFAULTED:
            return Shows.DEFAULTED, Sentence(words=wording.card_defaulted, value=value, at=at)
        case Outcome.EXPIRED:
            return Shows.EXPIRED, Sentence(words=wording.card_expired, at=at)
        case Outcome.WITHDRAWN:
            return Shows.WITHDRAWN, Sentence(words=wording.card_withdrawn, at=at)
