"""What streams are made of: names, events, positions, and what stands where events are gone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from ..errors import CursorInvalid, InvalidInput
from ..payload import check_id, check_stream_name, check_text

MAX_TYPE_CHARACTERS = 255
MAX_EVENT_BYTES = 1024 * 1024
# Postgres's bigint.
MAX_SEQ = 2**63 - 1
# What a reader over HTTP is given beside the events of an application: gaps, resets and ends.
RESERVED_TYPES = "pendingctl."

# 15 hexadecimal digits reach beyond the year 9999.
_CURSOR = re.compile(r"(0|[1-9][0-9]{0,18})-([0-9a-f]{1,15})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class StreamName:
    """A stream of an organization; another organization's stream of the same name is another stream.

    Raises InvalidInput unless the name is 1 to 255 of the characters A-Z a-z 0-9 . _ : ~ -
    """

    organization_id: str
    name: str

    def __post_init__(self) -> None:
        check_id(self.organization_id, "organization_id")
        check_stream_name(self.name)

    @classmethod
    def stored(cls, organization_id: str, name: str) -> StreamName:
        """Return a name as a row has it, also one that nobody could choose: somebody has written it by hand."""
        stored = object.__new__(cls)
        object.__setattr__(stored, "organization_id", organization_id)
        object.__setattr__(stored, "name", name)
        return stored


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append: its type, and its data as text, which is passed on as it is.

    Raises InvalidInput unless the type is 1 to 255 characters without control characters that do not begin with
    `pendingctl.`, and the data 1 byte to 1 MiB of UTF-8 without NUL characters.
    """

    type: str
    data: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.type) <= MAX_TYPE_CHARACTERS:
            raise InvalidInput(f"the event's type has {len(self.type)} characters; give it 1 to {MAX_TYPE_CHARACTERS}")
        if any(character < " " or "\x7f" <= character < "\xa0" for character in self.type):
            raise InvalidInput("the event's type holds a control character; leave it out")
        if self.type.startswith(RESERVED_TYPES):
            raise InvalidInput(f"types that begin with {RESERVED_TYPES} say what is gone of a stream; choose another")
        check_text(self.type, "the event's type")
        check_text(self.data, "the event's data")
        if not self.data:
            raise InvalidInput("the event's data is empty; give it at least one character")
        if (size := self.size) > MAX_EVENT_BYTES:
            raise InvalidInput(f"the event's data has {size:,} bytes; at most {MAX_EVENT_BYTES:,} are allowed")

    @property
    def size(self) -> int:
        """The data's length in bytes of UTF-8."""
        return len(self.data) if self.data.isascii() else len(self.data.encode())


@dataclass(frozen=True, slots=True)
class Cursor:
    """A reader's position: after the event of this number, which was appended at this time.

    The time tells this history of the stream from another one under the same name. At number 0 it is when the stream
    was created, or START's for whatever stream comes.
    """

    seq: int
    at: datetime

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that `str` has written as this text. Raises CursorInvalid for any other text."""
        read = _CURSOR.fullmatch(text)
        if read is None or int(read[1]) > MAX_SEQ:
            raise CursorInvalid("this is no cursor of a stream; use the id of an event as it was received")
        try:
            return cls(int(read[1]), _EPOCH + int(read[2], 16) * _MICROSECOND)
        except OverflowError:
            raise CursorInvalid(
                "the cursor's time is out of bounds; use the id of an event as it was received"
            ) from None

    def __str__(self) -> str:
        return f"{self.seq}-{max((self.at - _EPOCH) // _MICROSECOND, 0):x}"


START = Cursor(0, _EPOCH)
"""Before the first event of whatever stream has the name, also of one that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was appended; `seq` counts from 1 within its stream, without gaps.

    `cursor` is the position after it, one for all readers that stand there.
    """

    seq: int
    at: datetime
    type: str
    data: str
    cursor: Cursor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cursor", Cursor(self.seq, self.at))


@dataclass(frozen=True, slots=True)
class Gap:
    """Exactly these events, first to last, are gone: they were older than the retention. Those after them follow."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The position belongs to another history: the stream was deleted and made again, or a failover lost commits.

    What follows is read from the beginning of this history, whose last event has the number `last_seq`.
    """

    last_seq: int


@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows: the stream is closed and all was read, or it is not there. `last_seq` is its last event.

    It is not there where it was deleted, swept while it was idle, or lost with its creation in a failover. Where it is
    made again, whoever comes back with a position is given a Reset first: nothing of it is missed unnoticed. A position
    before whatever comes, START, waits for it instead.
    """

    last_seq: int


StreamItem: TypeAlias = Event | Gap | Reset | End


@dataclass(frozen=True, slots=True)
class Page:
    """What a read found, in order. `after` is the position for the next read; `is_complete`: nothing more is there."""

    items: tuple[StreamItem, ...]
    after: Cursor
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Appended:
    """Where events were appended, all at one time. `is_repeated`: an earlier attempt had done so, and these are its."""

    first_seq: int
    last_seq: int
    at: datetime
    is_repeated: bool = False

    @property
    def cursor(self) -> Cursor:
        """The position after these events."""
        return Cursor(self.last_seq, self.at)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as its row has it. `last_at` is the time of its last event, of its creation while it has none.

    `id` is not used twice, which the name may be, unless the sequence of the ids is set back.
    """

    id: int
    name: StreamName
    last_seq: int
    last_at: datetime
    created_at: datetime
    closed_at: datetime | None

    @property
    def cursor(self) -> Cursor:
        """The position after its last event."""
        return Cursor(self.last_seq, self.last_at if self.last_seq else self.created_at)


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """A stream, the number of the first event that is still there, and for how long events are kept at least.

    `retention` is None where the ring's row is gone, which nothing is appended without.
    """

    stream: Stream
    first_seq: int | None
    retention: timedelta | None


@dataclass(frozen=True, slots=True)
class RingState:
    """How many streams there are, about, how large the events are with their indexes, and whether the ring turns.

    It turns each `turn_every_seconds`; `turned_seconds_ago` is None where no time of a turn is known. `streams` is None
    before the first vacuum or analyze.
    """

    streams: int | None
    event_bytes: int
    retention_seconds: float
    turned_seconds_ago: float | None
    turn_every_seconds: float

    @property
    def has_events(self) -> bool:
        """Whether the tables hold more than the first page of each index, of which each table has two."""
        return self.event_bytes > 4 * 2 * 8_192
