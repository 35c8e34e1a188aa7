"""How many rows there are, how long answers take, and what goes wrong. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from .pods import NotedPod

# By their ages open questions are counted in these classes, the last of which has no end; in seconds.
AGES = (300.0, 3_600.0, 8 * 3_600.0, 24 * 3_600.0)


class Grouping(StrEnum):
    """What rows are counted by; a connection and a user are an organization's."""

    ORGANIZATION = "organization"
    CONNECTION = "connection"
    USER = "user"
    APPLICATION = "application"


class Part(StrEnum):
    """What is counted by itself: open questions, what is late or given up of them, endings to deliver, and what has
    ended within the last hour.
    """

    OPEN = "open"
    LATE = "late"
    WAITING = "waiting"
    ENDED = "ended"


# The values by which a group is known: of a connection the organization's and its own, for instance.
Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How many rows there are, in all or of a group.

    Of open questions: `pending` and `stale`, by `ages` (see AGES), `due_within_the_hour` with a deadline by then, and
    `cards_to_post` that a pod is to post, now or later. Late or given up: `cards_never_posted`, since the pods have
    given up, and what is `overdue_…`: due for a minute, which no pod that is there lets pass.

    Of endings: answers that are `undelivered` or `stuck`, and all `endings_to_tell` that are no person's answer. Of
    streams: questions whose `events_to_append`, a card's or an ending's, are not on their streams yet.

    Within the last hour: `answered`, `defaulted`, `expired`, `withdrawn`.
    """

    pending: int = 0
    stale: int = 0
    ages: tuple[int, ...] = (0,) * (len(AGES) + 1)
    due_within_the_hour: int = 0
    cards_to_post: int = 0
    oldest_pending_seconds: float | None = None
    cards_never_posted: int = 0
    overdue_cards: int = 0
    overdue_deadlines: int = 0
    undelivered: int = 0
    stuck: int = 0
    endings_to_tell: int = 0
    overdue_endings: int = 0
    events_to_append: int = 0
    overdue_events: int = 0
    oldest_undelivered_seconds: float | None = None
    answered: int = 0
    defaulted: int = 0
    expired: int = 0
    withdrawn: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of all rows, and of each group. Those of a part in `estimated` are by a sample."""

    total: Numbers
    groups: Mapping[Key, Numbers] = field(default_factory=dict)
    estimated: frozenset[Part] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long it took, of so many: from the question to its answer, and from how it ended to its delivery."""

    answers: int = 0
    answer_p50_seconds: float | None = None
    answer_p95_seconds: float | None = None
    deliveries: int = 0
    delivery_p50_seconds: float | None = None
    delivery_p95_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """The durations of the last hour, in all and of each group; of none where no trail is kept."""

    total: Durations
    groups: Mapping[Key, Durations] = field(default_factory=dict)


class Trouble(StrEnum):
    """What has failed: a delivery, the post of a card, or an append to a question's stream."""

    DELIVERY = "delivery"
    CARD = "card"
    APPEND = "append"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Rows whose last attempt failed alike: numbers and ids in the error are written as #.

    `given_up` of them wait for a person; `next_attempt_seconds` is when the next of the others is due, below 0 if it
    has been. `example` is the id of one of them.
    """

    trouble: Trouble
    error: str
    rows: int
    given_up: int
    oldest_seconds: float
    next_attempt_seconds: float | None
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The size of the table of questions, with its indexes, and of the trail; rows by the last vacuum or analyze."""

    rows: int | None
    bytes: int
    trail_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitKeys:
    """How many keys of rate limits are on record: exactly up to 20,000, from there on by the last vacuum or analyze."""

    keys: int
    is_estimate: bool
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSweep:
    """When a `sweep --every` last began a cycle, and where; None where none ever has."""

    seconds_ago: float | None
    pod: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the person on call reads first. None is what this role may not read, or was not read in time."""

    counts: Counts
    times: Times | None
    pods: Sequence[NotedPod] | None
    last_sweep: LastSweep | None
    storage: Storage | None
    limits: LimitKeys | None
