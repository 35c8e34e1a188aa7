"""What happened in a race on streams. Pure: `files` writes it to disk and reads it back.

A stream is called `organization/name`. Its name may have had more than one history, which the ids of its rows tell
apart. Moments are nanoseconds of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..history.history import Outcome
from .plan import StreamFaultKind


class Way(StrEnum):
    """How events are appended."""

    ALONE = "alone"
    TOGETHER = "together"
    TRANSACTION = "transaction"
    ROLLED_BACK = "rolled_back"
    EXPECTED = "expected"


@dataclass(frozen=True, slots=True)
class Tag:
    """What an event's data says: of which append to which stream it is, and in which place, from 0."""

    stream: str
    append: str
    place: int

    def __str__(self) -> str:
        return f"{self.stream} {self.append} {self.place}"

    @classmethod
    def parse(cls, data: str) -> Tag:
        """Return the tag that `str` has written. Raises ValueError for any other text."""
        stream, append, place = data.split(" ")
        return cls(stream, append, int(place))


@dataclass(frozen=True, slots=True)
class Append:
    """One attempt at an append; those that repeat it have its name.

    `outcome` is ok, refused (the stream is closed, or further on), failed (surely not done), or unknown. `transaction`
    names the transaction of the caller's in which it was made, with others.
    """

    pod: str
    number: int
    name: str
    stream: str
    way: Way
    events: int
    started_ns: int
    ended_ns: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    first_seq: int | None = None
    last_seq: int | None = None
    is_repeated: bool = False
    transaction: str | None = None
    detail: str = ""


class EndingKind(StrEnum):
    """How a stream ends."""

    CLOSE = "close"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Ending:
    """A stream is closed or deleted; `last_seq` is what the pod was given as its last number."""

    pod: str
    number: int
    stream: str
    kind: EndingKind
    started_ns: int
    ended_ns: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    last_seq: int | None = None
    detail: str = ""


class ItemKind(StrEnum):
    """What a reader is given."""

    EVENT = "event"
    GAP = "gap"
    RESET = "reset"
    END = "end"


@dataclass(frozen=True, slots=True)
class Item:
    """An item as its reader got it.

    `first` and `last` are the numbers of a gap; both are that of an event, and the last number of an end or a reset.
    `cursor` is where the reader stands after it.
    """

    at_ns: int
    kind: ItemKind
    first: int
    last: int
    at: str = ""
    data: str = ""
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A reader reads a stream on one pod, from a cursor on, None for the beginning; `number` counts its pod's.

    One that its pod's death has ended has no `ended_ns`.
    """

    pod: str
    number: int
    reader: str
    stream: str
    after: str | None
    started_ns: int
    items: tuple[Item, ...] = ()
    ended_ns: int | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stood in the database."""

    stream_id: int
    seq: int
    at: str
    data: str


@dataclass(frozen=True, slots=True)
class StoredStream:
    """A stream's row as it stood in the database."""

    id: int
    stream: str
    last_seq: int
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All events and rows of the race as of one moment between the two."""

    started_ns: int
    ended_ns: int
    streams: tuple[StoredStream, ...]
    events: tuple[StoredEvent, ...]


@dataclass(frozen=True, slots=True)
class RingTurn:
    """The ring was turned. A race makes a turn due whenever it wants one, so it counts turns instead of hours."""

    started_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class StruckFault:
    """A fault, and whether it surely struck. `stream` is the one that was locked meanwhile.

    Of a failover, commits between the two moments may be lost; beside a transaction that stays open for longer, nothing
    else was struck between them.
    """

    kind: StreamFaultKind
    started_ns: int
    ended_ns: int | None = None
    landed: bool = False
    detail: str = ""
    stream: str | None = None


@dataclass(frozen=True, slots=True)
class StreamHistory:
    """Everything that a race on streams has left. `snapshots` are in order, the last one was taken at the end.

    `reasons` say why it proves nothing.
    """

    appends: tuple[Append, ...] = ()
    endings: tuple[Ending, ...] = ()
    sessions: tuple[Session, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    turns: tuple[RingTurn, ...] = ()
    faults: tuple[StruckFault, ...] = ()
    reasons: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
