"""A run of a stream's events in memory: everything that is there between two of its numbers. Pure."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from .model import Cursor, Event, Gap, Reset, Stream, StreamItem
from .position import Found, judge, time_after_a_gap

_SEQ = attrgetter("seq")


@dataclass(slots=True, eq=False)
class Window:
    """The events after number `start`, up to `end`: what is missing among them is gone.

    `start_at` is the time of the event at `start`, None where that is gone; `end_at` that of the position at the end.
    `stream` is the stream's row as it was when the last of these was read.
    """

    stream: Stream
    start: int
    start_at: datetime | None
    end: int = field(init=False)
    end_at: datetime = field(init=False)
    events: list[Event] = field(default_factory=list)
    bytes: int = 0

    def __post_init__(self) -> None:
        self.end, self.end_at = self.start, self.start_at or self.stream.created_at

    @classmethod
    def read(cls, stream: Stream, start: int, start_at: datetime | None, events: Sequence[Event]) -> Window:
        """Return what a read has found behind a position; where it has found nothing, all of it is gone, or to come."""
        window = cls(stream, start, start_at)
        window.extend(stream, events)
        return window

    def extend(self, stream: Stream, events: Sequence[Event]) -> None:
        """Add what a read has found behind the end."""
        self.stream = stream
        if events:
            self.events.extend(events)
            self.bytes += sum(map(size_of, events))
            self.end, self.end_at = events[-1].seq, events[-1].at
        elif stream.last_seq > self.end:
            self.end, self.end_at = stream.last_seq, stream.last_at

    def drop_first(self) -> None:
        """Forget the first event, which is not gone from the stream."""
        first = self.events.pop(0)
        self.start, self.start_at = first.seq, first.at
        self.bytes -= size_of(first)

    def next_after(self, seq: int) -> Event | None:
        """Return the first event after a number, which lies between the start and the end."""
        place = seq - self.start
        # There is rarely a hole.
        if not (place < len(self.events) and self.events[place].seq == seq + 1):
            place = bisect_right(self.events, seq, key=_SEQ)
        return self.events[place] if place < len(self.events) else None

    def at_of(self, seq: int) -> datetime | None:
        """Return the time of the event of this number; None where it is gone."""
        if seq == self.start:
            return self.start_at
        place = seq - self.start - 1
        if not (0 <= place < len(self.events) and self.events[place].seq == seq):
            place = bisect_right(self.events, seq, key=_SEQ) - 1
        return self.events[place].at if place >= 0 and self.events[place].seq == seq else None

    def judge(self, position: Cursor) -> StreamItem | None:
        """Return what a reader at this position is to be given, as far as these events reach."""
        event = self.next_after(position.seq)
        if event is not None:
            next_seq: int | None = event.seq
        elif self.end < self.stream.last_seq:
            # Not read yet.
            next_seq = position.seq + 1
        else:
            next_seq = None
        return judge(position, Found(self.stream, self.at_of(position.seq), next_seq)) or event


def position_after(item: Event | Gap | Reset, stream: Stream) -> Cursor:
    """Return where a reader stands that has been given this.

    After a gap the time of the event is gone with it, here or on another pod.
    """
    match item:
        case Event():
            return item.cursor
        case Gap():
            is_last = item.last == stream.last_seq
            return Cursor(item.last, stream.last_at if is_last else time_after_a_gap(stream))
        case Reset():
            return Cursor(0, stream.created_at)


def size_of(event: Event) -> int:
    """Return about how many bytes of memory an event takes."""
    return sys.getsizeof(event.data) + sys.getsizeof(event.type) + 200
