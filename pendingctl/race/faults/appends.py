"""A pod is killed between the append of an ending to its question's stream and the mark of that.

Its lease, of 6 s, is made to run out at once: a race does not wait for that.
"""

from __future__ import annotations

from ...postgres.connections import connect
from ..plan.operations import PlannedQuestion
from ..plan.schedule import Moment
from ..pods.dispatcher import MOMENT_SECONDS
from ..rows import APPLICATION
from ..unsettled import run_out_of_appends
from .context import FaultContext

_POST, _CLICKS = 0, 1


async def strike_at_an_append(context: FaultContext, moment: Moment, question: PlannedQuestion) -> str:
    """Return why the fault did not land, or "". Raises RaceBrokenOff and the database's errors."""
    dispatcher = context.dispatcher
    await dispatcher.finish(dispatcher.send(dispatcher.pods_of([question], _POST), [question], _POST))
    aimed = dispatcher.send(dispatcher.pods_of([question], _CLICKS), [question], _CLICKS, aim_delivery=moment)
    pod = await dispatcher.aimed_pod(aimed)
    await dispatcher.finish(aimed)
    if pod is None:
        return f"the ending of {question.label} was not about to be appended within {MOMENT_SECONDS:g} s"
    await pod.kill()
    async with await connect(context.dsn, application=APPLICATION) as connection:
        await run_out_of_appends(connection, [question.question.id])
    detail = "" if pod.was_killed else pod.last_words()
    await context.supervisor.start_successor(pod)
    return detail
