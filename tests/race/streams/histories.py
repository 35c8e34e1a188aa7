"""Hand-written histories of streams: what a race leaves when all is well, to be broken in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pendingctl.events.model import Cursor
from pendingctl.race.history.history import Outcome
from pendingctl.race.streams.history import (
    Append,
    Ending,
    EndingKind,
    Item,
    ItemKind,
    RingTurn,
    Session,
    Snapshot,
    StoredEvent,
    StoredStream,
    StreamHistory,
    StruckFault,
    Tag,
    Way,
)
from pendingctl.race.streams.plan import StreamFaultKind

TALK = "acme/talk"
SECOND = 1_000_000_000
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Writing:
    """A history under construction; each step takes a second, unless it says when."""

    now: int = 0
    appends: list[Append] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    turns: list[RingTurn] = field(default_factory=list)
    faults: list[StruckFault] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    rows: dict[str, StoredStream] = field(default_factory=dict)
    ids: int = 0
    histories: int = 0

    def tick(self) -> int:
        self.now += SECOND
        return self.now

    def append(
        self,
        name: str,
        *,
        stream: str = TALK,
        events: int = 1,
        way: Way = Way.ALONE,
        transaction: str | None = None,
        started: int | None = None,
        outcome: Outcome = Outcome.OK,
    ) -> Append:
        """Append as the product does."""
        row = self.rows.get(stream)
        if row is None:
            self.ids += 1
            row = StoredStream(self.ids, stream, 0, False)
        began = self.tick() if started is None else started
        append = Append(
            f"pod-{len(self.appends) % 2}",
            len(self.appends),
            name,
            stream,
            way,
            events,
            began,
            self.tick(),
            outcome,
            row.last_seq + 1,
            row.last_seq + events,
            transaction=transaction,
        )
        self.appends.append(append)
        for place in range(events):
            self.store(row.id, row.last_seq + 1 + place, Tag(stream, name, place))
        self.rows[stream] = StoredStream(row.id, stream, row.last_seq + events, False)
        return append

    def store(self, id: int, seq: int, tag: Tag) -> None:
        self.events.append(
            StoredEvent(id, seq, (at_of(id, seq) + timedelta(hours=self.histories)).isoformat(), str(tag))
        )

    def end(self, kind: EndingKind, *, stream: str = TALK) -> None:
        row = self.rows.pop(stream)
        if kind is EndingKind.CLOSE:
            self.rows[stream] = StoredStream(row.id, stream, row.last_seq, True)
        self.endings.append(
            Ending("pod-0", 100 + len(self.endings), stream, kind, self.tick(), self.tick(), Outcome.OK, row.last_seq)
        )

    def event(self, seq: int, id: int = 1) -> Item:
        stored = next(each for each in self.events if (each.stream_id, each.seq) == (id, seq))
        return Item(self.tick(), ItemKind.EVENT, seq, seq, stored.at, stored.data)

    def item(self, kind: ItemKind, first: int, last: int | None = None) -> Item:
        return Item(self.tick(), kind, first, first if last is None else last)

    def read(
        self,
        items: Sequence[Item],
        *,
        reader: str = "r1",
        stream: str = TALK,
        after: str | None = None,
        pod: str = "pod-7",
    ) -> None:
        self.sessions.append(Session(pod, len(self.sessions), reader, stream, after, len(self.sessions), tuple(items)))

    def snapshot(self) -> None:
        self.snapshots.append(Snapshot(self.tick(), self.tick(), tuple(self.rows.values()), tuple(self.events)))

    def turn(self) -> None:
        self.snapshot()
        self.turns.append(RingTurn(self.tick(), self.tick()))

    def lock(self, stream: str, seconds: int) -> StruckFault:
        fault = StruckFault(StreamFaultKind.LOCK, self.now, self.now + seconds * SECOND, True, stream=stream)
        self.faults.append(fault)
        return fault

    def lose(self, began: int, *, last_seq: int, stream: str = TALK) -> None:
        """Fail over since then, and lose what came after this event."""
        row = self.rows[stream]
        self.rows[stream] = StoredStream(row.id, stream, last_seq, False)
        self.events = [each for each in self.events if (each.stream_id, each.seq > last_seq) != (row.id, True)]
        self.faults.append(StruckFault(StreamFaultKind.FAILOVER, began, self.tick(), True))
        self.snapshot()
        self.histories += 1

    def history(self) -> StreamHistory:
        self.snapshot()
        return StreamHistory(
            tuple(self.appends),
            tuple(self.endings),
            tuple(self.sessions),
            tuple(self.snapshots),
            tuple(self.turns),
            tuple(self.faults),
        )


def at_of(id: int, seq: int) -> datetime:
    return _DAY + timedelta(days=id, seconds=seq)


def cursor(seq: int, id: int = 1) -> str:
    return str(Cursor(seq, at_of(id, seq)))
