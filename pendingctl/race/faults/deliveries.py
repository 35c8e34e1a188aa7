"""Faults that strike at the delivery of an answer, which waits in the worker of its pod."""

from __future__ import annotations

import asyncio
import time

from ...postgres.connections import connect
from ..plan.operations import PlannedOperation, PlannedQuestion
from ..plan.schedule import FaultKind, Moment
from ..pods.dispatcher import MOMENT_SECONDS
from ..pods.processes import PodProcess
from ..rows import APPLICATION, is_delivered
from .context import FaultContext
from .server import start_time, take_the_server_away

POLL_SECONDS = 0.05


async def strike_at_a_delivery(
    context: FaultContext,
    kind: FaultKind,
    moment: Moment,
    question: PlannedQuestion,
    target: PlannedOperation,
    burst: int,
    more: list[PlannedQuestion],
) -> str:
    """Return why the fault did not land, or "". The target is fired ahead of the others: it wins, and its pod delivers.

    Raises RaceBrokenOff and the database's errors.
    """
    dispatcher = context.dispatcher
    pod = dispatcher.pods[target.pod]
    aimed = dispatcher.send([pod], [question], burst, only=target.name, aim_delivery=moment)
    await dispatcher.finish(aimed)
    port = await dispatcher.port_of_aimed(aimed, pod)
    if port is None:
        detail = f"the answer of {target.name} was not about to be delivered within {MOMENT_SECONDS:g} s"
    else:
        detail = await _strike(context, kind, pod, port, target.question_id, more)
    # The other clicks find the question answered, whether the answer is delivered or not.
    rest = dispatcher.send(dispatcher.pods_of([question], burst), [question], burst, without=target.name)
    await dispatcher.finish(rest)
    return detail


async def _strike(
    context: FaultContext,
    kind: FaultKind,
    pod: PodProcess,
    port: int,
    question_id: str,
    more: list[PlannedQuestion],
) -> str:
    detail = ""
    match kind:
        case FaultKind.KILL:
            await pod.kill()
            if not pod.was_killed:
                detail = pod.last_words()
            await context.supervisor.start_successor(pod)
            return detail
        case FaultKind.DISCONNECT:
            assert context.proxy is not None
            context.proxy.cut_off(port)
        case FaultKind.PAUSE:
            async with pod.paused():
                detail = await until_another_pod_delivers(context.dsn, question_id)
        case _:
            started = await start_time(context.dsn)
            await take_the_server_away(context, kind, more)
            if started == await start_time(context.dsn):
                detail = "the server is still the same"
    pod.go_on()
    return detail


async def until_another_pod_delivers(dsn: str, question_id: str) -> str:
    """Return why the answer of a paused pod, or asker, was not delivered by another pod in time, or ""."""
    deadline = time.monotonic() + MOMENT_SECONDS
    async with await connect(dsn, application=APPLICATION) as looking:
        while not await is_delivered(looking, question_id):
            if time.monotonic() > deadline:
                return f"no other pod delivered the answer within {MOMENT_SECONDS:g} s"
            await asyncio.sleep(POLL_SECONDS)
    return ""
