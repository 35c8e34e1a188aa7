"""Faults that strike at one claim, which is stopped in the proxy between its pod and the server."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from ...postgres.connections import connect
from ...postgres.driver_errors import translated_errors
from ..plan.operations import PlannedOperation, PlannedQuestion
from ..plan.schedule import STATEMENT_TIMEOUT_MS, FaultKind, Moment
from ..pods.dispatcher import MOMENT_SECONDS
from ..rows import APPLICATION
from .context import FaultContext
from .proxy import Trap

# Longer than the statement timeout of the pods' connections.
PAUSE_SECONDS = 1.5

_IS_CLAIMED = """
    select 1
    from pending_interactions
    where id = %(id)s and claimed_at is not null and delivery_key = %(delivery_key)s
"""


async def strike_at_a_claim(
    context: FaultContext,
    kind: FaultKind,
    moment: Moment,
    question: PlannedQuestion,
    target: PlannedOperation,
    burst: int,
) -> str:
    """Return why the fault did not land, or "". Raises RaceBrokenOff and the database's errors."""
    assert context.proxy is not None
    dispatcher = context.dispatcher
    pod = dispatcher.pods[target.pod]
    others = [each for each in dispatcher.pods_of([question], burst) if each is not pod]
    aimed = dispatcher.send([pod], [question], burst, only=target.name, aim=True)
    if (port := await dispatcher.port_of_aimed(aimed, pod)) is None:
        rest = dispatcher.send(dispatcher.pods_of([question], burst), [question], burst, without=target.name)
        for order in (aimed, rest):
            await dispatcher.finish(order)
        return f"{target.name} was not about to be sent within {MOMENT_SECONDS:g} s"
    trap = context.proxy.set_trap(port, moment)
    pod.go_on()
    if moment is Moment.AFTER_COMMIT:
        # It goes ahead of the others: the reply that is lost is a winner's.
        detail = await _committed(context.dsn, trap, target)
        racing = dispatcher.send(others, [question], burst, without=target.name)
    else:
        racing = dispatcher.send(others, [question], burst, without=target.name)
        detail = "" if await _sprung(trap) else "nothing was sent"
    match kind:
        case FaultKind.KILL:
            await pod.kill()
            context.proxy.cut_off(port)
            if not pod.was_killed:
                detail = pod.last_words()
            dispatcher.forget(aimed)
            pod = await context.supervisor.start_successor(pod)
            aimed = dispatcher.send([pod], [question], burst, only=target.name, again=True)
        case FaultKind.DISCONNECT:
            context.proxy.cut_off(port)
        case FaultKind.BLACKHOLE:
            # Not this connection alone: the pods find no other one of theirs that replies.
            context.proxy.fall_silent()
        case _:
            async with pod.paused():
                began = time.monotonic()
                trap.opened.set()
                await asyncio.sleep(PAUSE_SECONDS)
                if dispatcher.is_finished(aimed):
                    detail = detail or "it went on while it was paused"
                if (time.monotonic() - began) * 1000 <= STATEMENT_TIMEOUT_MS:
                    detail = "the pause was no longer than a statement may take"
    for order in (aimed, racing, dispatcher.send([pod], [question], burst, without=target.name)):
        await dispatcher.finish(order)
    return detail


async def _sprung(trap: Trap) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(MOMENT_SECONDS):
            await trap.sprung.wait()
    return trap.sprung.is_set()


async def _committed(dsn: str, trap: Trap, target: PlannedOperation) -> str:
    """Return why the claim was not seen to be committed, or ""."""
    if not await _sprung(trap):
        return "the server did not reply"
    claimed = {"id": target.question_id, "delivery_key": target.delivery_key}
    async with await connect(dsn, application=APPLICATION) as looking:
        with translated_errors():
            found = await (await looking.execute(_IS_CLAIMED, claimed)).fetchone()
    return "" if found else "the claim was not committed when the server replied"
