"""A pod is killed while it posts the card of a question that it has put.

Its lease, of 30 s, is made to run out at once: a race does not wait for that. Which pod then shows the question is for
the verdict.
"""

from __future__ import annotations

from ...postgres.connections import connect
from ..plan.operations import PlannedQuestion
from ..plan.schedule import Moment
from ..pods.dispatcher import MOMENT_SECONDS
from ..rows import APPLICATION
from ..unsettled import run_out_of_posts
from .context import FaultContext


async def strike_at_a_post(context: FaultContext, moment: Moment, question: PlannedQuestion) -> str:
    """Return why the fault did not land, or "". Raises RaceBrokenOff and the database's errors."""
    dispatcher = context.dispatcher
    (post,) = question.operations
    pod = dispatcher.pods[post.pod]
    aimed = dispatcher.send([pod], [question], aim_delivery=moment)
    if await dispatcher.port_of_aimed(aimed, pod) is None:
        await dispatcher.finish(aimed)
        return f"the card of {question.label} was not about to be posted within {MOMENT_SECONDS:g} s"
    await pod.kill()
    dispatcher.forget(aimed)
    detail = "" if pod.was_killed else pod.last_words()
    async with await connect(context.dsn, application=APPLICATION) as connection:
        await run_out_of_posts(connection, [post.question_id], leases=True)
    await context.supervisor.start_successor(pod)
    return detail
