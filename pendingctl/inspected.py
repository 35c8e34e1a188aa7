"""What the person on call reads of a row, as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .model import Outcome, Scope
from .payload import JsonObject, JsonValue
from .pods import NotedPod
from .trail import TrailEntry


class State(StrEnum):
    """A row's state: the first of these that applies.

    Stuck endings wait for a person, undelivered answers for a worker. Stale is open and too old, without a deadline.
    """

    STUCK = "stuck"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    DEFAULTED = "defaulted"
    CLAIMED = "claimed"
    STALE = "stale"
    PENDING = "pending"


# The answer was accepted and has reached no worker yet.
UNDELIVERED = frozenset({State.STUCK, State.UNDELIVERED})


class CardState(StrEnum):
    """What can be wrong with a question's card: it shows less than the row, or nobody knows that it was posted.

    A card shows less while an edit of it is due, also one that waits for its time since the one before has failed. Of
    one that is gone the platform has said that no edit can succeed any more.
    """

    BEHIND = "behind"
    GONE = "gone"
    NEVER_POSTED = "never-posted"


class Unposted(StrEnum):
    """Why nobody knows of an open question's card that it was posted.

    A pod is to post it, now or later; the pods have given up, and a person is to look at it; or the question was
    stored without `show`, and its caller shows it.
    """

    TO_BE_POSTED = "to_be_posted"
    GIVEN_UP = "given_up"
    BY_CALLER = "by_caller"


@dataclass(frozen=True, slots=True)
class PendingSummary:
    """One row as a list shows it. Times and ages are the database's.

    `unposted` is None where the card is known to be posted, and where the question has ended. `post_due_at` is when the
    card, a reminder or the escalation is to be posted next; `post_error` why the last attempt to post the card
    failed, or, of a card that was posted, why it can be edited no more.
    `delivery_due_at` is when its ending is to be delivered next, None also of one that is stuck; `card_due_at` when its
    card is to be edited next. `stream_due_at` is when something is to be appended to its `stream` next, None where
    nothing waits; `stream_error` why the last attempt failed, or, where nothing waits, why the last of it was left out.
    """

    id: str
    organization_id: str
    connection_id: str
    expected_user_id: str
    application: str
    state: State
    created_at: datetime
    claimed_at: datetime | None
    expires_at: datetime | None
    age_seconds: float
    ask_number: int
    question: str | None
    conversation_id: str | None
    answered_by: str | None
    pod: str | None
    delivery_attempts: int
    delivery_due_at: datetime | None
    delivery_error: str | None
    unposted: Unposted | None
    post_attempts: int
    post_due_at: datetime | None
    post_error: str | None
    card_attempts: int
    card_due_at: datetime | None
    stream: str | None
    stream_attempts: int
    stream_due_at: datetime | None
    stream_error: str | None

    @property
    def scope(self) -> Scope:
        """Who may claim it."""
        return Scope(self.organization_id, self.connection_id, self.expected_user_id)


@dataclass(frozen=True, slots=True)
class PendingInteraction(PendingSummary):
    """One whole row. `payload` is empty where it cannot be read."""

    payload: JsonObject
    answer: str | None
    delivery_key: str | None
    delivered_at: datetime | None
    withdrawn_at: datetime | None
    outcome: Outcome | None
    default_answer: str | None
    posted_at: datetime | None
    card: JsonValue
    request_key: str | None
    remind_every: timedelta | None
    reminders_left: int | None
    escalate_at: datetime | None
    escalate_to: str | None
    escalated_at: datetime | None


class Leased(StrEnum):
    """What a pod has leased of a row: the post of its card, or the delivery of its ending.

    An edit and an append have no lease that could be told from the pause after one that has failed.
    """

    POST = "post"
    DELIVERY = "delivery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What one pod does for a question, and no other until the lease ends. Times are the database's.

    One that has run out, with `seconds_left` below 0, is there until another pod takes over. `pod` and `since` are None
    of a card's post that the trail does not have, and of a delivery those of the claim.
    """

    question_id: str
    what: Leased
    pod: str | None
    since: datetime | None
    until: datetime
    seconds_left: float


class Concern(StrEnum):
    """Why a row needs a look, the most urgent first.

    A stuck ending; an answer that no worker has after some seconds; a card that was given up, or is not posted although
    it is due; a card that still shows the buttons of a question that has ended; a card or an ending that is not on its
    stream; a deadline that nobody has noticed. The last one is none: the questions that have been open for the longest.
    """

    STUCK = "stuck"
    UNDELIVERED = "undelivered"
    NOT_POSTED = "not posted"
    CARD_BEHIND = "card behind"
    UNAPPENDED = "unappended"
    OVERDUE = "overdue"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Attention:
    """A row, and why it needs a look; None where it was asked for by filters."""

    concern: Concern | None
    row: PendingSummary


@dataclass(frozen=True, slots=True)
class Trail:
    """What has happened to a question, oldest first; of very many entries `left_out` in the middle are missing."""

    entries: tuple[TrailEntry, ...]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the trail of all questions covers: `since` and `until` are None while it has no entry.

    `now` is the database's time, `is_kept` whether this session's statements would write the trail (a setting of the
    database or the role).
    """

    now: datetime
    since: datetime | None
    until: datetime | None
    is_kept: bool


@dataclass(frozen=True, slots=True)
class QuestionHistory:
    """All that is known of a question: its row as long as that is there, and its trail.

    `lease` is what a pod does for it, or has died over. `pods` are those of its application that have noted themselves
    within the last hour; None where that is not known.
    """

    id: str
    row: PendingInteraction | None
    lease: Lease | None
    trail: Trail
    record: Record
    pods: tuple[NotedPod, ...] | None


@dataclass(frozen=True, slots=True)
class UserHistory:
    """The presses of a user in a time, and when this user was asked, at any time, oldest first.

    `questions` are the rows of those that are still there. `is_cut` says that there are more, and older ones.
    """

    user_id: str
    since: timedelta
    entries: tuple[TrailEntry, ...]
    questions: tuple[PendingSummary, ...]
    record: Record
    is_cut: bool
