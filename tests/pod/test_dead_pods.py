"""What dead pods leave behind is delivered. A pod is a process of its own, killed at the moment that it names."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import psycopg
import pytest

from pendingctl import (
    Delivery,
    PendingStore,
    State,
)
from pendingctl.postgres.connections import Pool
from tests.deliveries import Worker, claimed, run_out, until, until_state
from tests.questions import PAYLOAD, SCOPE

POD = r"""
import asyncio, sys, time
from datetime import timedelta
from pendingctl import Click, Delivery, InteractionBridge, PendingStore, open_pool
from pendingctl.platforms.console import ConsolePlatform

def stop(moment):
    if moment == sys.argv[2]:
        print(moment, flush=True)
        time.sleep(60)

class Store(PendingStore):
    async def claim(self, *given, **named):
        claim = await super().claim(*given, **named)
        stop("claimed")
        return claim

async def handle(answer):
    stop("before delivery")
    with open(sys.argv[3], "a") as file:
        file.write(answer.idempotency_key + " " + answer.value + "\n")
    stop("delivered")

async def main():
    async with open_pool(sys.argv[1]) as pool:
        bridge = InteractionBridge(
            Store(pool), ConsolePlatform(), handle, lease=timedelta(seconds=1), reply_within=timedelta(seconds=50)
        )
        async with bridge:
            bridge.register("acme", "slack")
            where = dict(organization_id="acme", connection_id="slack")
            await bridge.click(Click(question_id="q", **where, user_id="U1", delivery_key="key", value="yes"))
            await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "deliveries"), [("claimed", 1), ("before delivery", 1), ("delivered", 2)], ids=str)
@pytest.mark.law(6)
async def test_a_pod_that_is_killed_eats_no_answer(
    store: PendingStore, dsn: str, tmp_path: Path, moment: str, deliveries: int
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    worker = tmp_path / "worker"
    pod = await asyncio.create_subprocess_exec(
        sys.executable, "-c", POD, dsn, moment, str(worker), stdout=asyncio.subprocess.PIPE
    )
    assert pod.stdout is not None
    async with asyncio.timeout(60):
        assert (await pod.stdout.readline()).decode().strip() == moment
    pod.send_signal(signal.SIGKILL)
    await pod.wait()

    applied = Worker()
    async with Delivery(store, applied):
        await until_state(store, State.CLAIMED)

    (answer,) = applied.answers
    before = worker.read_text().splitlines() if worker.exists() else []
    # Delivered twice it has the same key and value: a worker can know it by them.
    assert [*before, f"{answer.idempotency_key} {answer.value}"] == [f"q/{stored.ask_number} yes"] * deliveries


@pytest.mark.law(6)
async def test_two_pods_deliver_what_a_crowd_of_dead_ones_left(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    for number in range(200):
        await claimed(store, f"q{number}")
    run_out(connection)
    workers = [Worker(), Worker()]

    async with Delivery(store, workers[0]), Delivery(PendingStore(pool), workers[1]):
        await until(lambda: sum(len(worker.answers) for worker in workers) >= 200)

    assert sorted(workers[0].ids + workers[1].ids) == sorted(f"q{number}" for number in range(200))
    assert (await store.statistics.counts()).total.undelivered == 0
