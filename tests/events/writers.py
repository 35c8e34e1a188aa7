"""Writers of streams in plain SQL, which wake nobody unless they are to, and what readers get of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg

from pendingctl.events.model import Cursor, Event, StreamItem, StreamName
from pendingctl.events.waking import CHANNEL, key_of

CHAT = StreamName("acme", "chat")
APPEND = """
    with head as (
        insert into pending_stream as stream (organization_id, name, last_seq)
        values (%(organization_id)s, %(name)s, cardinality(%(datas)s::text[]))
        on conflict (organization_id, name) do update
        set last_seq = stream.last_seq + excluded.last_seq, last_at = greatest(stream.last_at, clock_timestamp())
        returning id, last_seq, last_at
    ), written as (
        insert into pending_stream_event (slot, stream_id, seq, at, type, data)
        select ring.slot, head.id, head.last_seq - cardinality(%(datas)s::text[]) + place, head.last_at, 'said', data
        from head cross join pending_stream_ring as ring
        cross join unnest(%(datas)s::text[]) with ordinality as event (data, place)
    )
    select last_seq, last_at from head
"""


def append(connection: psycopg.Connection, *datas: str, stream: StreamName = CHAT, wakes: bool = False) -> Cursor:
    """Append events, and return the position after them."""
    row = connection.execute(
        APPEND, {"organization_id": stream.organization_id, "name": stream.name, "datas": list(datas)}
    ).fetchone()
    assert row is not None
    if wakes:
        wake(connection, stream)
    return Cursor(row[0], row[1])


def append_numbers(connection: psycopg.Connection, first: int, last: int, *, stream: StreamName = CHAT) -> Cursor:
    """Append events whose data are their numbers."""
    return append(connection, *(str(number) for number in range(first, last + 1)), stream=stream)


def wake(connection: psycopg.Connection, *streams: StreamName) -> None:
    connection.execute("select pg_notify(%s, %s)", [CHANNEL, " ".join(map(key_of, streams))])


def heard(connection: psycopg.Connection) -> list[str]:
    """The payloads of the notifications that were sent so far, to a connection that listens.

    They come in the order of their commits, so that one of its own is the last.
    """
    connection.execute("select pg_notify(%s, 'the last')", [CHANNEL])
    payloads: list[str] = []
    for notification in connection.notifies(timeout=30):
        if notification.payload == "the last":
            return payloads
        payloads.append(notification.payload)
    raise TimeoutError("no notification comes through")


def close(connection: psycopg.Connection, stream: StreamName = CHAT) -> None:
    connection.execute("update pending_stream set closed_at = now() where name = %s", [stream.name])


def delete(connection: psycopg.Connection, stream: StreamName = CHAT) -> None:
    connection.execute("delete from pending_stream where name = %s", [stream.name])


def turn(connection: psycopg.Connection, slot: int) -> None:
    """Turn the ring to a slot, whose old events are gone."""
    connection.execute(f"truncate pending_stream_event_{slot}".encode())
    connection.execute("update pending_stream_ring set slot = %s", [slot])


async def given(subscription: AsyncIterator[StreamItem], number: int, *, within: float = 30.0) -> list[StreamItem]:
    """The next items, so many of them."""
    async with asyncio.timeout(within):
        return [await anext(subscription) for _ in range(number)]


async def nothing_for(subscription: AsyncIterator[StreamItem], seconds: float) -> bool:
    """Whether nothing is given for so long."""
    try:
        async with asyncio.timeout(seconds):
            await anext(subscription)
    except TimeoutError:
        return True
    return False


def datas(items: list[StreamItem]) -> list[str]:
    return [item.data for item in items if isinstance(item, Event)]


def seqs(items: list[StreamItem]) -> list[int]:
    return [item.seq for item in items if isinstance(item, Event)]
