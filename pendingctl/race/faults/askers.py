"""Faults that strike at whoever has asked a question and waits for its answer, on one of the pods.

An asker's leases, 15 s on its question and 30 s on the answer, are made to run out at once: a race does not wait for
them.
"""

from __future__ import annotations

from ...postgres.connections import connect
from ..plan.operations import PlannedQuestion
from ..plan.schedule import FaultKind, Moment
from ..pods.dispatcher import MOMENT_SECONDS
from ..pods.processes import PodProcess
from ..rows import APPLICATION, run_out
from .context import FaultContext
from .deliveries import until_another_pod_delivers

_ASK, _CLICKS = 0, 1


async def strike_at_an_asker(context: FaultContext, kind: FaultKind, moment: Moment, question: PlannedQuestion) -> str:
    """Return why the fault did not land, or "". The asker's pod is killed, or paused for longer than its leases.

    The asker waits, or it has handed the answer on and is about to mark it. The other pods are clicked meanwhile, and
    deliver. Raises RaceBrokenOff and the database's errors.
    """
    dispatcher = context.dispatcher
    pod = dispatcher.pods[question.bursts[_ASK].operations[0].pod]
    others = [each for each in dispatcher.pods_of([question], _CLICKS) if each is not pod]
    has_the_answer = moment is Moment.ASKER_HAS_THE_ANSWER
    asked = dispatcher.send([pod], [question], _ASK, aim=has_the_answer)
    await dispatcher.finish(asked)
    if has_the_answer:
        await dispatcher.finish(dispatcher.send(others, [question], _CLICKS))
        others = []
    if has_the_answer and await dispatcher.port_of_aimed(asked, pod) is None:
        detail = f"the asker had no answer within {MOMENT_SECONDS:g} s"
    elif kind is FaultKind.KILL:
        detail = await _kill(context, pod, others, question)
    else:
        detail = await _pause(context, pod, others, question)
    await dispatcher.finish(dispatcher.send([dispatcher.pods[pod.number]], [question], _CLICKS))
    return detail


async def _kill(context: FaultContext, pod: PodProcess, clicked: list[PodProcess], question: PlannedQuestion) -> str:
    await pod.kill()
    detail = "" if pod.was_killed else pod.last_words()
    # The answer waits for an asker that is dead.
    await context.dispatcher.finish(context.dispatcher.send(clicked, [question], _CLICKS))
    detail = detail or await _run_out(context, question)
    await context.supervisor.start_successor(pod)
    return detail


async def _pause(context: FaultContext, pod: PodProcess, clicked: list[PodProcess], question: PlannedQuestion) -> str:
    async with pod.paused():
        detail = await _run_out(context, question)
        await context.dispatcher.finish(context.dispatcher.send(clicked, [question], _CLICKS))
        detail = detail or await until_another_pod_delivers(context.dsn, question.question.id)
    pod.go_on()
    return detail


async def _run_out(context: FaultContext, question: PlannedQuestion) -> str:
    async with await connect(context.dsn, application=APPLICATION) as connection:
        return "" if await run_out(connection, question.question.id) else "the asker had no lease that could run out"
