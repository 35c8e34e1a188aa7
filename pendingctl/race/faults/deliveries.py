"""Faults that strike at the delivery of an answer, which waits in the worker of its pod."""

from __future__ import annotations

import time

from ..plan.operations import PlannedOperation, PlannedQuestion
from ..plan.schedule import LEASE, FaultKind, Moment
from ..pods.dispatcher import MOMENT_SECONDS
from ..pods.processes import PodProcess
from .context import FaultContext
from .server import start_time, take_the_server_away

# Longer than a lease, and than another pod takes to find that it has run out.
PAUSE_SECONDS = LEASE.total_seconds() + 1.0


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
        detail = await _strike(context, kind, pod, port, more)
    # The other clicks find the question answered, whether the answer is delivered or not.
    rest = dispatcher.send(dispatcher.pods_of([question], burst), [question], burst, without=target.name)
    await dispatcher.finish(rest)
    return detail


async def _strike(
    context: FaultContext, kind: FaultKind, pod: PodProcess, port: int, more: list[PlannedQuestion]
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
            began = time.monotonic()
            await (await pod.pause(PAUSE_SECONDS))
            if time.monotonic() - began <= LEASE.total_seconds():
                detail = "the pause was no longer than the lease"
        case _:
            started = await start_time(context.dsn)
            await take_the_server_away(context, kind, more)
            if started == await start_time(context.dsn):
                detail = "the server is still the same"
    pod.go_on()
    return detail
