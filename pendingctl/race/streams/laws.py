"""The laws of streams, each as a function of a race's facts that yields a stream and what is wrong with it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ..history.history import Outcome
from .facts import SURELY_NOT_DONE, Facts
from .history import Append, Ending, EndingKind, Tag

Finding = tuple[str | None, str]


def numbers_without_gaps(facts: Facts) -> Iterator[Finding]:
    """The committed numbers of a stream are 1 to n, each once, and those that their writers were given."""
    last: defaultdict[int, int] = defaultdict(int)
    for (id, seq), events in facts.by_number.items():
        last[id] = max(last[id], seq)
        if len(events) > 1:
            yield facts.ids[id], f"number {seq} is that of {len(events)} events"
    for row in facts.rows.values():
        if row.last_seq != last[row.id]:
            yield row.stream, f"the row's last number is {row.last_seq}, that of the last event {last[row.id]}"
    for id, end in last.items():
        if (missing := next((seq for seq in range(1, end) if (id, seq) not in facts.by_number), None)) is not None:
            yield facts.ids[id], f"number {missing} is missing before {end}"
    yield from _partly_there(facts)
    for append in _acknowledged(facts):
        if append.last_seq != (append.first_seq or 0) + append.events - 1:
            yield append.stream, f"{append.name} was given numbers {append.first_seq} to {append.last_seq}"
        for place in range(append.events):
            seq = (append.first_seq or 0) + place
            if facts.may_be_lost(Tag(append.stream, append.name, place)):
                continue
            events = facts.by_tag.get(Tag(append.stream, append.name, place), [])
            if seq not in [event.seq for event in events]:
                yield append.stream, f"{append.name} was given number {seq} for its event {place}, which is not there"


def _partly_there(facts: Facts) -> Iterator[Finding]:
    """What was appended is there as a whole; what surely was not, or by nobody, is not there at all."""
    parts: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for (stream, name), attempts in facts.attempts.items():
        if attempts[0].transaction is not None and not facts.may_be_lost(Tag(stream, name, 0)):
            parts[attempts[0].transaction].add((stream, name))
    for (stream, name), pairs in facts.by_append.items():
        attempts = facts.attempts.get((stream, name), [])
        elsewhere = {facts.ids[event.stream_id] for _, event in pairs} - {stream}
        if elsewhere:
            yield stream, f"{name} stands in {min(elsewhere)}"
        if not attempts:
            yield stream, f"event {pairs[0][1].seq} is {name}, which nobody has appended"
        elif all(attempt.outcome in SURELY_NOT_DONE for attempt in attempts):
            yield stream, f"{name} is there, although it was {attempts[-1].outcome}"
        elif len({tag.place for tag, _ in pairs}) < attempts[0].events:
            yield stream, f"of {name} only a part is there"
    for name, of_transaction in parts.items():
        missing = sorted(of_transaction - facts.by_append.keys())
        if 0 < len(missing) < len(of_transaction):
            yield missing[0][0], f"of transaction {name} only a part is there, without {missing[0][1]}"


def appends_in_order(facts: Facts) -> Iterator[Finding]:
    """What is appended later comes later, and nothing stands between what was appended together."""
    placed: defaultdict[int, list[_Placed]] = defaultdict(list)
    together: defaultdict[tuple[str, int, str], list[tuple[int, int, int]]] = defaultdict(list)
    for (stream, name), pairs in facts.by_append.items():
        attempts = facts.attempts.get((stream, name))
        if attempts is None:
            continue
        for tag, event in pairs:
            place = (attempts[0].number, tag.place, event.seq)
            together[stream, event.stream_id, attempts[0].transaction or name].append(place)
        # Of what was appended twice, or lost and repeated, nobody knows which attempt has done it.
        is_known = len(attempts) == 1 or not facts.may_be_lost(Tag(stream, name, 0))
        if is_known and len(pairs) == attempts[0].events:
            returned = [each.ended_ns for each in attempts if each.outcome is Outcome.OK and each.ended_ns is not None]
            placed[pairs[0][1].stream_id].append(
                _Placed(stream, name, attempts[0].started_ns, min(returned, default=None), pairs[0][1].seq)
            )
    for appends in placed.values():
        yield from _out_of_order(appends)
    for (stream, _, name), places in together.items():
        seqs = [seq for _, _, seq in sorted(places)]
        if seqs != sorted(seqs):
            yield stream, f"the events of {name} are in another order than it gave them"
        # What was appended twice is another law's.
        if max(seqs) - min(seqs) >= len(seqs):
            yield stream, f"other events stand between those of {name}: its numbers are {_listed(sorted(seqs))}"


@dataclass(frozen=True, slots=True)
class _Placed:
    """An append and the number of its first event; None of it has returned where `returned_ns` is None."""

    stream: str
    name: str
    started_ns: int
    returned_ns: int | None
    seq: int


def _out_of_order(appends: list[_Placed]) -> Iterator[Finding]:
    returned = sorted((each.returned_ns, each.seq, each.name) for each in appends if each.returned_ns is not None)
    place, last, name = 0, 0, ""
    for append in sorted(appends, key=lambda append: append.started_ns):
        while place < len(returned) and returned[place][0] < append.started_ns:
            last, name = max((last, name), returned[place][1:])
            place += 1
        if last > append.seq:
            yield append.stream, f"{append.name} began after {name} had returned, and came before it: {append.seq}"


def nothing_young_removed(facts: Facts) -> Iterator[Finding]:
    """What is younger than the retention is there, from its writer's reply on, or since it was seen."""
    since = {tag: min(map(facts.seen_from, events)) for tag, events in facts.by_tag.items()}
    for append in _acknowledged(facts):
        for place in range(append.events):
            tag, ended = Tag(append.stream, append.name, place), append.ended_ns or 0
            since[tag] = min(since.get(tag, ended), ended)
    for tag, since_ns in since.items():
        if facts.may_be_lost(tag):
            continue
        events = set(facts.by_tag.get(tag, ()))
        for snapshot, there in zip(facts.history.snapshots, facts.events_of, strict=True):
            if since_ns >= snapshot.started_ns or facts.may_be_gone(tag, snapshot.ended_ns):
                continue
            if events.isdisjoint(there):
                yield tag.stream, f"event {tag.place} of {tag.append} was removed before its time"
                break


def retry_appends_once(facts: Facts) -> Iterator[Finding]:
    """An append that is repeated from the position that it expects is there once, and returns the same."""
    for tag, events in facts.by_tag.items():
        if len(events) > 1:
            numbers = _listed(sorted(event.seq for event in events))
            yield tag.stream, f"event {tag.place} of {tag.append} is there {len(events)} times: {numbers}"
    for (stream, name), attempts in facts.attempts.items():
        if facts.may_be_lost(Tag(stream, name, 0)):
            continue
        returned = {(each.first_seq, each.last_seq) for each in attempts if each.outcome is Outcome.OK}
        is_there = bool(returned) or (len(attempts) > 1 and (stream, name) in facts.by_append)
        if is_there and attempts[-1].outcome is Outcome.REFUSED:
            yield stream, f"the repetition of {name} was refused: {attempts[-1].detail}"
        if len(returned) > 1:
            yield stream, f"the attempts of {name} returned different numbers: {_listed(sorted(map(str, returned)))}"


def closed_stays_closed(facts: Facts) -> Iterator[Finding]:
    """Nothing is appended after a close, the row says so, and its readers get the end; nor to what was deleted."""
    for ending in facts.history.endings:
        if ending.outcome is not Outcome.OK or ending.ended_ns is None:
            continue
        if ending.kind is EndingKind.DELETE:
            yield from _still_there(facts, ending)
            continue
        for append in _acknowledged(facts):
            if append.stream == ending.stream and append.started_ns > ending.ended_ns:
                yield ending.stream, f"{append.name} was appended after {ending.pod} had closed the stream"
        row = facts.rows.get(ending.stream)
        if row is None or not row.is_closed:
            yield ending.stream, f"{ending.pod} has closed the stream, which is open"
        elif ending.last_seq is not None and row.last_seq != ending.last_seq:
            yield ending.stream, f"closed after event {ending.last_seq}, it has {row.last_seq}"


def _still_there(facts: Facts, deleted: Ending) -> Iterator[Finding]:
    """What a deletion had to end is not there any more, and nothing comes to it."""
    stream, row = deleted.stream, facts.rows.get(deleted.stream)
    of_stream = [append for append in _acknowledged(facts) if append.stream == stream]
    ids = {
        append.name: {event.stream_id for _, event in facts.by_append.get((stream, append.name), ())}
        for append in of_stream
    }
    before = [ids[append.name] for append in of_stream if (append.ended_ns or 0) < deleted.started_ns]
    gone = set[int]().union(*before)
    # A failover may have brought it back.
    if row is not None and row.id in gone and not facts.has_failed_over(facts.history.snapshots[-1].ended_ns):
        yield stream, f"{deleted.pod} has deleted the stream, which is there"
    for append in of_stream:
        if append.started_ns > (deleted.ended_ns or 0) and not gone.isdisjoint(ids[append.name]):
            yield stream, f"{append.name} was appended to what {deleted.pod} had deleted"


def nothing_left_behind(facts: Facts) -> Iterator[Finding]:
    """The race has removed what it has stored."""
    for left in facts.history.left_behind:
        yield None, left


def _acknowledged(facts: Facts) -> Iterator[Append]:
    return (append for append in facts.history.appends if append.outcome is Outcome.OK)


def _listed(values: list[int] | list[str]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return shown + (", …" if len(values) > 8 else "")
