"""Whether a reader's position still holds, and what is gone after it: the one place where that is decided. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .model import START, Cursor, End, Event, Gap, Page, Reset, Stream, StreamItem

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Found:
    """What the database holds around a position, read in one snapshot.

    `stream` is None where there is none of the name. `at` is the time of the event at the position's number, None
    where that is gone or the number is 0. `next_seq` is the number of the first event after it that is there.
    """

    stream: Stream | None
    at: datetime | None = None
    next_seq: int | None = None


def judge(position: Cursor, found: Found) -> Gap | Reset | End | None:
    """Return what the reader is to be given before the next event; None where that follows, or is yet to come.

    | found | then |
    | --- | --- |
    | no stream | from START it is open and empty; from elsewhere it was deleted: End |
    | number 0, neither START nor of this creation | Reset |
    | the number is greater than the last one | Reset |
    | the time is just before the creation, as after a gap | it is of this history |
    | the event is there, of another time | Reset |
    | it is gone, of a time before the creation or after the last event | Reset |
    | it is gone and was the last one, of another time | Reset |
    | the next number is gone | Gap, up to the first event that is there, or to the last number |
    | the stream is closed and this is its last number | End |

    A failover that lost commits shows by a number or a time that differs. Where both the event at the position and the
    one that took its number have left with the retention, and their times fit, nothing can show it.
    """
    stream = found.stream
    if stream is None:
        return None if position == START else End(position.seq)
    if not _is_of_this_history(position, stream, found.at):
        return Reset(stream.last_seq)
    last_missing = stream.last_seq if found.next_seq is None else found.next_seq - 1
    if last_missing > position.seq:
        return Gap(position.seq + 1, last_missing)
    if stream.closed_at is not None and position.seq == stream.last_seq:
        return End(stream.last_seq)
    return None


def _is_of_this_history(position: Cursor, stream: Stream, at: datetime | None) -> bool:
    if position.seq == 0:
        return position in (START, Cursor(0, stream.created_at))
    if position.seq > stream.last_seq:
        return False
    if position.at == time_after_a_gap(stream):
        return True
    if at is None and position.seq == stream.last_seq:
        at = stream.last_at
    if at is not None:
        return position.at == at
    return stream.created_at <= position.at <= stream.last_at


def time_after_a_gap(stream: Stream) -> datetime:
    """Return the time of a position after a gap, whose event is gone: that of no event, and of this creation alone."""
    return stream.created_at - _MICROSECOND


def page_of(position: Cursor, stream: Stream, events: Sequence[Event], *, is_cut: bool) -> Page:
    """Return what follows a position of this history, with a gap wherever a number is missing.

    A number can be missing between others: an append that a turn of the ring has overtaken leaves with the events
    before it. `is_cut` says that more events are there than these.
    """
    items: list[StreamItem] = []
    after = position
    for event in events:
        if event.seq > after.seq + 1:
            items.append(Gap(after.seq + 1, event.seq - 1))
        items.append(event)
        after = event.cursor
    if not is_cut and after.seq < stream.last_seq:
        items.append(Gap(after.seq + 1, stream.last_seq))
        after = Cursor(stream.last_seq, stream.last_at)
    is_complete = after.seq == stream.last_seq
    if is_complete and stream.closed_at is not None:
        items.append(End(stream.last_seq))
    return Page(tuple(items), after, is_complete)
