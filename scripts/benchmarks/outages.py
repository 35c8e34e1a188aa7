"""Outages: how long until a pod serves again when its connections fall silent, or when the server fails over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from statistics import median
from time import perf_counter

import psycopg

from pendingctl import Answer, InteractionBridge, PendingStore, Question, open_pool
from pendingctl.embedded import Pair, throwaway_pair
from pendingctl.pod.replies import ReplyKind
from pendingctl.postgres.connections import connect
from pendingctl.race.faults.proxy import addresses_of, running_proxy, through_the_proxy
from pendingctl.schema import migrations
from pendingctl.store import statements

from .deliveries import SilentPlatform
from .figures import Figure, doing
from .stage import SCOPE, YOUNG, Stage
from .troubles import press

_CONNECTIONS = 10
# What is promised, in seconds (law 16).
_REPLY_WITHIN = 2.5
_SERVED_WITHIN = 5.0
# Far more than what is promised: a measurement that is as long has failed.
_LONGEST_SECONDS = 60.0


def measure_outages(stage: Stage, *, rounds: int) -> Iterator[Figure]:
    """Clicks, one after the other, from the outage until one wins again; each against what is promised."""
    doing("connections that fall silent")
    silences = [asyncio.run(_silence(stage)) for _ in range(rounds)]
    yield _against_promise("slowest reply on silent connections", _REPLY_WITHIN, [slowest for slowest, _ in silences])
    yield _against_promise("a click wins again after silence", _SERVED_WITHIN, [again for _, again in silences])
    doing("a server that fails over")
    failovers = [_failover() for _ in range(rounds)]
    yield _against_promise("a click wins on the new primary", _SERVED_WITHIN, failovers)


def _against_promise(name: str, promised: float, seconds: list[float]) -> Figure:
    value = median(seconds)
    return Figure(name, "s", value, "what is promised", promised, "ratio", value / promised, 1.0, "at most")


async def _silence(stage: Stage) -> tuple[float, float]:
    """Return the slowest reply and how long no click won, in seconds."""
    stage.fill(1_000, YOUNG)
    async with await connect(stage.dsn, application="bench") as beside:
        addresses = addresses_of(stage.dsn, beside)
        async with running_proxy(addresses) as proxy:
            dsn = through_the_proxy(stage.dsn, beside, addresses, proxy.ports)
            async with _pod(dsn) as (store, bridge):
                await _put(store, "silent")
                proxy.fall_silent()
                return await _until_one_wins(bridge, "silent")


def _failover() -> float:
    """Return how many seconds no click won after the new primary accepted writes."""
    with throwaway_pair() as pair:
        migrations.apply(pair.dsn)
        with psycopg.connect(pair.dsn, autocommit=True) as connection:
            connection.execute(statements.CREATE_ORGANIZATION, {"id": SCOPE.organization_id})
        return asyncio.run(_through_failover(pair))


async def _through_failover(pair: Pair) -> float:
    async with _pod(pair.dsn) as (store, bridge):
        await _put(store, "failover")
        failing_over = asyncio.create_task(asyncio.to_thread(pair.fail_over))
        # The pool sees its connections lost meanwhile, as a pod's traffic would show it.
        while not failing_over.done():
            await bridge.click(press("another", SCOPE, "another"))
            await asyncio.sleep(0.05)
        await failing_over
        _, again = await _until_one_wins(bridge, "failover")
        return again


@asynccontextmanager
async def _pod(dsn: str) -> AsyncIterator[tuple[PendingStore, InteractionBridge]]:
    async def take(answer: Answer) -> None:
        """Deliver nowhere."""

    async with open_pool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS) as pool:
        await pool.wait()
        store = PendingStore(pool)
        async with InteractionBridge(store, SilentPlatform(), take) as bridge:
            bridge.register(SCOPE.organization_id, SCOPE.connection_id)
            yield store, bridge


async def _put(store: PendingStore, id: str) -> None:
    await store.put(id, SCOPE, Question(id, SCOPE, "Deploy?", ("yes", "no")).payload())


async def _until_one_wins(bridge: InteractionBridge, id: str) -> tuple[float, float]:
    began, slowest = perf_counter(), 0.0
    for number in count():
        pressed = perf_counter()
        reply = await bridge.click(press(id, SCOPE, f"press-{number}"))
        slowest = max(slowest, perf_counter() - pressed)
        waited = perf_counter() - began
        # The press before may have won without a reply.
        if reply.kind in (ReplyKind.ANSWERED, ReplyKind.ALREADY_ANSWERED) or waited > _LONGEST_SECONDS:
            break
    if waited > _LONGEST_SECONDS:
        raise RuntimeError(f"no click won within {_LONGEST_SECONDS:g} s: {reply.text}")
    return slowest, waited
