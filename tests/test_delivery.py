"""An accepted answer is never lost: leases, marks, retries, and what happens when pods and workers go away."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pendingctl import (
    Answer,
    Delivery,
    DeliveryFailed,
    LeasedAnswer,
    PendingStore,
    PostgresSink,
    PutOutcome,
    State,
    open_pool,
)
from pendingctl.embedded import throwaway_server
from pendingctl.errors import Undelivered
from pendingctl.pod.delivery import FIRST_DELAY, MOST_ATTEMPTS, retry_delay
from pendingctl.postgres.connections import Connection, Pool
from pendingctl.schema import migrations
from tests.deliveries import LEASE, SHORT, Worker, claimed, run_out, state_of, until, until_error, until_state
from tests.questions import PAYLOAD, SCOPE, age, click, swept


async def lease(store: PendingStore, limit: int = 10) -> list[LeasedAnswer]:
    return await store.leases.lease(lease=LEASE, limit=limit, most_attempts=MOST_ATTEMPTS)


# The claim carries the answer.


async def test_the_row_has_all_of_the_answer_from_the_claim_on(store: PendingStore) -> None:
    leased = await claimed(store)

    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.answer, row.answered_by, row.pod) == (State.UNDELIVERED, "yes", "U1", "pod-1")
    assert (row.delivery_key, row.delivery_attempts, row.delivered_at) == ("key", 1, None)
    assert (leased.answer.value, leased.answer.conversation_id) == ("yes", "C1")


async def test_who_claims_without_a_lease_has_the_answer(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.delivered_at) == (State.CLAIMED, row.claimed_at)
    assert not (await store.leases.due()).answers


async def test_an_undelivered_question_is_not_asked_again(store: PendingStore) -> None:
    leased = await claimed(store)

    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.ALREADY_ANSWERED
    assert await store.leases.mark_delivered(leased)
    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.REOPENED
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.answer, row.pod, row.delivered_at, row.delivery_attempts) == (None, None, None, 0)


async def test_an_undelivered_question_is_not_deleted_unless_told_so(store: PendingStore) -> None:
    await claimed(store)

    with pytest.raises(Undelivered):
        await store.delete("q", SCOPE)
    assert await state_of(store) is State.UNDELIVERED
    assert await store.delete("q", SCOPE, include_undelivered=True)


async def test_a_sweep_leaves_undelivered_and_stuck_answers_alone(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await claimed(store, "undelivered")
    await store.leases.mark_failed(await claimed(store, "stuck"), "no", retry_in=SHORT, most_attempts=1)
    await store.leases.mark_delivered(await claimed(store, "delivered"))
    age(connection, hours=30)

    assert await store.inspection.count_stale() == 1
    assert await swept(store) == ["delivered"]
    assert await store.inspection.count_stale_undelivered() == 2
    taken = [id async for batch in store.sweep(include_undelivered=True) for id in batch]
    assert sorted(taken) == ["stuck", "undelivered"]


# Leases.


async def test_a_lease_is_nobody_elses_until_it_runs_out(store: PendingStore, connection: psycopg.Connection) -> None:
    first = await claimed(store)
    assert await lease(store) == []

    run_out(connection)
    (second,) = await lease(store)

    assert (second.answer, second.attempt) == (first.answer, 2)
    assert second.token != first.token
    assert not await store.leases.mark_delivered(first)
    assert await store.leases.mark_failed(first, "late", retry_in=SHORT, most_attempts=20) is None
    assert await store.leases.mark_delivered(second)
    assert not await store.leases.mark_delivered(second)
    assert await state_of(store) is State.CLAIMED


async def test_pods_that_lease_at_once_get_different_answers(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(40):
        await claimed(store, f"q{number}")
    run_out(connection)

    taken = await asyncio.gather(*(lease(store, 10) for _ in range(8)))

    ids = [each.answer.question_id for batch in taken for each in batch]
    assert sorted(ids) == sorted({f"q{number}" for number in range(40)})


async def test_a_mark_of_an_older_asking_marks_nothing(store: PendingStore, connection: psycopg.Connection) -> None:
    """Though it had the same token: the question was delivered by another pod, asked again and answered again."""
    first = await claimed(store)
    await store.leases.mark_delivered(first)
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(), lease=LEASE)
    connection.execute("update pending_interactions set lease_token = %s", (first.token,))

    assert not await store.leases.mark_delivered(first)
    assert await state_of(store) is State.UNDELIVERED


async def test_attempts_that_nobody_reported_count(store: PendingStore, connection: psycopg.Connection) -> None:
    """An answer that kills each pod that touches it ends up before a person."""
    await claimed(store)
    for attempt in range(2, 4):
        run_out(connection)
        (leased,) = await store.leases.lease(lease=LEASE, limit=1, most_attempts=3)
        assert leased.attempt == attempt
    run_out(connection)

    assert await store.leases.lease(lease=LEASE, limit=1, most_attempts=3) == []
    assert await state_of(store) is State.STUCK
    row = await store.inspection.get("q")
    assert row is not None
    assert row.delivery_error == "no pod lived to say what became of the attempts"
    assert await store.inspection.stuck() == ["q"]
    assert not (await store.leases.due()).answers


# The loop.


async def test_an_answer_of_the_same_pod_is_delivered_at_once_and_marked(store: PendingStore) -> None:
    worker = Worker()
    async with Delivery(store, worker) as delivery:
        delivery.submit(await claimed(store))
        await until(lambda: bool(worker.answers), 0.9)
    assert worker.ids == ["q"]
    assert await state_of(store) is State.CLAIMED


async def test_a_dead_pods_answer_is_delivered_within_two_seconds_of_its_lease(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await claimed(store, lease=SHORT)
    worker = Worker()
    began = time.monotonic()

    async with Delivery(store, worker):
        await until(lambda: bool(worker.answers))

    assert 0.5 < time.monotonic() - began < 1 + 2 + 1  # a second more for a busy machine
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.delivery_attempts) == (State.CLAIMED, 2)
    assert connection.execute("select delivery_due_at, lease_token from pending_interactions").fetchone() == (
        None,
        None,
    )


async def test_an_idle_pod_makes_one_statement_a_second(store: PendingStore) -> None:
    asked = 0

    class Counted:
        async def getconn(self) -> Connection:
            nonlocal asked
            asked += 1
            return await store._source.getconn()

        async def putconn(self, conn: Connection, /) -> None:
            await store._source.putconn(conn)

    async with Delivery(PendingStore(Counted()), Worker()):
        await asyncio.sleep(2.5)

    assert 2 <= asked <= 3


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


async def test_what_was_stuck_is_delivered_when_a_person_says_so(store: PendingStore) -> None:
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
    async with Delivery(store, worker, lease=timedelta(seconds=5), at_once=4):
        await until(lambda: len(worker.answers) == 28)

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


async def test_a_worker_that_answers_after_the_lease_has_its_mark_dropped(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    slow, released = Worker(), asyncio.Event()

    async def be_slow(answer: Answer) -> None:
        del answer
        await released.wait()

    slow.behaviour = be_slow
    async with Delivery(store, slow) as delivery:
        delivery.submit(await claimed(store))
        await asyncio.sleep(0.05)
        run_out(connection)
        # Taken over, and not marked yet.
        (taken,) = await lease(store)
        released.set()
        await until(lambda: bool(slow.answers))
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


async def test_the_loop_outlives_a_database_that_goes_away(store: PendingStore, connection: psycopg.Connection) -> None:
    await claimed(store, lease=timedelta(seconds=2))
    worker = Worker()
    async with Delivery(store, worker):
        await asyncio.sleep(0.2)
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        await until(lambda: bool(worker.answers))
        await until_state(store, State.CLAIMED)


_UNDELIVERED = "select count(*) from pending_interactions where delivery_due_at is not null"


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
                await asyncio.wait_for(at_the_worker.wait(), 10)
                await asyncio.to_thread(server.restart)
                back.set()
                with psycopg.connect(server.dsn, autocommit=True) as looking:
                    await until(lambda: looking.execute(_UNDELIVERED).fetchone() == (0,), 20)

    assert set(worker.ids) == {f"q{number}" for number in range(8)}


# Into a table of the application's own.

INSERT = "insert into approval (question, answer) values (%(question_id)s, %(value)s)"


async def test_into_the_same_database_it_is_exactly_once(store: PendingStore, connection: psycopg.Connection) -> None:
    connection.execute("create table approval (question text, answer text)")
    sink = PostgresSink(INSERT)
    first = await claimed(store)
    run_out(connection)
    (second,) = await lease(store)

    delivered = await asyncio.gather(*(sink.deliver(each, store.leases) for each in (first, second, second)))

    assert sorted(delivered) == [False, False, True]
    assert connection.execute("select * from approval").fetchall() == [("q", "yes")]
    assert await state_of(store) is State.CLAIMED


async def test_what_the_application_refuses_is_not_marked(store: PendingStore, connection: psycopg.Connection) -> None:
    connection.execute("create table approval (question text, answer text check (answer <> 'yes'))")

    with pytest.raises(DeliveryFailed, match="approval"):
        await PostgresSink(INSERT).deliver(await claimed(store), store.leases)

    assert await state_of(store) is State.UNDELIVERED


# Pods that die. The pod is a process of its own, killed where it says it is.

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
        bridge = InteractionBridge(Store(pool), ConsolePlatform(), handle, lease=timedelta(seconds=1))
        async with bridge:
            bridge.register("acme", "slack")
            where = dict(organization_id="acme", connection_id="slack")
            await bridge.click(Click(question_id="q", **where, user_id="U1", delivery_key="key", value="yes"))
            await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize(("moment", "deliveries"), [("claimed", 1), ("before delivery", 1), ("delivered", 2)], ids=str)
async def test_a_pod_that_is_killed_eats_no_answer(
    store: PendingStore, dsn: str, tmp_path: Path, moment: str, deliveries: int
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    worker = tmp_path / "worker"
    pod = await asyncio.create_subprocess_exec(
        sys.executable, "-c", POD, dsn, moment, str(worker), stdout=asyncio.subprocess.PIPE
    )
    assert pod.stdout is not None
    async with asyncio.timeout(20):
        assert (await pod.stdout.readline()).decode().strip() == moment
    pod.send_signal(signal.SIGKILL)
    await pod.wait()

    applied = Worker()
    async with Delivery(store, applied):
        await until_state(store, State.CLAIMED)

    (answer,) = applied.answers
    before = worker.read_text().splitlines() if worker.exists() else []
    # Delivered twice it has the same key and value, so that the worker can tell.
    assert [*before, f"{answer.idempotency_key} {answer.value}"] == ["q/1 yes"] * deliveries


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
    assert (await store.inspection.counts()).undelivered == 0
