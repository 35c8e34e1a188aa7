"""Broken streams: how they are followed."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import LiteralString

from psycopg.rows import scalar_row

from ...errors import StreamMissing
from ...events.clients import Subscription
from ...events.following import Following
from ...events.model import START, Appended, Cursor, Event, NewEvent, StreamItem, StreamName
from ...events.reader import Reader
from ...postgres.connections import Borrowed, Connection, ConnectionSource
from .racing import RacingStreams

Items = AsyncGenerator[tuple[StreamItem, Cursor], None]

_CHANNEL = "pendingctl_race"
_NEXT = "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_OLDEST = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class ReadBeforeRegister(RacingStreams):
    """Reads what is there, and then waits for what is new from then on: what came in between is lost."""

    async def items(self, stream: StreamName, after: Cursor | None) -> Items:
        """Yield the past, and then the future."""
        position, is_complete = after or START, False
        while not is_complete:
            page = await self.read(stream, position)
            for item in page.items:
                position = item.cursor if isinstance(item, Event) else position
                yield item, position
            position, is_complete = page.after, page.is_complete
        await asyncio.sleep(0.05)
        with suppress(StreamMissing):
            position = (await self.show(stream)).stream.cursor
        async with aclosing(super().items(stream, position)) as items:
            async for each in items:
                yield each


class DropWhenFull(RacingStreams):
    """Gives each reader a short queue, and drops what does not fit in."""

    async def items(self, stream: StreamName, after: Cursor | None) -> Items:
        """Yield what the queue had room for."""
        queue: asyncio.Queue[tuple[StreamItem, Cursor] | None] = asyncio.Queue(2)

        async def fill() -> None:
            async with aclosing(super(DropWhenFull, self).items(stream, after)) as items:
                async for each in items:
                    with suppress(asyncio.QueueFull):
                        queue.put_nowait(each)
            await queue.put(None)

        filling = asyncio.create_task(fill())
        try:
            while (each := await queue.get()) is not None:
                yield each
                await asyncio.sleep(0.02)
        finally:
            filling.cancel()


class NoGeneration(RacingStreams):
    """Takes a cursor for a number, whatever stream it was of."""

    async def items(self, stream: StreamName, after: Cursor | None) -> Items:
        """Read on after the event that has the number now."""
        if after is not None and after.seq:
            page = await self.read(stream, START, limit=min(after.seq, 10_000))
            same = [item for item in page.items if isinstance(item, Event) and item.seq == after.seq]
            after = same[0].cursor if same else after
        async with aclosing(super().items(stream, after)) as items:
            async for each in items:
                yield each


class NoOrganization(RacingStreams):
    """Looks for a stream by its name alone."""

    async def items(self, stream: StreamName, after: Cursor | None) -> Items:
        """Read the first stream of this name."""
        found = [each.name for each in await self.list(limit=10_000) if each.name.name == stream.name]
        async with aclosing(super().items(min([*found, stream]), after)) as items:
            async for each in items:
                yield each


class NotifyOnly(RacingStreams):
    """Looks at a stream when a wake-up has come, and never otherwise."""

    def __init__(
        self, source: ConnectionSource, *, pod: str, is_waking: bool = True, listen_dsn: str | None = None
    ) -> None:
        super().__init__(source, pod=pod, is_waking=is_waking, listen_dsn=listen_dsn)
        self._following = _FollowingWakeUps(source, listen_dsn=listen_dsn)


class _FollowingWakeUps(Following):
    def subscribe(self, stream: StreamName, after: Cursor | None = None) -> Subscription:
        if self._reader is None:
            self._reader = _ReaderOfWakeUps(self._source)
        return super().subscribe(stream, after)


class _ReaderOfWakeUps(Reader):
    async def _poll(self, connection: Connection) -> None:
        self._poll_at = math.inf if self.polls else 0.0
        self.polls += 1


class XminCursor(RacingStreams):
    """Yields what came before the oldest transaction that is open: whatever that is, it holds up all readers."""

    async def items(self, stream: StreamName, after: Cursor | None) -> Items:
        """Yield each item when all transactions are over that had begun by then."""
        async with aclosing(super().items(stream, after)) as items:
            async for each in items:
                next_id = await self._transaction_id(_NEXT)
                while await self._transaction_id(_OLDEST) < next_id:  # noqa: ASYNC110 (nothing announces it)
                    await asyncio.sleep(0.2)
                yield each

    async def _transaction_id(self, statement: LiteralString) -> int:
        async with Borrowed(self._lending) as connection:
            cursor = await connection.cursor(row_factory=scalar_row).execute(statement)
            return int(await cursor.fetchone() or 0)


class NotifyInAdvance(RacingStreams):
    """Sends the events themselves to the readers, before the transaction has ended."""

    async def append(
        self,
        stream: StreamName,
        events: Sequence[NewEvent],
        *,
        expected: int | None = None,
        connection: Connection | None = None,
    ) -> Appended:
        """Append, and send them."""
        appended = await super().append(stream, events, expected=expected, connection=connection)
        async with Borrowed(self._lending) as other:
            for place, event in enumerate(events):
                sent = [
                    *(stream.organization_id, stream.name, appended.first_seq + place),
                    *(appended.at.isoformat(), event.type, event.data),
                ]
                await other.execute(
                    "select pg_notify(%(channel)s, %(payload)s)", {"channel": _CHANNEL, "payload": json.dumps(sent)}
                )
        return appended

    async def items(self, stream: StreamName, after: Cursor | None) -> Items:
        """Yield what is sent."""
        async with Borrowed(self._lending) as place:
            conninfo = place.info.dsn
            password = place.info.password
        listening = await Connection.connect(conninfo, password=password, autocommit=True)
        async with listening:
            await listening.execute("listen pendingctl_race")
            async for notification in listening.notifies():
                organization_id, name, seq, at, type, data = json.loads(notification.payload)
                if StreamName(organization_id, name) == stream:
                    event = Event(seq, datetime.fromisoformat(at), type, data)
                    yield event, event.cursor
