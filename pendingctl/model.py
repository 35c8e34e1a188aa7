"""The words of pendingctl as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import quote
from uuid import UUID

from .errors import InvalidInput

JsonValue: TypeAlias = "None | bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue]"
JsonObject: TypeAlias = Mapping[str, JsonValue]

MAX_ID_CHARACTERS = 255
MAX_PAYLOAD_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Scope:
    """Who may claim a question: one user, over one connection of one organization."""

    organization_id: str
    connection_id: str
    expected_user_id: str

    def __post_init__(self) -> None:
        check_id(self.organization_id, "organization_id")
        check_id(self.connection_id, "connection_id")
        check_id(self.expected_user_id, "expected_user_id")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. No options means that any text is an answer."""

    id: str
    scope: Scope
    text: str
    options: tuple[str, ...] = ()
    conversation_id: str = ""

    def payload(self) -> JsonObject:
        """Return the row's entry_payload: all that routing the answer needs, on any pod."""
        return question_payload(self.text, self.options, {"conversation_id": self.conversation_id})


def question_payload(text: str, options: Sequence[str], details: JsonObject | None = None) -> JsonObject:
    """Return the payload `{"question": {…}}` as the store, the bridge and the command line all write it."""
    return {"question": {**(details or {}), "text": text, "options": list(options)}}


def question_text(payload: JsonObject) -> str | None:
    """Return the question's text, or None for a payload of another shape."""
    text = _question_field(payload, "text")
    return text if isinstance(text, str) else None


def question_options(payload: JsonObject) -> tuple[str, ...]:
    """Return the question's options, none for a payload of another shape."""
    options = _question_field(payload, "options")
    return tuple(map(str, options)) if isinstance(options, list) else ()


def accepts(payload: JsonObject, value: str | None) -> bool:
    """Whether the value is an answer to the question as the claim sees it: one of its options, or any without them."""
    options = _question_field(payload, "options")
    return not isinstance(options, list) or not options or value in options


def conversation_of(payload: JsonObject) -> str:
    """Return the conversation that the question belongs to, empty when the payload names none."""
    conversation = _question_field(payload, "conversation_id")
    return conversation if isinstance(conversation, str) else ""


def _question_field(payload: JsonObject, field: str) -> JsonValue:
    question = payload.get("question")
    return question.get(field) if isinstance(question, Mapping) else None


@dataclass(frozen=True, slots=True)
class Click:
    """One button press as a platform delivers it.

    `delivery_key` is the same when the platform delivers the press again. `ask_number` is the asking that the
    button belongs to; None means whichever is open.
    """

    question_id: str
    organization_id: str
    connection_id: str
    user_id: str
    delivery_key: str
    value: str | None = None
    ask_number: int | None = None

    def __post_init__(self) -> None:
        check_id(self.question_id, "question id")
        check_id(self.organization_id, "organization_id")
        check_id(self.connection_id, "connection_id")
        check_id(self.user_id, "user_id")
        check_id(self.delivery_key, "delivery_key")
        if self.value is not None:
            check_text(self.value, "value")
            if len(self.value.encode()) > MAX_PAYLOAD_BYTES:
                raise InvalidInput(f"the value has over {MAX_PAYLOAD_BYTES:,} bytes")


@dataclass(frozen=True, slots=True)
class Claim:
    """The click won. `repeated` says that this delivery key had won before, and is told so again.

    `lease_token` is given to who claimed with a lease and is to deliver the answer. `card` is the platform's reference
    of the question's card, None where none is known.
    """

    id: str
    ask_number: int
    payload: JsonObject
    claimed_at: datetime
    lease_token: UUID | None = None
    card: JsonValue = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The winning click's value, routed by the question's own user and conversation, never the clicker's."""

    question_id: str
    ask_number: int
    value: str | None
    organization_id: str
    connection_id: str
    user_id: str
    conversation_id: str
    payload: JsonObject
    claimed_at: datetime

    @property
    def idempotency_key(self) -> str:
        """The same for each delivery of this answer, and for no other's: `ID/ASK_NUMBER`, percent-encoded ASCII."""
        return f"{quote(self.question_id, safe='')}/{self.ask_number}"


@dataclass(frozen=True, slots=True)
class LeasedAnswer:
    """An answer that is this pod's to deliver until the lease runs out. `attempt` counts from 1.

    `leased_at` is the database's time. `token` is what `mark_delivered` and `mark_failed` match.
    """

    answer: Answer
    token: UUID
    attempt: int
    leased_at: datetime


@dataclass(frozen=True, slots=True)
class PostedCard:
    """The card of an asking was posted. `card` is the platform's reference as JSON text, if it can be written so."""

    question_id: str
    ask_number: int
    card: str | None


@dataclass(frozen=True, slots=True)
class EditedCard:
    """The card of an asking says what became of it at `claimed_at`; None: that nobody has answered in time."""

    question_id: str
    ask_number: int
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeasedCard:
    """A card that shows less than its row, and is this pod's to edit until the lease runs out.

    `claimed_at` and `withdrawn_at` are None for a question that is stale.
    """

    question_id: str
    ask_number: int
    connection_id: str
    card: JsonValue
    payload: JsonObject
    answer: str | None
    answered_by: str
    claimed_at: datetime | None
    withdrawn_at: datetime | None


class RefusalReason(StrEnum):
    """Why a click did not win."""

    ALREADY_ANSWERED = "already_answered"
    NOT_YOURS = "not_yours"
    INVALID_ANSWER = "invalid_answer"
    WITHDRAWN = "withdrawn"
    UNKNOWN_OR_EXPIRED = "unknown_or_expired"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The click did not win.

    The last three fields are given for `already_answered` alone, and only while the asking that the click
    belongs to is the row's present one.
    """

    id: str
    reason: RefusalReason
    answered_by: str | None = None
    answer: str | None = None
    claimed_at: datetime | None = None


class Withdrawal(StrEnum):
    """What became of a question that was to be withdrawn."""

    WITHDRAWN = "withdrawn"
    ALREADY_WITHDRAWN = "already_withdrawn"
    ALREADY_ANSWERED = "already_answered"
    UNKNOWN = "unknown"


class PutOutcome(StrEnum):
    """What storing a question did."""

    CREATED = "created"
    REFRESHED = "refreshed"
    REOPENED = "reopened"
    ALREADY_ANSWERED = "already_answered"


@dataclass(frozen=True, slots=True)
class Stored:
    """A question as `put` left it. `row_version` changes with every write to the row."""

    id: str
    outcome: PutOutcome
    ask_number: int
    created_at: datetime
    row_version: str


class State(StrEnum):
    """Where a row stands, the first of these that is so.

    Stuck: the answer could not be delivered, and waits for a person. Stale: unclaimed and older than the maximum age.
    """

    STUCK = "stuck"
    UNDELIVERED = "undelivered"
    WITHDRAWN = "withdrawn"
    CLAIMED = "claimed"
    STALE = "stale"
    PENDING = "pending"


# The answer was accepted, and nobody has it yet.
UNDELIVERED = frozenset({State.STUCK, State.UNDELIVERED})


class CardState(StrEnum):
    """What can be wrong with a question's card: it shows less than the row, or nobody knows that it was posted."""

    BEHIND = "behind"
    NEVER_POSTED = "never-posted"


@dataclass(frozen=True, slots=True)
class PendingSummary:
    """One row as a list shows it. Times and ages are the database's."""

    id: str
    organization_id: str
    connection_id: str
    expected_user_id: str
    state: State
    created_at: datetime
    claimed_at: datetime | None
    age_seconds: float
    ask_number: int
    question: str | None

    @property
    def scope(self) -> Scope:
        """Who may claim it."""
        return Scope(self.organization_id, self.connection_id, self.expected_user_id)


@dataclass(frozen=True, slots=True)
class PendingInteraction(PendingSummary):
    """One whole row."""

    payload: JsonObject
    answer: str | None
    delivery_key: str | None
    answered_by: str | None
    pod: str | None
    delivery_attempts: int
    delivery_error: str | None
    delivered_at: datetime | None
    withdrawn_at: datetime | None
    posted_at: datetime | None
    card: JsonValue


@dataclass(frozen=True, slots=True)
class Due:
    """Whether answers wait for their delivery, and cards of the served connections for an edit."""

    answers: bool
    cards: bool


@dataclass(frozen=True, slots=True)
class SweepTurn:
    """Whether the cycle is the caller's, and in how many seconds the next one may begin."""

    is_ours: bool
    next_in_seconds: float


@dataclass(frozen=True, slots=True)
class OrganizationCounts:
    """How many questions of one organization wait for an answer, and how many answers for their delivery."""

    organization_id: str
    pending: int
    stale: int
    undelivered: int
    stuck: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are in each state, and where."""

    pending: int
    claimed: int
    withdrawn: int
    stale: int
    undelivered: int
    stuck: int
    oldest_pending_seconds: float | None
    oldest_undelivered_seconds: float | None
    organizations: tuple[OrganizationCounts, ...]


def check_id(value: str, name: str) -> None:
    """Refuse what cannot be an id: empty, over 255 characters, or text that Postgres cannot hold.

    Raises InvalidInput.
    """
    if not value:
        raise InvalidInput(f"{name} is empty")
    if len(value) > MAX_ID_CHARACTERS:
        raise InvalidInput(f"{name} has {len(value)} characters; at most {MAX_ID_CHARACTERS} are allowed")
    check_text(value, name)


def check_text(value: str, name: str) -> None:
    """Refuse text that Postgres cannot hold: NUL characters and lone surrogates. Raises InvalidInput."""
    if "\0" in value:
        raise InvalidInput(f"{name} holds a NUL character, which Postgres cannot store")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} holds a lone surrogate or broken UTF-8, which Postgres cannot store") from None


def encode_payload(payload: JsonObject, max_bytes: int = MAX_PAYLOAD_BYTES) -> str:
    """Return the payload as JSON text that jsonb takes.

    Raises InvalidInput for a payload that is no JSON object, that is over `max_bytes` bytes of UTF-8, or that
    holds what jsonb cannot: NUL characters, lone surrogates, NaN and Infinity
    (PostgreSQL manual, section 8.14 "JSON Types").
    """
    if not isinstance(payload, Mapping):
        raise InvalidInput("the payload is not a JSON object")
    return encode_json(payload, "the payload", max_bytes)


def encode_json(value: JsonValue, name: str, max_bytes: int = MAX_PAYLOAD_BYTES) -> str:
    """Return a value as JSON text that jsonb takes; `name` is what an error calls it. Raises as `encode_payload`."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} holds a lone surrogate or broken UTF-8") from None
    except RecursionError:
        raise InvalidInput(f"{name} is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be written as JSON: {error}") from None
    if size > max_bytes:
        raise InvalidInput(f"{name} has {size:,} bytes; at most {max_bytes:,} are allowed")
    # Only a text with the escape in it can hold the character; an escaped backslash before u0000 is harmless.
    if "\\u0000" in text and _holds_nul(value):
        raise InvalidInput(f"{name} holds a NUL character, which Postgres cannot store")
    return text


def _holds_nul(payload: JsonValue) -> bool:
    waiting = [payload]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, Mapping):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, Sequence):
            waiting.extend(value)
    return False
