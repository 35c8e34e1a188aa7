"""Faults that trouble one tenant, while its neighbours' clicks are to be answered as ever."""

from __future__ import annotations

import asyncio
import time

from ...postgres.connections import connect
from ...postgres.driver_errors import translated_errors
from ..plan.operations import PlannedQuestion
from ..pods.dispatcher import MOMENT_SECONDS
from ..rows import APPLICATION
from .context import FaultContext
from .locks import lock_rows, lock_stream, something_waits, transaction

# For how long the worker hangs at least.
HANGS_SECONDS = 2.0
# Longer than a claim waits for a row, and than a platform waits for a reply.
LOCKED_SECONDS = 4.0


async def lock_rows_of_a_tenant(
    context: FaultContext, troubled: list[PlannedQuestion], neighbour: PlannedQuestion
) -> str:
    """Return why the fault did not land, or "". Somebody holds the troubled rows while clicks come, and a stream.

    That is the neighbour's: how its question ends can be appended only afterwards, and harms no click.

    Raises RaceBrokenOff and the database's errors.
    """
    dispatcher = context.dispatcher
    detail = ""
    async with (
        await connect(context.dsn, application=APPLICATION) as locking,
        await connect(context.dsn, application=APPLICATION) as looking,
    ):
        with translated_errors():
            async with transaction(locking), transaction(looking):
                began = time.monotonic()
                locked = {"locked_by": await lock_rows(locking, [each.question.id for each in troubled])}
                await lock_stream(locking, neighbour.question)
                pressing = dispatcher.send(dispatcher.pods_of(troubled), troubled)
                if not await something_waits(looking, locked):
                    detail = f"nobody waited for the rows within {MOMENT_SECONDS:g} s"
                beside = dispatcher.send(dispatcher.pods_of([neighbour]), [neighbour])
                await asyncio.sleep(max(0.0, began + LOCKED_SECONDS - time.monotonic()))
    for order in (pressing, beside):
        await dispatcher.finish(order)
    return detail


async def hang_over_answers_of_a_tenant(
    context: FaultContext, troubled: list[PlannedQuestion], neighbour: PlannedQuestion
) -> str:
    """Let the worker hang over the troubled questions' answers, and click a neighbour meanwhile; return ""."""
    dispatcher = context.dispatcher
    await dispatcher.finish(dispatcher.send(dispatcher.pods_of(troubled), troubled))
    await dispatcher.fire(neighbour)
    # The neighbour's answer has to come through before the worker is back.
    await asyncio.sleep(HANGS_SECONDS)
    return ""
