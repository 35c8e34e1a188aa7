"""The words of pendingctl as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import quote
from uuid import UUID

from .errors import InvalidInput
from .payload import (
    MAX_PAYLOAD_BYTES,
    JsonObject,
    JsonValue,
    check_id,
    check_stream_name,
    check_text,
    conversation_of,
    question_payload,
)
from .schedule import Schedule, schedule_parameters

# An ending that is no person's answer waits so long for a worker that hears of it.
ENDINGS_KEPT = timedelta(days=7)
# How many rows a sweep deletes at most, and how many rows one statement writes, unless the caller has other numbers.
SWEEP_LIMIT = 1_000
# A question leaves five entries in the trail when all goes well, so a sweep deletes twice as many for each row that it
# may delete.
TRAIL_ENTRIES_A_ROW = 10
# Where the numbers of askings end (README.md, section "Asking an id again").
MAX_ASK_NUMBER = 2**31 - 1
# Where Postgres's integer ends, by which it counts the elements of an array.
MAX_OPTION = 2**31 - 1
BATCH_SIZE = 1_000


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


class Outcome(StrEnum):
    """How a question has ended: by a click, at its deadline with its default answer or without one, or withdrawn."""

    ANSWERED = "answered"
    DEFAULTED = "defaulted"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


# What a worker hears of unless it names other outcomes: those that have an answer.
ANSWERS = frozenset({Outcome.ANSWERED, Outcome.DEFAULTED})


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. No options means that any text is an answer.

    The six fields from `expires_in` on say what happens to it in time, see `Schedule`. `stream` names the stream of its
    organization to which some pod appends that its card was posted, and how it has ended.

    Raises InvalidInput as `schedule_parameters` does, and for what is no name of a stream.
    """

    id: str
    scope: Scope
    text: str
    options: tuple[str, ...] = ()
    conversation_id: str = ""
    expires_in: timedelta | None = None
    default: str | None = None
    remind_every: timedelta | None = None
    remind_at_most: int | None = None
    escalate_after: timedelta | None = None
    escalate_to: str | None = None
    stream: str | None = None

    def __post_init__(self) -> None:
        if self.stream is not None:
            check_stream_name(self.stream)
        schedule_parameters(
            self.schedule(), self.payload(), self.scope.expected_user_id, show=bool(self.conversation_id)
        )

    def payload(self) -> JsonObject:
        """Return the row's entry_payload: all that routing the answer needs, on any pod."""
        return question_payload(self.text, self.options, {"conversation_id": self.conversation_id})

    def schedule(self) -> Schedule:
        """Return what happens to it in time, as `put` takes it."""
        return {
            "expires_in": self.expires_in,
            "default": self.default,
            "remind_every": self.remind_every,
            "remind_at_most": self.remind_at_most,
            "escalate_after": self.escalate_after,
            "escalate_to": self.escalate_to,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """One button press as a platform delivers it.

    `delivery_key` is the same when the platform delivers the press again. `ask_number` is the number on the card
    whose button was pressed; None means whichever asking is open.

    The answer is the `value`, or the `option` at this place, from 0, among those of the asking that the card showed:
    which one that is the claim looks up in the row that it claims. An option needs its `ask_number`.

    Raises InvalidInput for what no button can have carried.
    """

    question_id: str
    organization_id: str
    connection_id: str
    user_id: str
    delivery_key: str
    value: str | None = None
    ask_number: int | None = None
    option: int | None = None

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
        if self.option is not None:
            if self.value is not None:
                raise InvalidInput("the click has a value and an option; pass one of them")
            if self.ask_number is None:
                raise InvalidInput("the click has an option and no ask number; an option is one of the card's asking")
            if not 0 <= self.option <= MAX_OPTION:
                raise InvalidInput(f"the option is {self.option}; it must be between 0 and {MAX_OPTION:,}")


# Before the name of an operator, where a user's id stands else: no platform has such ids.
_OPERATOR = "operator:"
MAX_REASON_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever answers in a user's place, and why, in 1,000 characters at most.

    Raises InvalidInput for a name that no id could be, and without a reason.
    """

    name: str
    reason: str

    def __post_init__(self) -> None:
        check_id(self.name, "the operator's name")
        check_id(self.answered_by, "the operator's name")
        check_text(self.reason, "the reason")
        if not self.reason.strip() or len(self.reason) > MAX_REASON_CHARACTERS:
            raise InvalidInput(f"an operator's answer needs a reason, of {MAX_REASON_CHARACTERS:,} characters at most")

    @property
    def answered_by(self) -> str:
        """What stands in `answered_by`, where else the id of whoever has clicked does."""
        return f"{_OPERATOR}{self.name}"


def operator_of(answered_by: str | None) -> str | None:
    """Return the name of the operator who has answered; None where a user has, or nobody."""
    if answered_by is None or not answered_by.startswith(_OPERATOR):
        return None
    return answered_by.removeprefix(_OPERATOR)


@dataclass(frozen=True, slots=True)
class Claim:
    """The click won, with the answer `value`.

    `repeated` marks a repetition of the press that had won before: its delivery key and answer match.

    `expected_user_id` is the user whom the question asks, also where it was escalated and another one has clicked.
    `lease_token` is set when the claimer must deliver the answer. `card` is the platform's reference of the question's
    card, None where none is known.
    """

    id: str
    ask_number: int
    expected_user_id: str
    payload: JsonObject
    value: str | None
    claimed_at: datetime
    lease_token: UUID | None = None
    card: JsonValue = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a question has ended: the winning click's value, or what its `outcome` says.

    Routed by the question's own user and conversation, never the clicker's. `value` is None where the question expired
    or was withdrawn, and `answered_by` wherever nobody has clicked; an operator's has their name (see `Operator`).
    `reason` says why a question with a default has expired nevertheless.
    """

    question_id: str
    ask_number: int
    value: str | None
    organization_id: str
    connection_id: str
    user_id: str
    conversation_id: str
    payload: JsonObject
    claimed_at: datetime
    answered_by: str | None = None
    outcome: Outcome = Outcome.ANSWERED
    reason: str | None = None

    @property
    def idempotency_key(self) -> str:
        """The same for each delivery of this answer, and for no other's: `ID/ASK_NUMBER`, percent-encoded ASCII."""
        return asking_key(self.question_id, self.ask_number)


def asking_key(question_id: str, ask_number: int) -> str:
    """Return one asking's name in ASCII, which no other has: `ID/ASK_NUMBER`, percent-encoded."""
    return f"{quote(question_id, safe='')}/{ask_number}"


def answer_of(click: Click, claim: Claim) -> Answer:
    """Return the answer that a click has given by its claim, which matched the whole scope."""
    return Answer(
        question_id=claim.id,
        ask_number=claim.ask_number,
        value=claim.value,
        organization_id=click.organization_id,
        connection_id=click.connection_id,
        user_id=claim.expected_user_id,
        conversation_id=conversation_of(claim.payload),
        payload=claim.payload,
        claimed_at=claim.claimed_at,
        answered_by=click.user_id,
    )


class RefusalReason(StrEnum):
    """Why a click did not win."""

    ALREADY_ANSWERED = "already_answered"
    NOT_YOURS = "not_yours"
    INVALID_ANSWER = "invalid_answer"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    OTHER_APPLICATION = "other_application"
    UNKNOWN_OR_EXPIRED = "unknown_or_expired"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The click did not win.

    `answered_by`, `answer` and `claimed_at` are given for `already_answered` alone, while the row still knows them:
    for its present asking and the one before; `answered_by` is None where the default was the answer. `options` are
    those of the question, for `invalid_answer` alone.
    """

    id: str
    reason: RefusalReason
    answered_by: str | None = None
    answer: str | None = None
    claimed_at: datetime | None = None
    options: tuple[str, ...] = ()


class NoAnswer(StrEnum):
    """Why there is no answer to read: nobody has clicked yet, nobody can any more, or the row holds another asking."""

    NOT_YET = "not_yet"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    GONE = "gone"


class NotExtended(StrEnum):
    """Why the deadline of a question was not moved. Awaited: somebody waits for the answer, and no longer than that."""

    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    AWAITED = "awaited"
    NO_DEADLINE = "no_deadline"
    UNKNOWN = "unknown"


class Withdrawal(StrEnum):
    """What became of a question that was to be withdrawn."""

    WITHDRAWN = "withdrawn"
    ALREADY_WITHDRAWN = "already_withdrawn"
    ALREADY_EXPIRED = "already_expired"
    ALREADY_ANSWERED = "already_answered"
    UNKNOWN = "unknown"


class PutOutcome(StrEnum):
    """What storing a question did.

    Refreshed: a retry of the same asking. Superseded: another question took the place of an open one. The last three:
    the question has ended and was left alone.
    """

    CREATED = "created"
    REFRESHED = "refreshed"
    SUPERSEDED = "superseded"
    REOPENED = "reopened"
    ALREADY_ANSWERED = "already_answered"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


# A question was asked, and its life began.
NEW_ASKINGS = frozenset({PutOutcome.CREATED, PutOutcome.SUPERSEDED, PutOutcome.REOPENED})
# It has ended, and nothing was asked.
ENDED = frozenset({PutOutcome.ALREADY_ANSWERED, PutOutcome.WITHDRAWN, PutOutcome.EXPIRED})


@dataclass(frozen=True, slots=True)
class Stored:
    """A question as `put` left it. `row_version` changes with every write to the row.

    `is_to_be_posted` says that the caller, who announced that it posts the card, is the one to do that: no pod has
    posted it, and no other one is about to. It is the first attempt; those that follow are the pods'.
    """

    id: str
    outcome: PutOutcome
    ask_number: int
    created_at: datetime
    row_version: str
    is_to_be_posted: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Whether answers wait for their delivery, other endings for theirs, cards for an edit, and deadlines have passed.

    The cards are those of the served connections, and so are the posts: cards, reminders and escalations that are due.
    `events` says whether cards and endings are to be appended to the streams of their questions.
    """

    answers: bool
    endings: bool
    events: bool
    cards: bool
    posts: bool
    deadlines: bool


@dataclass(frozen=True, slots=True)
class SweepTurn:
    """Whether the cycle is the caller's, and in how many seconds the next one may begin."""

    is_ours: bool
    next_in_seconds: float
