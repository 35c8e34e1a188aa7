"""Taking the race's own server away, and finding out that another start of it answers."""

from __future__ import annotations

import asyncio
import time

from ...errors import DatabaseFailed, DatabaseUnreachable
from ...postgres.connections import connect
from ...postgres.driver_errors import translated_errors
from ..plan.operations import PlannedQuestion
from ..plan.schedule import FaultKind
from ..rows import APPLICATION
from .context import FaultContext

AWAY_SECONDS = 30.0
POLL_SECONDS = 0.01

_STARTED = "select pg_postmaster_start_time()::text"


async def take_the_server_away(context: FaultContext, kind: FaultKind, more: list[PlannedQuestion]) -> None:
    """Restart the server or fail it over, while `more` questions are fired at. Raises RaceBrokenOff."""
    assert context.server is not None
    take_away = context.server.restart if kind is FaultKind.RESTART else context.server.fail_over
    assert take_away is not None
    firing = [asyncio.create_task(context.dispatcher.fire(question)) for question in more]
    try:
        await asyncio.to_thread(take_away)
        await asyncio.gather(*firing)
    finally:
        for each in firing:
            each.cancel()


async def start_time(dsn: str) -> str:
    """Return when the server that answers now was started; it may take a moment to come back.

    Raises DatabaseFailed when it does not within 30 seconds.
    """
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            async with await connect(dsn, application=APPLICATION) as connection:
                with translated_errors():
                    row = await (await connection.execute(_STARTED)).fetchone()
            assert row is not None
            return str(row[0])
        except DatabaseUnreachable:
            if time.monotonic() > deadline:
                raise DatabaseFailed(f"the server was still away after {AWAY_SECONDS:g} s") from None
            await asyncio.sleep(POLL_SECONDS)
