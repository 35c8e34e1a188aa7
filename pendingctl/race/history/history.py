"""What happened in a race. Pure: `files` writes it to disk and reads it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ...model import Outcome as Ending
from ...model import RefusalReason, Scope
from ...payload import JsonObject
from ...trail import TrailEntry
from ..plan.operations import OperationKind, PlannedOperation
from ..plan.schedule import FaultKind, Moment


class Outcome(StrEnum):
    """How an operation ended.

    `repeated` is the same win reported again to the same press. `failed` was surely not applied; `unknown` may have
    been applied: the connection was lost, or the pod.
    """

    OK = "ok"
    REPEATED = "repeated"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


# The store reported the truth; after the other outcomes it is unknown, or nothing was done.
DECIDED = frozenset({Outcome.OK, Outcome.REPEATED, Outcome.REFUSED})
WON = frozenset({Outcome.OK, Outcome.REPEATED})


class Reason(StrEnum):
    """Why an operation was refused: a claim, a put, a delete, the mark of a delivery, an asker."""

    ALREADY_ANSWERED = RefusalReason.ALREADY_ANSWERED.value
    NOT_YOURS = RefusalReason.NOT_YOURS.value
    UNKNOWN_OR_EXPIRED = RefusalReason.UNKNOWN_OR_EXPIRED.value
    INVALID_ANSWER = RefusalReason.INVALID_ANSWER.value
    WITHDRAWN = RefusalReason.WITHDRAWN.value
    EXPIRED = RefusalReason.EXPIRED.value
    SUPERSEDED = RefusalReason.SUPERSEDED.value
    OTHER_APPLICATION = RefusalReason.OTHER_APPLICATION.value
    OTHER_SCOPE = "other_scope"
    REQUEST_REFUSED = "request_refused"
    UNDELIVERED = "undelivered"
    LEASE_LOST = "lease_lost"
    NO_SUCH_ROW = "no_such_row"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Reported:
    """What the store reported besides the outcome.

    A loser gets the stored answer, a winner its own and the payload. `at` is the server's time: when the answer was
    claimed, when the row was created, or for a sweep a moment after it. `put` is what a put did, `ids` are those that a
    sweep took.
    """

    reason: Reason | None = None
    answered_by: str | None = None
    answer: str | None = None
    at: datetime | None = None
    payload: JsonObject | None = None
    ask_number: int | None = None
    put: str | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as a pod carried it out; another try of a press is another operation of the same plan.

    `number` counts the operations of one pod. Times are nanoseconds of the monotonic clock, which all processes of a
    machine share; `ended_ns` is None for an operation whose end was not seen. `reply` is the kind of the bridge's reply
    to a click, and `detail` the message of an error.
    """

    pod: str
    number: int
    planned: PlannedOperation
    started_ns: int
    ended_ns: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    reported: Reported = Reported()
    reply: str | None = None
    backend_pid: int | None = None
    detail: str = ""

    @property
    def kind(self) -> OperationKind:
        """Put, claim, delete, sweep or deliver."""
        return self.planned.kind

    @property
    def press(self) -> tuple[str | None, str | None]:
        """What makes two claims the same press: delivery key and value."""
        return self.planned.delivery_key, self.planned.value

    @property
    def took_ms(self) -> float | None:
        """How long it took."""
        return None if self.ended_ns is None else (self.ended_ns - self.started_ns) / 1e6


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as it struck. `landed` says whether it surely did what it was planned to do.

    `organization_id` is the tenant's whom it troubled, if it was one alone.
    """

    number: int
    kind: FaultKind
    moment: Moment | None
    started_ns: int
    ended_ns: int | None = None
    landed: bool = False
    detail: str = ""
    organization_id: str | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """One ending as a pod handed it to the worker, or as an asker on this pod handed it on."""

    pod: str
    question_id: str
    ask_number: int
    value: str | None
    user_id: str
    conversation_id: str
    by_asker: bool = False
    outcome: str = Ending.ANSWERED.value


@dataclass(frozen=True, slots=True)
class CardPost:
    """A card as a pod posted it. `card` names it, also where an asking has several.

    One that `is_lost` is there, and its pod was lost or learnt nothing of it; on some platforms it `can_be_found`.
    """

    pod: str
    card: str
    question_id: str
    ask_number: int
    is_lost: bool = False
    can_be_found: bool = False


@dataclass(frozen=True, slots=True)
class CardEdit:
    """What a pod's edit made of a card at that moment of the monotonic clock."""

    pod: str
    card: str
    question_id: str
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class ReminderPost:
    """A reminder or an escalation as a pod posted it, at that moment of the monotonic clock."""

    pod: str
    question_id: str
    ask_number: int
    is_escalation: bool
    at_ns: int


@dataclass(frozen=True, slots=True)
class AppendedEvent:
    """What was appended of an asking to its stream: how it ended, or without an outcome that its card was posted."""

    question_id: str
    ask_number: int
    outcome: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class RacedSchedule:
    """What happens to an open question in time, in nanoseconds from its asking (see `schedule.Schedule`)."""

    expires_in_ns: int | None = None
    default: str | None = None
    remind_every_ns: int | None = None
    remind_at_most: int | None = None
    escalate_after_ns: int | None = None
    escalate_to: str | None = None


@dataclass(frozen=True, slots=True)
class RacedQuestion:
    """A question of the race. Its row was there, unclaimed, before the first operation; that of an extra one was not.

    Extra questions are stored, deleted and swept by the pods. With `delivers` the pods deliver the answers; without,
    an answer belongs to whoever claimed it and counts as delivered. `ask_number` is that of a row that was there before
    the first operation, `editions` are the other payloads under which it is put. Of an awaited one somebody waits for
    the answer. One of another application is clicked for the race's own; it is open, or its answer was given before the
    race and is due. A poisoned one has an answer that is due, and that nobody can read. `heard` are the endings of
    which the worker hears, and `application` is that under whose name it is asked. `stream` is that on which it stands
    what became of it.
    """

    id: str
    scope: Scope
    payload: JsonObject
    conversation_id: str
    is_extra: bool = False
    delivers: bool = False
    ask_number: int | None = None
    editions: tuple[JsonObject, ...] = ()
    is_awaited: bool = False
    is_of_another_application: bool = False
    answer: str | None = None
    is_poisoned: bool = False
    schedule: RacedSchedule = RacedSchedule()
    heard: tuple[str, ...] = ()
    application: str = ""
    stream: str | None = None

    @property
    def is_raced(self) -> bool:
        """Whether the race's own clicks and deliveries decide about it."""
        return not (self.is_of_another_application or self.is_poisoned)

    @property
    def is_counted(self) -> bool:
        """Whether it is asked once and its row stays; the report counts these."""
        return self.is_raced and not self.is_extra


@dataclass(frozen=True, slots=True)
class Row:
    """A question's row after the race. `is_stuck` and `error` say what became of the delivery of its ending.

    `claimed_at` is None where there is no answer; `outcome` says how the question has ended, None while it is open, and
    `pod` which one has ended it, where it was not withdrawn. `not_shown` is why its card was given up, `no_card_known`
    that it ended before anybody noted one, and `card_shows_the_end` that it ended, has a card, and leaves no edit of
    that to do. It `has_cards_to_retire` where those of former askings are still to be edited, and `is_posted` where its
    card was noted.
    """

    id: str
    scope: Scope
    payload: JsonObject
    claimed_at: datetime | None
    ask_number: int
    answer: str | None
    delivery_key: str | None
    undelivered: bool = False
    withdrawn: bool = False
    is_stuck: bool = False
    error: str | None = None
    outcome: str | None = None
    answered_by: str | None = None
    expires_at: datetime | None = None
    not_shown: str | None = None
    no_card_known: bool = False
    card_shows_the_end: bool = False
    has_cards_to_retire: bool = False
    pod: str | None = None
    is_posted: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """Everything that the checker knows of a run.

    `planned_kinds` are the kinds of operation in the plan, `stale_after` is the sweep's maximum age. `left_behind`
    names what the clean-up did not remove, and `reasons` explain why the run itself proves nothing. `trail` are the
    entries of the race's questions in the order of their ids; None where the database keeps none, or nobody has read
    them. `events` are those of their streams, in the streams' order; None where nobody has read them.
    """

    questions: tuple[RacedQuestion, ...]
    operations: tuple[Operation, ...]
    hand_overs: tuple[HandOver, ...]
    rows: tuple[Row, ...]
    planned_kinds: frozenset[OperationKind] = frozenset({OperationKind.CLAIM})
    stale_after: timedelta = timedelta()
    faults: tuple[Fault, ...] = ()
    left_behind: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    card_posts: tuple[CardPost, ...] = ()
    card_edits: tuple[CardEdit, ...] = ()
    reminders: tuple[ReminderPost, ...] = ()
    trail: tuple[TrailEntry, ...] | None = None
    events: tuple[AppendedEvent, ...] | None = None
