"""What each reader was given, item by item, and where that breaks a law. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...events.model import Cursor
from .facts import Facts
from .history import Item, ItemKind, Session, Tag

ONCE = "each_event_once"
JUMPS = "jumps_are_announced"
HISTORIES = "another_history_is_a_reset"
ORGANIZATIONS = "only_its_organization"
UNCOMMITTED = "nothing_uncommitted"
ENDS = "closed_stays_closed"


@dataclass(slots=True)
class Reading:
    """Where a reader stands, and what was wrong on its way: a law and a detail each.

    `id` is that of the stream's row of which the last event was, None before any and after a reset, of which there were
    so many; `id_before` is what it was before that. Where `is_lost` a failover has lost that event.
    """

    reader: str
    stream: str
    found: list[tuple[str, str]]
    id: int | None = None
    id_before: int = 0
    resets: int = 0
    seq: int = 0
    is_lost: bool = False
    end: Item | None = None


def read_again(facts: Facts, reader: str) -> Reading:
    """Follow a reader from its first session to its last."""
    sessions = facts.sessions[reader]
    reading = Reading(reader, sessions[0].stream, [])
    for session in sessions:
        reading.end = None
        if (after := _seq_of(session.after)) != reading.seq:
            reading.found.append((ONCE, f"{reader} went on after event {after}, and had got those up to {reading.seq}"))
            reading.seq = after
        for place, item in enumerate(session.items):
            reading.found += [
                (law, f"{reader} on {session.pod}: {detail}")
                for law, detail in _take(facts, reading, session, item, place)
            ]
    return reading


def _take(facts: Facts, reading: Reading, session: Session, item: Item, place: int) -> Iterator[tuple[str, str]]:
    if reading.end is not None:
        yield ENDS, f"{item.kind} {item.first} came after the end"
    match item.kind:
        case ItemKind.EVENT:
            yield from _event(facts, reading, item)
        case ItemKind.GAP:
            yield from _gap(facts, reading, session, item, place)
        case ItemKind.RESET:
            reading.resets += 1
            if reading.resets > facts.count_histories_ended(reading.stream, item.at_ns):
                yield HISTORIES, f"a reset came after event {reading.seq}, although the stream is the same"
            reading.id_before = reading.id or reading.id_before
            reading.id, reading.seq, reading.is_lost = None, 0, False
        case ItemKind.END:
            yield from _end(facts, reading, item)
            reading.end = item
    if item.cursor is not None and item.kind is not ItemKind.END and _seq_of(item.cursor) != reading.seq:
        yield ONCE, f"the cursor that came with {item.kind} {item.last} is that after event {_seq_of(item.cursor)}"


def _end(facts: Facts, reading: Reading, item: Item) -> Iterator[tuple[str, str]]:
    row = facts.rows.get(reading.stream)
    is_deleted = facts.was_deleted(reading.stream, item.at_ns) and (row is None or row.id != reading.id)
    may_be_over = facts.was_closed(reading.stream, item.at_ns) or facts.has_failed_over(item.at_ns)
    if not (is_deleted or may_be_over):
        yield ENDS, f"the end came after event {reading.seq}, although nobody had ended the stream"
    if item.last != reading.seq:
        yield ENDS, f"the end came after event {reading.seq}, and named event {item.last}"


def _event(facts: Facts, reading: Reading, item: Item) -> Iterator[tuple[str, str]]:
    stream = Tag.parse(item.data).stream
    if stream != reading.stream:
        yield ORGANIZATIONS, f"event {item.first} of {stream} came to a reader of {reading.stream}"
    stored = facts.find(stream, item)
    is_lost = facts.may_be_lost(Tag.parse(item.data)) and stored not in facts.kept
    if stored is None and not is_lost:
        yield UNCOMMITTED, f"event {item.first} ({item.data}) came, and was never committed"
    elif stored is not None and item.at_ns < facts.missing_until(stored):
        yield UNCOMMITTED, f"event {item.first} ({item.data}) came, and was committed later"
    elif stored is not None and reading.id is not None and stored.stream_id != reading.id:
        yield HISTORIES, f"event {item.first} of another history came after event {reading.seq}, without a reset"
        reading.id, reading.seq, reading.is_lost = stored.stream_id, item.first, is_lost
        return
    elif stored is not None:
        is_older = stored.stream_id <= reading.id_before and not facts.has_failed_over(item.at_ns)
        if reading.id is None and is_older:
            yield HISTORIES, f"event {item.first} of the history before a reset came after it"
        reading.id = stored.stream_id
    if reading.is_lost and not is_lost:
        yield (
            HISTORIES,
            f"event {item.first} came after event {reading.seq}, which a failover has lost, without a reset",
        )
    reading.is_lost = is_lost
    if item.first <= reading.seq:
        yield ONCE, f"event {item.first} came after event {reading.seq}"
        return
    if item.first > reading.seq + 1:
        yield ONCE, f"event {reading.seq + 1} never came: {item.first} followed event {reading.seq}"
        yield JUMPS, f"event {item.first} came after event {reading.seq}, without a gap between them"
    reading.seq = item.first


def _gap(facts: Facts, reading: Reading, session: Session, item: Item, place: int) -> Iterator[tuple[str, str]]:
    if item.first != reading.seq + 1 or item.last < item.first:
        yield JUMPS, f"a gap of {item.first} to {item.last} came after event {reading.seq}"
    id = reading.id if reading.id is not None else _next_id(facts, reading, session, place)
    # Of a stream that was deleted before anything else came nobody knows which of the name it was.
    ids = [id] if id is not None else [id for id, stream in facts.ids.items() if stream == reading.stream]
    found = [[*_not_gone(facts, id, item)] for id in ids or [0]]
    if all(found):
        yield from ((JUMPS, detail) for detail in found[-1])
    reading.seq = item.last


def _not_gone(facts: Facts, id: int, gap: Item) -> Iterator[str]:
    for seq in range(gap.first, gap.last + 1):
        events = facts.ever_by_number.get((id, seq), [])
        if not events:
            if not facts.has_failed_over(gap.at_ns):
                yield f"event {seq} was named as gone, and was never there"
        elif not any(facts.may_be_gone(Tag.parse(event.data), gap.at_ns) for event in events):
            yield f"event {seq} was named as gone, although it was younger than the retention"
        elif all(facts.seen_until(event) > gap.at_ns for event in events):
            yield f"event {seq} was named as gone, and was still there later"


def _seq_of(cursor: str | None) -> int:
    return 0 if cursor is None else Cursor.parse(cursor).seq


def _next_id(facts: Facts, reading: Reading, session: Session, place: int) -> int | None:
    """Return the id of the stream's row that a reader is about to learn of, by the first event that follows."""
    for item in session.items[place + 1 :]:
        if item.kind is ItemKind.EVENT:
            stored = facts.find(reading.stream, item)
            return None if stored is None else stored.stream_id
    row = facts.rows.get(reading.stream)
    return None if row is None else row.id


def all_arrives(facts: Facts, readings: Sequence[Reading]) -> Iterator[tuple[str, str]]:
    """Each reader gets all that is there, and the end of what was closed or deleted."""
    for reading in readings:
        row = facts.rows.get(reading.stream)
        if row is None:
            if reading.seq and reading.end is None:
                yield reading.stream, f"{reading.reader} never got the end of the deleted stream"
            continue
        if reading.is_lost:
            yield reading.stream, f"{reading.reader} was never told that event {reading.seq} is lost"
        elif reading.seq != row.last_seq or reading.id not in (None, row.id):
            yield reading.stream, f"{reading.reader} got events up to {reading.seq}, of {row.last_seq}"
        elif row.is_closed and reading.end is None:
            yield reading.stream, f"{reading.reader} never got the end of the closed stream"
        elif reading.end is not None and reading.end.last != row.last_seq:
            yield reading.stream, f"{reading.reader} was given the end at {reading.end.last}, of {row.last_seq}"
