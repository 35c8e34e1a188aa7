"""Deadlines: how many due questions two pods end a second, against a plain statement on the same rows."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import psycopg

from pendingctl import PendingStore, open_pool
from pendingctl.model import ANSWERS, Outcome
from pendingctl.pod.delivery import DEADLINES_AT_ONCE
from pendingctl.postgres.connections import Connection

from .figures import Figure, Round, doing, in_turns, rate, ratio
from .stage import YOUNG, Stage

_PODS = 2

_PLAINLY = """
    update pending_interactions
    set claimed_at = now(), outcome = 'expired'
    where id = any (array(
        select id
        from pending_interactions
        where application = '' and claimed_at is null and expires_at <= now()
        order by expires_at
        limit %(limit)s
        for update skip locked
    ))
"""


def measure_deadlines(stage: Stage, *, questions: int, rounds: int) -> Figure:
    """So many questions whose deadline has passed, and whose worker wants to hear of it."""
    doing(f"{questions:,} deadlines")
    return asyncio.run(_deadlines(stage, questions, rounds))


async def _deadlines(stage: Stage, questions: int, rounds: int) -> Figure:
    async with AsyncExitStack() as ending:
        stores = [
            PendingStore(await ending.enter_async_context(open_pool(stage.dsn, max_size=1))) for _ in range(_PODS)
        ]
        bare = [await ending.enter_async_context(stage.bare()) for _ in range(_PODS)]
        await stores[0].leases.hear(list(Outcome))

        async def by_pod(store: PendingStore) -> None:
            while await store.leases.expire(limit=DEADLINES_AT_ONCE):
                pass

        async def plainly(connection: Connection) -> None:
            while (await connection.execute(_PLAINLY, {"limit": DEADLINES_AT_ONCE})).rowcount:
                pass

        async def ended_by_pods() -> float:
            await asyncio.to_thread(_let_pass, stage, questions)
            return _all_ended(stage, await rate(questions, [by_pod(store) for store in stores]))

        async def ended_plainly() -> float:
            await asyncio.to_thread(_let_pass, stage, questions)
            return _all_ended(stage, await rate(questions, [plainly(connection) for connection in bare]))

        turns: dict[str, Round] = {"pods": ended_by_pods, "plainly": ended_plainly}
        measured = await in_turns(turns, rounds)
        # What is measured next is to be swept, and not to expire.
        await stores[0].leases.hear(list(ANSWERS))
    name = f"{questions:,} deadlines, {_PODS} pods"
    return ratio(name, "questions/s", "a batched UPDATE", measured["pods"], measured["plainly"], at_least=0.5)


def _let_pass(stage: Stage, questions: int) -> None:
    stage.fill(questions, YOUNG)
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        connection.execute("update pending_interactions set expires_at = now()")
        connection.execute("vacuum analyze pending_interactions")


def _all_ended(stage: Stage, ended: float) -> float:
    if left := stage.count("claimed_at is null"):
        raise RuntimeError(f"{left:,} questions were left open after their deadline")
    return ended
