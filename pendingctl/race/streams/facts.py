"""A history of a race on streams, as the checks look things up in it. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar

from ..history.history import Outcome
from .history import Append, EndingKind, Item, ItemKind, Session, StoredEvent, StoredStream, StreamHistory, Tag
from .plan import StreamFaultKind

K = TypeVar("K")
V = TypeVar("V")

# A table of the ring is truncated by the fourth turn after the one that began to fill it.
TURNS_UNTIL_GONE = 4
SURELY_NOT_DONE = (Outcome.FAILED, Outcome.REFUSED)


class Facts:
    """Where things are found. `history` is all that they come from."""

    def __init__(self, history: StreamHistory) -> None:
        self.history = history
        self._begun = sorted(turn.started_ns for turn in history.turns)
        self._ended = sorted(turn.ended_ns for turn in history.turns)

    @cached_property
    def stored(self) -> frozenset[StoredEvent]:
        """Every event that stood in the database at one time or another."""
        return frozenset(event for snapshot in self.history.snapshots for event in snapshot.events)

    @cached_property
    def lost(self) -> frozenset[StoredEvent]:
        """Those of them that a failover has lost."""
        lost: set[StoredEvent] = set()
        for began, ended in self._losses:
            after = [place for place, snapshot in enumerate(self.history.snapshots) if snapshot.started_ns >= ended]
            if after:
                before = set[StoredEvent]().union(*self.events_of[: after[0]])
                gone = before - self.events_of[after[0]]
                lost |= {event for event in gone if self._was_attempted(Tag.parse(event.data), began, ended)}
        return frozenset(lost)

    @cached_property
    def kept(self) -> frozenset[StoredEvent]:
        """The others: one history of each row of a stream."""
        return self.stored - self.lost

    @cached_property
    def events_of(self) -> list[frozenset[StoredEvent]]:
        """The events of each snapshot."""
        return [frozenset(snapshot.events) for snapshot in self.history.snapshots]

    @cached_property
    def _seen(self) -> dict[StoredEvent, tuple[int, int]]:
        """The places of the first and the last snapshot that has an event."""
        seen: dict[StoredEvent, tuple[int, int]] = {}
        for place, events in enumerate(self.events_of):
            for event in events:
                seen[event] = (seen.get(event, (place, place))[0], place)
        return seen

    def seen_from(self, event: StoredEvent) -> int:
        """Since when an event is known to stand in the database at the latest."""
        return self.history.snapshots[self._seen[event][0]].started_ns

    def seen_until(self, event: StoredEvent) -> int:
        """Until when it is known to have stood there at least."""
        return self.history.snapshots[self._seen[event][1]].started_ns

    def missing_until(self, event: StoredEvent) -> int:
        """Until when it is known not to have stood there at least; a snapshot is as of a moment after its beginning."""
        first = self._seen[event][0]
        return self.history.snapshots[first - 1].started_ns if first else 0

    @cached_property
    def by_number(self) -> dict[tuple[int, int], list[StoredEvent]]:
        """The events by the id of their stream's row and their number: one each, in a world without faults."""
        return _grouped(((event.stream_id, event.seq), event) for event in self.kept)

    @cached_property
    def ever_by_number(self) -> dict[tuple[int, int], list[StoredEvent]]:
        """The same with those that a failover has lost."""
        return _grouped(((event.stream_id, event.seq), event) for event in self.stored)

    @cached_property
    def by_tag(self) -> dict[Tag, list[StoredEvent]]:
        """The events by what their data says."""
        return _grouped((Tag.parse(event.data), event) for event in self.kept)

    @cached_property
    def by_append(self) -> dict[tuple[str, str], list[tuple[Tag, StoredEvent]]]:
        """The events by stream and append, in the order of their places."""
        found = _grouped(
            ((tag.stream, tag.append), (tag, event)) for tag, events in self.by_tag.items() for event in events
        )
        return {key: sorted(pairs, key=lambda pair: (pair[0].place, pair[1].seq)) for key, pairs in found.items()}

    @cached_property
    def ids(self) -> dict[int, str]:
        """The streams by the ids of their rows, deleted ones included."""
        ids = {row.id: row.stream for snapshot in self.history.snapshots for row in snapshot.streams}
        for event in self.stored:
            ids.setdefault(event.stream_id, Tag.parse(event.data).stream)
        return ids

    @cached_property
    def rows(self) -> dict[str, StoredStream]:
        """The streams that exist at the end."""
        last = self.history.snapshots[-1].streams if self.history.snapshots else ()
        return {row.stream: row for row in last}

    @cached_property
    def attempts(self) -> dict[tuple[str, str], list[Append]]:
        """The attempts of each append by stream and name, in the order of their beginning."""
        ordered = sorted(self.history.appends, key=lambda append: append.started_ns)
        return _grouped(((append.stream, append.name), append) for append in ordered)

    @cached_property
    def sessions(self) -> dict[str, list[Session]]:
        """The sessions of each reader, in order."""
        ordered = sorted(self.history.sessions, key=lambda session: session.started_ns)
        return _grouped((session.reader, session) for session in ordered)

    @cached_property
    def received(self) -> dict[str, int]:
        """When each event's data first reached a reader."""
        first: dict[str, int] = {}
        for session in self.history.sessions:
            for item in session.items:
                if item.data:
                    first[item.data] = min(item.at_ns, first.get(item.data, item.at_ns))
        return first

    def read_throughout(self, stream: str, began: int, ended: int) -> list[dict[str, int]]:
        """What each reader got, and when, that read a stream on one pod all the while between two moments."""
        return [
            {item.data: item.at_ns for item in session.items if item.data}
            for sessions in self.sessions.values()
            for session, following in zip(sessions, [*sessions[1:], None], strict=True)
            if session.stream == stream
            and session.started_ns < began
            and (session.ended_ns is None or session.ended_ns > ended)
            and (following is None or following.started_ns > ended)
            and not any(item.kind is ItemKind.END and item.at_ns < ended for item in session.items)
        ]

    def find(self, stream: str, item: Item) -> StoredEvent | None:
        """Return the event of a stream that a reader was given, if it was ever there."""
        events = (event for id, name in self.ids.items() if name == stream for event in self._at(id, item))
        return next(events, None)

    def _at(self, id: int, item: Item) -> list[StoredEvent]:
        return [
            event
            for event in self.ever_by_number.get((id, item.first), ())
            if (event.at, event.data) == (item.at, item.data)
        ]

    def was_deleted(self, stream: str, before_ns: int) -> bool:
        """Whether somebody had begun to delete the stream by then, and may have succeeded."""
        return self._count_endings(stream, EndingKind.DELETE, before_ns) > 0

    def was_closed(self, stream: str, before_ns: int) -> bool:
        """The same of closing it."""
        return self._count_endings(stream, EndingKind.CLOSE, before_ns) > 0

    def count_histories_ended(self, stream: str, before_ns: int) -> int:
        """Return how often at most the stream may have come to have another history by then."""
        failovers = sum(began < before_ns for began, _ in self._losses)
        return failovers + self._count_endings(stream, EndingKind.DELETE, before_ns)

    def _count_endings(self, stream: str, kind: EndingKind, before_ns: int) -> int:
        return sum(
            ending.stream == stream
            and ending.kind is kind
            and ending.started_ns < before_ns
            and ending.outcome not in SURELY_NOT_DONE
            for ending in self.history.endings
        )

    @cached_property
    def _losses(self) -> list[tuple[int, int]]:
        """Between which moments commits were lost."""
        return [
            (fault.started_ns, fault.ended_ns)
            for fault in self.history.faults
            if fault.kind is StreamFaultKind.FAILOVER and fault.ended_ns is not None
        ]

    def has_failed_over(self, before_ns: int) -> bool:
        """Whether a failover had begun by then, after which a stream may have another history."""
        return any(began < before_ns for began, _ in self._losses)

    def may_be_lost(self, tag: Tag) -> bool:
        """Whether a failover may have lost an event, as somebody tried to append it meanwhile."""
        return any(self._was_attempted(tag, began, ended) for began, ended in self._losses)

    def _was_attempted(self, tag: Tag, began: int, ended: int) -> bool:
        return any(
            attempt.started_ns <= ended and (attempt.ended_ns is None or attempt.ended_ns >= began)
            for attempt in self.attempts.get((tag.stream, tag.append), ())
        )

    def may_be_gone(self, tag: Tag, at_ns: int) -> bool:
        """Whether the ring may have removed an event by then, of which it has kept younger ones for three turns."""
        attempts = self.attempts.get((tag.stream, tag.append))
        since = attempts[0].started_ns if attempts else 0
        turned = bisect_left(self._begun, at_ns) - bisect_right(self._ended, since)
        return turned >= TURNS_UNTIL_GONE


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    found: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found
