"""Broken streams: how events are appended, closed and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic

from psycopg.rows import scalar_row, tuple_row

from ...errors import PendingctlError, StreamClosed
from ...events import statements
from ...events.model import Appended, NewEvent, StreamName
from ...events.ring import LONGEST_APPEND, Ring, Turn
from ...postgres.connections import Borrowed, Connection, in_transaction
from ...postgres.time_limits import Purpose
from .racing import RacingStreams

_CREATE = """
    insert into pending_stream (organization_id, name)
    values (%(organization_id)s, %(name)s)
    on conflict (organization_id, name) do nothing
"""
_FIND = """
    select id
    from pending_stream
    where organization_id = %(organization_id)s and name = %(name)s and closed_at is null
"""
_MAX = "select coalesce(max(seq), 0) from pending_stream_event where stream_id = %(id)s"
_INSERT = """
    insert into pending_stream_event (slot, stream_id, seq, at, type, data)
    select slot, %(id)s, %(seq)s, clock_timestamp(), %(type)s, %(data)s
    from pending_stream_ring
    on conflict do nothing
"""
_MOVE_ON = """
    update pending_stream
    set last_seq = greatest(last_seq, %(seq)s), last_at = clock_timestamp()
    where id = %(id)s
"""
_COUNT = "update pending_stream set last_seq = last_seq + 1 where id = %(id)s returning last_seq"
_NOW = "select clock_timestamp()"
_APPENDED_SINCE_THE_TURN = """
    select exists (
        select
        from pending_stream_ring as ring
        join pending_stream_event as event on event.slot = ring.slot and event.at > ring.turned_at
    )
"""
_MOST_SECONDS = 5.0


class _OwnAppends(RacingStreams):
    """Appends with statements of its own, in several steps."""

    _moves_on = True

    async def append(
        self,
        stream: StreamName,
        events: Sequence[NewEvent],
        *,
        expected: int | None = None,
        connection: Connection | None = None,
    ) -> Appended:
        """Append as the control does, but from an expected position as the product does."""
        if expected is not None:
            return await super().append(stream, events, expected=expected, connection=connection)
        if connection is not None:
            return await self._write(connection, stream, events)
        async with in_transaction(self._lending, purpose=Purpose.APPEND) as own:
            appended = await self._write(own, stream, events)
        self.wake(stream)
        return appended

    async def append_many(
        self, appends: Mapping[StreamName, Sequence[NewEvent]]
    ) -> dict[StreamName, Appended | PendingctlError]:
        """Append to one stream after the other."""
        return {stream: await self.append(stream, events) for stream, events in appends.items()}

    async def _write(self, connection: Connection, stream: StreamName, events: Sequence[NewEvent]) -> Appended:
        names = {"organization_id": stream.organization_id, "name": stream.name}
        id: int | None = await _one(connection, _FIND, names)
        if id is None:
            # By another connection, so that others see it at once.
            async with Borrowed(self._lending, purpose=Purpose.APPEND) as other:
                await other.execute(_CREATE, names)
            id = await _one(connection, _FIND, names)
        if id is None:
            raise StreamClosed(f"stream {stream.name} is closed")
        seqs = []
        for place, event in enumerate(events):
            seqs.append(await self._number(connection, id, place))
            await connection.execute(_INSERT, {"id": id, "seq": seqs[-1], "type": event.type, "data": event.data})
        if self._moves_on:
            await connection.execute(_MOVE_ON, {"id": id, "seq": seqs[-1]})
        at: datetime | None = await _one(connection, _NOW, {})
        assert at is not None
        return Appended(seqs[0], seqs[-1], at)

    async def _number(self, connection: Connection, id: int, place: int) -> int:
        raise NotImplementedError


class MaxPlusOne(_OwnAppends):
    """Takes the greatest number that it sees, and one more: two that append at once see the same."""

    async def _number(self, connection: Connection, id: int, place: int) -> int:
        greatest: int | None = await _one(connection, _MAX, {"id": id})
        await asyncio.sleep(0.002)
        return (greatest or 0) + 1


class SerialCursor(_OwnAppends):
    """Draws each number from a counter that no transaction holds, as a serial column does."""

    _moves_on = False

    async def _number(self, connection: Connection, id: int, place: int) -> int:
        async with Borrowed(self._lending, purpose=Purpose.APPEND) as other:
            number: int | None = await _one(other, _COUNT, {"id": id})
        assert number is not None
        await asyncio.sleep(0.002)
        return number


class RetryWithoutExpected(RacingStreams):
    """Repeats an append without a look at whether the first attempt had succeeded."""

    async def append(
        self,
        stream: StreamName,
        events: Sequence[NewEvent],
        *,
        expected: int | None = None,
        connection: Connection | None = None,
    ) -> Appended:
        """Append, wherever the stream is."""
        return await super().append(stream, events, connection=connection)


class EndInMemory(RacingStreams):
    """Keeps in the pod's memory that a stream is closed."""

    async def close(self, stream: StreamName, *, connection: Connection | None = None) -> int:
        """Return the last number, and write nothing."""
        return (await self.show(stream)).stream.last_seq


class BatchWaits(RacingStreams):
    """Appends to several streams in one transaction, which waits for whatever somebody has locked."""

    async def append_many(
        self, appends: Mapping[StreamName, Sequence[NewEvent]]
    ) -> dict[StreamName, Appended | PendingctlError]:
        """Append to all of them or none."""
        done: dict[StreamName, Appended | PendingctlError] = {}
        async with in_transaction(self._lending, purpose=Purpose.APPEND) as connection:
            for stream in sorted(appends):
                done[stream] = await self.append(stream, appends[stream], connection=connection)
        self.wake(*appends)
        return done


class TurnWithoutTruncatingNext(Ring):
    """Moves on to the next table, and empties it only then."""

    async def turn(self) -> Turn:
        """Turn the ring; what is appended before the table is emptied is lost."""
        async with in_transaction(self._source, purpose=Purpose.SWEEP) as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            await cursor.execute(statements.TURN_DUE, {"lock_timeout": "1s", "longest_append": LONGEST_APPEND})
            slot = await cursor.fetchone()
            if slot is None:
                return Turn.NOT_DUE
            following = (slot + 1) % len(statements.TRUNCATE)
            await cursor.execute(statements.TURNED, {"slot": following, "pod": self._pod})
        await self._until_something_was_appended()
        async with in_transaction(self._source, purpose=Purpose.SWEEP) as connection:
            await connection.execute(statements.TRUNCATE[following])
        return Turn.TURNED

    async def _until_something_was_appended(self) -> None:
        until = monotonic() + _MOST_SECONDS
        while monotonic() < until:
            async with Borrowed(self._source, purpose=Purpose.SWEEP) as connection:
                if await _one(connection, _APPENDED_SINCE_THE_TURN, {}):
                    return
            await asyncio.sleep(0.01)


async def _one(connection: Connection, statement: str, parameters: Mapping[str, object]):  # type: ignore[no-untyped-def]
    row = await (await connection.cursor(row_factory=tuple_row).execute(statement.encode(), parameters)).fetchone()
    return None if row is None else row[0]
