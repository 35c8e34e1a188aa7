"""Faults that strike at claims while they wait for a row that the race itself has locked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg

from ...model import Question
from ...postgres.connections import Connection, connect
from ...postgres.driver_errors import translated_errors
from ..plan.operations import PlannedQuestion
from ..plan.schedule import FaultKind
from ..pods.dispatcher import MOMENT_SECONDS
from ..rows import APPLICATION
from .context import FaultContext
from .server import start_time, take_the_server_away

POLL_SECONDS = 0.01

_LOCK = "select pg_backend_pid() from pending_interactions where id = any (%(ids)s) order by id for update"

# It need not be there yet: who would create it waits as well.
_LOCK_STREAM = """
    insert into pending_stream (organization_id, name)
    values (%(organization_id)s, %(name)s)
    on conflict (organization_id, name) do update
    set name = excluded.name
"""

# Whatever waits for the row that the race has locked belongs to the race. Unlike pg_stat_activity, this view is read
# anew by each statement of a transaction.
_WAITING = "select distinct pid from pg_locks where not granted and %(locked_by)s = any (pg_blocking_pids(pid))"

# Not in one statement with the condition: the server may evaluate the termination first, and for every backend.
_TERMINATE = "select pg_terminate_backend(pid) from unnest(%(pids)s::integer[]) as pid"


async def strike_at_a_lock(
    context: FaultContext, kind: FaultKind, question: PlannedQuestion, burst: int, more: list[PlannedQuestion]
) -> str:
    """Return why the fault did not land, or "". The rightful clicks wait for a locked row when it strikes.

    Raises RaceBrokenOff and the database's errors.
    """
    dispatcher = context.dispatcher
    started = await start_time(context.dsn)
    async with (
        await connect(context.dsn, application=APPLICATION) as locking,
        await connect(context.dsn, application=APPLICATION) as looking,
    ):
        with translated_errors():
            # Both in a transaction: behind a pooler the waiting clicks might take all other sessions.
            async with transaction(locking), transaction(looking):
                locked = {"locked_by": await lock_rows(locking, [question.question.id])}
                racing = dispatcher.send(dispatcher.pods_of([question], burst), [question], burst)
                detail = ""
                if not await something_waits(looking, locked):
                    detail = f"nobody waited for the row within {MOMENT_SECONDS:g} s"
                elif kind is FaultKind.TERMINATE:
                    detail = await _terminate(looking, locked)
                else:
                    await take_the_server_away(context, kind, more)
    await dispatcher.finish(racing)
    if not detail and kind is not FaultKind.TERMINATE and started == await start_time(context.dsn):
        detail = "the server is still the same"
    return detail


async def lock_rows(locking: Connection, ids: list[str]) -> object:
    """Lock rows, and return the backend that holds the locks."""
    row = await (await locking.execute(_LOCK, {"ids": ids})).fetchone()
    return None if row is None else row[0]


async def lock_stream(locking: Connection, question: Question) -> None:
    """Lock the stream of a question."""
    names = {"organization_id": question.scope.organization_id, "name": question.stream}
    await locking.execute(_LOCK_STREAM, names)


async def something_waits(looking: Connection, locked: dict[str, object]) -> bool:
    """Return whether somebody waits for the backend `locked_by` within 10 seconds."""
    deadline = time.monotonic() + MOMENT_SECONDS
    while await (await looking.execute(_WAITING, locked)).fetchone() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


async def _terminate(looking: Connection, locked: dict[str, object]) -> str:
    """Terminate the backends that wait. Between its two statements a claim waits for nothing."""
    deadline = time.monotonic() + MOMENT_SECONDS
    while time.monotonic() < deadline:
        pids = [pid for (pid,) in await (await looking.execute(_WAITING, locked)).fetchall()]
        ended = await (await looking.execute(_TERMINATE, {"pids": pids})).fetchall()
        if (True,) in ended:
            return ""
        await asyncio.sleep(POLL_SECONDS)
    return "no backend was there to be terminated"


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction that may lose its server, as it does when the fault is a restart or a failover."""
    await connection.set_autocommit(False)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):
            await connection.rollback()
