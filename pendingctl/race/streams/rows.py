"""What a race on streams stores, looks at and removes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg.rows import tuple_row

from ...events.ring import Ring, Turn
from ...postgres.connections import Connection, SingleConnection
from ...postgres.driver_errors import translated_errors
from ...store import PendingStore
from .history import RingTurn, Snapshot, StoredEvent, StoredStream
from .recording import text_of

_STREAMS = """
    select id, organization_id || '/' || name, last_seq, closed_at is not null
    from pending_stream
    where organization_id = any (%(organizations)s)
    order by id
"""
# Deleted streams have left events, whose data names the race.
_EVENTS = """
    select stream_id, seq, at, data
    from pending_stream_event
    where starts_with(data, %(run)s)
    order by stream_id, seq
"""
_DELETE_EVENTS = "delete from pending_stream_event where starts_with(data, %(run)s)"
_LEFT = """
    select 'organization ' || id from organization where id = any (%(organizations)s)
    union all
    select 'stream ' || organization_id || '/' || name
    from pending_stream
    where organization_id = any (%(organizations)s)
    union all
    select 'event ' || data from pending_stream_event where starts_with(data, %(run)s)
"""
# A race does not wait for hours.
_MAKE_DUE = "update pending_stream_ring set turned_at = turned_at - (retention / 3 + interval '1 minute')"
_CUT_LISTEN = """
    select pg_terminate_backend(pid)
    from pg_stat_activity
    where datname = current_database() and application_name = %(application)s and query like 'listen %%'
"""
_HOLD = "select from pending_stream where organization_id = %(organization)s and name = %(name)s for update"

_KEEP_READING = "lock table pending_stream_event in access share mode"
# What holds back the removal of old rows, in the whole database.
_BEGIN = "select pg_current_xact_id()::text::bigint"
_STATUS = "select pg_xact_status(%(id)s::bigint::text::xid8)"


async def create_organizations(connection: Connection, organizations: tuple[str, str]) -> None:
    """Create the race's organizations. Raises InvalidInput where an application's own table has them."""
    store = PendingStore(SingleConnection(connection))
    for organization in organizations:
        await store.create_organization(organization)


async def take_snapshot(connection: Connection, organizations: tuple[str, str]) -> Snapshot:
    """Return everything that the race has stored, as of one moment."""
    started = time.monotonic_ns()
    parameters = {"organizations": list(organizations), "run": organizations[0]}
    with translated_errors():
        async with connection.transaction():
            await connection.execute("set transaction isolation level repeatable read")
            streams = await _rows(connection, _STREAMS, parameters)
            events = await _rows(connection, _EVENTS, parameters)
    return Snapshot(
        started,
        time.monotonic_ns(),
        tuple(StoredStream(*row) for row in streams),
        tuple(StoredEvent(id, seq, text_of(at), data) for id, seq, at, data in events),
    )


async def turn(connection: Connection, ring: Ring) -> RingTurn | None:
    """Turn the ring now, and return when that was; None where somebody else was at it."""
    with translated_errors():
        await connection.execute(_MAKE_DUE)
    started = time.monotonic_ns()
    turned = await ring.turn()
    return RingTurn(started, time.monotonic_ns()) if turned is Turn.TURNED else None


async def cut_listen(connection: Connection, application: str) -> int:
    """End the sessions in which the race's pods listen, and return how many those were."""
    with translated_errors():
        return len(await _rows(connection, _CUT_LISTEN, {"application": application}))


async def hold(connection: Connection, organization: str, name: str) -> None:
    """Lock a stream in the transaction that is open."""
    with translated_errors():
        await connection.execute(_HOLD, {"organization": organization, "name": name})


async def keep_reading(connection: Connection) -> None:
    """Lock all events as a backup does, in the transaction that is open."""
    with translated_errors():
        await connection.execute(_KEEP_READING)


async def begin(connection: Connection) -> int:
    """Have the transaction that is open be known to all others, and return its id."""
    with translated_errors():
        ((id,),) = await _rows(connection, _BEGIN, {})
    return int(id)


async def is_open(connection: Connection, transaction: int) -> bool:
    """Whether a transaction is open, so that nothing is surely over that began after it."""
    with translated_errors():
        return await _rows(connection, _STATUS, {"id": transaction}) == [("in progress",)]


async def remove(connection: Connection, organizations: tuple[str, str]) -> list[str]:
    """Remove everything that the race has stored, and return what is left of it."""
    store = PendingStore(SingleConnection(connection))
    for organization in organizations:
        await store.delete_organization(organization)
    parameters = {"organizations": list(organizations), "run": organizations[0]}
    with translated_errors():
        await connection.execute(_DELETE_EVENTS, parameters)
        return [row[0] for row in await _rows(connection, _LEFT, parameters)]


async def _rows(
    connection: Connection, statement: LiteralString, parameters: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    return await (await connection.cursor(row_factory=tuple_row).execute(statement, parameters)).fetchall()
