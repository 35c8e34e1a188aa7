"""What a pod has leased, and what it notes of it, as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from .model import Answer, Outcome
from .payload import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedAnswer:
    """An answer that this pod may deliver, and mark by its `token`, until its lease ends; `attempt` counts from 1."""

    answer: Answer
    token: UUID
    attempt: int
    leased_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedCard:
    """A card was posted. `card` is the platform's reference as JSON text, None if it cannot be written as JSON."""

    question_id: str
    ask_number: int
    card: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditedCard:
    """A card was edited, as a PostedCard, to show how its question ended at `claimed_at`; None if it went stale.

    `attempts` are those of the LeasedCard, and 0 for a click's own edit: a note counts for nothing but its own lease.
    `gone` is why it was not, and never will be: the platform says that the card is gone.
    """

    question_id: str
    ask_number: int
    card: str | None
    claimed_at: datetime | None
    attempts: int
    gone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """An answer that was leased and cannot be delivered, since its row's payload cannot be read: `reason` says why."""

    question_id: str
    ask_number: int
    organization_id: str
    token: UUID
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredCard:
    """The card of an earlier asking under the same id, which still has its buttons.

    `ending` is an outcome or `superseded`; the last three fields are known for one that has an answer.
    """

    ask_number: int
    card: JsonValue
    text: str | None
    ending: str
    answer: str | None
    answered_by: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedCard:
    """A row whose cards show less than it holds, which this pod may edit until the lease runs out.

    `claimed_at` and `outcome` are None for an open question, whose card is out of date if it `is_stale`. `payload` is
    the part of the row's that the card shows, `{"question": {…}}`, and empty where it cannot be read.
    """

    question_id: str
    ask_number: int
    organization_id: str
    connection_id: str
    user_id: str
    card: JsonValue
    payload: JsonObject
    answer: str | None
    answered_by: str
    claimed_at: datetime | None
    outcome: Outcome | None
    is_stale: bool
    attempts: int
    retired: tuple[RetiredCard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedEvents:
    """What is still to be appended of one asking to its stream: `asking` is that as JSON text, just as the row has it.

    Fields: stream, ask_number, text and posted_at (null where the card is not known to be there, or was appended
    before), outcome (null while it is open), answer, answered_by and ended_at. `attempts` counts from 1.
    """

    question_id: str
    organization_id: str
    attempts: int
    asking: str


class Duty(StrEnum):
    """What is to be posted of a question."""

    CARD = "card"
    REMINDER = "reminder"
    ESCALATION = "escalation"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedPost:
    """Something that this pod may post: a card until the lease runs out, a reminder or an escalation once.

    `attempt` counts from 1. `is_in_doubt` says that an attempt before may have posted the card. `card` is the
    platform's reference of the card, None while that is to be posted. `escalated_to` may answer by now as well.
    """

    question_id: str
    ask_number: int
    organization_id: str
    connection_id: str
    user_id: str
    payload: JsonObject
    duty: Duty
    card: JsonValue
    attempt: int
    is_in_doubt: bool
    escalated_to: str | None
    expires_at: datetime | None
