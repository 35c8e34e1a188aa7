"""The delivery of answers by a pod: retries, delays, workers that fail or hang, and a database that goes away."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import psycopg
import pytest

from pendingctl import (
    Answer,
    Delivery,
    DeliveryFailed,
    PendingStore,
    State,
    open_pool,
)
from pendingctl.embedded import throwaway_server
from pendingctl.pod.delivery import FIRST_DELAY
from pendingctl.pod.retries import retry_delay
from pendingctl.postgres.connections import Connection, Pool
from pendingctl.schema import migrations
from tests.deliveries import SHORT, Worker, claimed, lease, run_out, state_of, until, until_error, until_state


async def test_an_answer_of_the_same_pod_is_delivered_at_once_and_marked(store: PendingStore) -> None:
    worker = Worker()
    async with Delivery(store, worker) as delivery:
        delivery.submit(await claimed(store))
        # Long before its lease runs out, without which no look finds it.
        await until(lambda: bool(worker.answers))
    assert worker.ids == ["q"]
    assert await state_of(store) is State.CLAIMED


@pytest.mark.law(6)
async def test_a_dead_pods_answer_is_delivered_when_its_lease_has_run_out_and_not_before(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    leased = await claimed(store, lease=SHORT)
    worker = Worker()

    async with Delivery(store, worker):
        await until(lambda: bool(worker.answers))

    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.delivery_attempts) == (State.CLAIMED, 2)
    assert row.delivered_at is not None
    assert row.delivered_at > leased.leased_at + SHORT
    assert connection.execute("select delivery_due_at, lease_token from pending_interactions").fetchone() == (
        None,
        None,
    )


async def test_an_idle_pod_makes_one_statement_a_second_at_most(pool: Pool) -> None:
    asked = 0

    class Counted:
        async def getconn(self) -> Connection:
            nonlocal asked
            asked += 1
            return await pool.getconn()

        async def putconn(self, conn: Connection, /) -> None:
            await pool.putconn(conn)

    began = time.monotonic()
    async with Delivery(PendingStore(Counted()), Worker()):
        await until(lambda: asked >= 4)
        # The first one notes that the pod lives.
        assert asked - 1 <= time.monotonic() - began + 1


@pytest.mark.law(6)
async def test_a_worker_that_is_down_gets_the_answer_when_it_is_back(store: PendingStore) -> None:
    refusals = 3

    async def be_down(answer: Answer) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise ConnectionError(f"no worker for {answer.question_id}")

    worker = Worker(be_down)
    async with Delivery(store, worker, first_delay=timedelta(milliseconds=10)) as delivery:
        delivery.submit(await claimed(store))
        await until(lambda: refusals < 3)
        await until_state(store, State.CLAIMED)

    row = await store.inspection.get("q")
    assert row is not None
    assert (worker.ids, row.delivery_attempts, row.delivery_error) == (["q"], 4, None)


def test_delays_double_with_jitter_up_to_five_minutes() -> None:
    for attempt, longest in ((1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (1_000, 300)):
        delays = {retry_delay(FIRST_DELAY, attempt).total_seconds() for _ in range(50)}
        assert len(delays) > 1
        assert longest / 2 <= min(delays) <= max(delays) <= longest


async def test_a_permanent_failure_waits_for_a_person_at_once(store: PendingStore) -> None:
    async def refuse(answer: Answer) -> None:
        raise DeliveryFailed(f"no such workflow as {answer.question_id}", permanent=True)

    async with Delivery(store, Worker(refuse)) as delivery:
        delivery.submit(await claimed(store))
        await until_state(store, State.STUCK)

    row = await store.inspection.get("q")
    assert row is not None
    assert row.delivery_error == "no such workflow as q"


async def test_a_stuck_answer_is_delivered_on_a_persons_request(store: PendingStore) -> None:
    await store.leases.mark_failed(await claimed(store), "no", retry_in=SHORT, most_attempts=1)
    assert await store.leases.redeliver(["q", "unknown"]) == ["q"]
    worker = Worker()

    async with Delivery(store, worker):
        await until_state(store, State.CLAIMED)

    assert worker.ids == ["q"]


async def test_a_poisoned_answer_does_not_hold_up_the_others(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(30):
        await claimed(store, f"q{number:02}")
    run_out(connection)

    async def choke(answer: Answer) -> None:
        if answer.question_id == "q00":
            raise ValueError("poison")
        if answer.question_id == "q01":
            await asyncio.Event().wait()

    worker = Worker(choke)
    delivery = Delivery(store, worker, at_once=4)
    delivery.start()
    await until(lambda: len(worker.answers) == 28)
    await delivery.close(within=timedelta())

    assert worker.ids == [f"q{number:02}" for number in range(2, 30)]


async def test_a_worker_that_hangs_is_given_up_before_the_lease_runs_out(store: PendingStore) -> None:
    async def hang(answer: Answer) -> None:
        await asyncio.Event().wait()
        worker.answers.append(answer)

    worker = Worker(hang)
    async with Delivery(store, worker, lease=SHORT) as delivery:
        delivery.submit(await claimed(store, lease=SHORT))
        await until_error(store)
    row = await store.inspection.get("q")
    assert row is not None
    assert str(row.delivery_error).startswith("the worker took longer than 0.")


@pytest.mark.law(6)
async def test_a_worker_that_answers_after_the_lease_has_its_mark_dropped(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    slow, begun, released = Worker(), asyncio.Event(), asyncio.Event()

    async def be_slow(answer: Answer) -> None:
        del answer
        begun.set()
        await released.wait()

    slow.behaviour = be_slow
    # Not one that looks for what is due: it would take over what it has itself.
    delivery = Delivery(store, slow)
    delivery.submit(await claimed(store))
    await begun.wait()
    run_out(connection)
    # Taken over, and not marked yet.
    (taken,) = await lease(store)
    released.set()
    await delivery.close()
    assert slow.ids == ["q"]
    assert await state_of(store) is State.UNDELIVERED
    assert await store.leases.mark_delivered(taken)


async def test_closing_waits_for_what_is_under_way(store: PendingStore) -> None:
    async def take_a_moment(answer: Answer) -> None:
        del answer
        await asyncio.sleep(0.1)

    worker = Worker(take_a_moment)
    async with Delivery(store, worker) as delivery:
        delivery.submit(await claimed(store))

    assert worker.ids == ["q"]
    assert await state_of(store) is State.CLAIMED


@pytest.mark.law(6)
async def test_the_loop_outlives_a_database_that_goes_away(store: PendingStore, connection: psycopg.Connection) -> None:
    await claimed(store)
    worker = Worker()
    async with Delivery(store, worker):
        await until(lambda: connection.execute("select from pending_pods").fetchone() is not None)
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        run_out(connection)
        await until(lambda: bool(worker.answers))
        await until_state(store, State.CLAIMED)


_UNDELIVERED = "select count(*) from pending_interactions where delivery_due_at is not null"


@pytest.mark.law(6)
async def test_a_database_that_is_restarted_in_the_middle_loses_no_answer() -> None:
    """Stopped without a checkpoint, while some answers are with the worker and others wait."""
    at_the_worker, back = asyncio.Event(), asyncio.Event()

    async def wait_for_the_database(answer: Answer) -> None:
        del answer
        at_the_worker.set()
        await back.wait()

    worker = Worker(wait_for_the_database)
    with throwaway_server() as server:
        await asyncio.to_thread(migrations.apply, server.dsn)
        async with open_pool(server.dsn, max_size=5) as pool:
            store = PendingStore(pool)
            await store.create_organization("acme")
            for number in range(8):
                await claimed(store, f"q{number}", lease=SHORT)
            async with Delivery(store, worker, lease=timedelta(seconds=3), at_once=4):
                await asyncio.wait_for(at_the_worker.wait(), 30)
                await asyncio.to_thread(server.restart)
                back.set()
                with psycopg.connect(server.dsn, autocommit=True) as looking:
                    await until(lambda: looking.execute(_UNDELIVERED).fetchone() == (0,), 30)

    assert set(worker.ids) == {f"q{number}" for number in range(8)}
