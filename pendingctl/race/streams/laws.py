"""The laws of streams, each as a function of a race's facts that yields a stream and what is wrong with it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ..history.history import Outcome
from .facts import Facts
from .history import Append, EndingKind, StruckFault, Tag, Way
from .plan import HARMLESS, LOCKING

Finding = tuple[str | None, str]

# An append that nothing holds up is read within this; in a race on busy processors nearly always within a tenth of it.
PROMPT_SECONDS = 2.0


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
    for append in _acknowledged(facts):
        for place in range(append.events):
            seq = (append.first_seq or 0) + place
            if facts.may_be_lost(Tag(append.stream, append.name, place)):
                continue
            events = facts.by_tag.get(Tag(append.stream, append.name, place), [])
            if seq not in [event.seq for event in events]:
                yield append.stream, f"{append.name} was given number {seq} for its event {place}, which is not there"


def appends_in_order(facts: Facts) -> Iterator[Finding]:
    """What is appended later comes later, and nothing stands between what was appended together."""
    by_id: defaultdict[int, list[Append]] = defaultdict(list)
    for append in _acknowledged(facts):
        events = facts.by_append.get((append.stream, append.name))
        if events and not append.is_repeated and len(facts.attempts[append.stream, append.name]) == 1:
            by_id[events[0][1].stream_id].append(append)
    for appends in by_id.values():
        yield from _out_of_order(appends)
    together: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
    transactions = {
        (append.stream, append.name): append.transaction for append in facts.history.appends if append.transaction
    }
    for (stream, name), pairs in facts.by_append.items():
        for _, event in pairs:
            together[stream, event.stream_id, transactions.get((stream, name), name)].append(event.seq)
        seqs = [event.seq for _, event in pairs]
        if seqs != sorted(seqs):
            yield stream, f"the events of {name} are in another order than it gave them"
    for (stream, _, name), seqs in together.items():
        # What was appended twice is another law's.
        if max(seqs) - min(seqs) >= len(seqs):
            yield stream, f"other events stand between those of {name}: its numbers are {_listed(sorted(seqs))}"


def _out_of_order(appends: list[Append]) -> Iterator[Finding]:
    ended = sorted(appends, key=lambda append: append.ended_ns or 0)
    place, before = 0, None
    for append in sorted(appends, key=lambda append: append.started_ns):
        while place < len(ended) and (ended[place].ended_ns or 0) < append.started_ns:
            if before is None or (ended[place].last_seq or 0) > (before.last_seq or 0):
                before = ended[place]
            place += 1
        if before is not None and (before.last_seq or 0) >= (append.first_seq or 0):
            yield (
                append.stream,
                f"{append.name} began after {before.name} had returned {before.last_seq}, and got {append.first_seq}",
            )


def nothing_young_removed(facts: Facts) -> Iterator[Finding]:
    """What is younger than the retention is there."""
    for append in _acknowledged(facts):
        for place in range(append.events):
            tag = Tag(append.stream, append.name, place)
            if facts.may_be_lost(tag):
                continue
            events = set(facts.by_tag.get(tag, ()))
            for snapshot, there in zip(facts.history.snapshots, facts.events_of, strict=True):
                if (append.ended_ns or 0) >= snapshot.started_ns or facts.may_be_gone(tag, snapshot.ended_ns):
                    continue
                if events.isdisjoint(there):
                    yield append.stream, f"event {place} of {append.name} was removed before its time"
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
        if returned and attempts[-1].outcome is Outcome.REFUSED:
            yield stream, f"the repetition of {name} was refused: {attempts[-1].detail}"
        if len(returned) > 1:
            yield stream, f"the attempts of {name} returned different numbers: {_listed(sorted(map(str, returned)))}"


def closed_stays_closed(facts: Facts) -> Iterator[Finding]:
    """Nothing is appended after a close, the row says so, and its readers get the end."""
    for ending in facts.history.endings:
        if ending.kind is not EndingKind.CLOSE or ending.outcome is not Outcome.OK or ending.ended_ns is None:
            continue
        for append in _acknowledged(facts):
            if append.stream == ending.stream and append.started_ns > ending.ended_ns:
                yield ending.stream, f"{append.name} was appended after {ending.pod} had closed the stream"
        row = facts.rows.get(ending.stream)
        if row is None or not row.is_closed:
            yield ending.stream, f"{ending.pod} has closed the stream, which is open"
        elif ending.last_seq is not None and row.last_seq != ending.last_seq:
            yield ending.stream, f"closed after event {ending.last_seq}, it has {row.last_seq}"


def lock_holds_up_no_other(facts: Facts) -> Iterator[Finding]:
    """While a stream is locked, what is appended to others together with it is read as soon as ever."""
    for fault in facts.history.faults:
        if fault.kind in LOCKING:
            for append, waited in _late(facts, fault):
                if append.stream != fault.stream and append.way is Way.TOGETHER:
                    yield append.stream, f"{append.name} was read {waited}, beside {fault.stream}, which was locked"


def nobody_is_delayed(facts: Facts) -> Iterator[Finding]:
    """What is appended while some readers stall, or during a backup, is read as soon as ever."""
    for fault in facts.history.faults:
        if fault.kind in HARMLESS:
            for append, waited in _late(facts, fault):
                # Readers that have got the end of a stream come back later.
                if not facts.was_deleted(append.stream, append.started_ns):
                    yield append.stream, f"{append.name} was read {waited}, during the fault {fault.kind}"


def _late(facts: Facts, fault: StruckFault) -> Iterator[tuple[Append, str]]:
    """Yield what was appended during a fault and not read in time, and after how long it was."""
    prompt_ns = round(PROMPT_SECONDS * 1e9)
    for append in facts.history.appends:
        if (
            fault.ended_ns is not None
            and append.outcome is not Outcome.REFUSED
            and append.way is not Way.ROLLED_BACK
            and fault.started_ns < append.started_ns < fault.ended_ns - prompt_ns
        ):
            read_ns = facts.received.get(str(Tag(append.stream, append.name, 0)))
            if read_ns is None or read_ns - append.started_ns > prompt_ns:
                yield append, "never" if read_ns is None else f"after {(read_ns - append.started_ns) / 1e9:.1f} s"


def nothing_left_behind(facts: Facts) -> Iterator[Finding]:
    """The race has removed what it has stored."""
    for left in facts.history.left_behind:
        yield None, left


def _acknowledged(facts: Facts) -> Iterator[Append]:
    return (append for append in facts.history.appends if append.outcome is Outcome.OK)


def _listed(values: list[int] | list[str]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return shown + (", …" if len(values) > 8 else "")
