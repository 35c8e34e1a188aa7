"""Each pod notes every 10 s that it lives and what it holds, and that costs nobody else anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import Delivery, PendingStore, ReplyKind, __version__, open_pool
from pendingctl.model import ANSWERS, Outcome
from pendingctl.pod import delivery
from pendingctl.pods import Heartbeat
from pendingctl.postgres.connections import Pool
from pendingctl.store.leases import Leases
from pendingctl.store.pod_statements import BEAT
from tests.deliveries import Worker, until
from tests.faults.moments import came_true
from tests.pods import QUESTION, Pod, hang
from tests.questions import click
from tests.store.plans import PARAMETERS


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no test waits for 10 s; each note takes the place of a look."""
    monkeypatch.setattr(delivery, "BEAT_SECONDS", 1.5)


def heartbeat() -> Heartbeat:
    return Heartbeat(instance=uuid4(), version=__version__, connections=1, claims=0, cards=0, answers=0)


async def note(pool: Pool, pod: str) -> None:
    await PendingStore(pool, pod=pod).leases.beat(ANSWERS, heartbeat())


def noted(connection: psycopg.Connection, columns: str = "pod") -> list[tuple[object, ...]]:
    return connection.execute(f"select {columns} from pending_pods order by pod, started_at".encode()).fetchall()


async def test_a_pod_notes_what_it_serves_and_what_it_holds(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    pod.bridge.register("globex", "slack")
    await pod.bridge.ask(QUESTION, event_id="e")
    pod.before_answer = pod.platform.before_card = hang
    assert await pod.click() is ReplyKind.ANSWERED
    asking = asyncio.create_task(pod.bridge.ask(replace(QUESTION, id="q-2"), event_id="e"))

    pod.bridge.start()
    held = "version, application, connections, claims, cards, answers"
    assert await came_true(lambda: noted(connection, held) == [(__version__, "", 2, 0, 1, 1)])

    await pod.bridge.close(within=timedelta(seconds=0.1))
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_claim_that_waits_is_noted(store: PendingStore, connection: psycopg.Connection, dsn: str) -> None:
    pod = Pod(store, reply_within=timedelta(seconds=30))
    await pod.bridge.ask(QUESTION, event_id="e")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from pending_interactions for update")
        clicking = asyncio.create_task(pod.click())
        async with pod.bridge:
            assert await came_true(lambda: noted(connection, "claims") == [(1,)])
            holding.rollback()
            assert await clicking is ReplyKind.ANSWERED


async def test_a_pod_without_a_platform_notes_that_it_lives(pool: Pool, connection: psycopg.Connection) -> None:
    async with Delivery(PendingStore(pool, application="billing", pod="pod-1"), Worker()):
        assert await came_true(lambda: noted(connection, "pod, application") == [("pod-1", "billing")])


async def test_a_pod_that_closes_is_no_longer_noted(store: PendingStore, connection: psycopg.Connection) -> None:
    async with Pod(store).bridge:
        assert await came_true(lambda: len(noted(connection)) == 1)
    assert noted(connection) == []


async def test_a_pod_that_closes_while_it_notes_itself_is_not_noted(pool: Pool, connection: psycopg.Connection) -> None:
    class Waiting(Leases):
        async def beat(self, outcomes: Collection[Outcome], heartbeat: Heartbeat) -> None:
            await super().beat(outcomes, heartbeat)
            await hang()

    store = PendingStore(pool)
    store.leases = Waiting(pool)
    async with Delivery(store, Worker()):
        assert await came_true(lambda: len(noted(connection)) == 1)
    assert noted(connection) == []


async def test_pods_of_one_name_are_noted_each_by_itself(pool: Pool, connection: psycopg.Connection) -> None:
    store = PendingStore(pool, pod="pod-1")
    async with Delivery(store, Worker()):
        async with Delivery(store, Worker()):
            assert await came_true(lambda: noted(connection) == [("pod-1",), ("pod-1",)])
        assert noted(connection) == [("pod-1",)]


async def test_a_pod_that_comes_back_after_long_is_noted_again(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = heartbeat()
    await store.leases.beat(ANSWERS, pod)
    connection.execute("update pending_pods set seen_at = seen_at - interval '2 hours'")

    await store.leases.beat(ANSWERS, pod)

    assert noted(connection, "seen_at > now() - interval '1 minute'") == [(True,)]


async def test_pods_that_have_died_are_forgotten_after_an_hour_without_a_wait(
    pool: Pool, connection: psycopg.Connection, dsn: str
) -> None:
    for name in ("dead", "locked", "recent"):
        await note(pool, name)
    connection.execute("update pending_pods set seen_at = now() - interval '61 minutes' where pod <> 'recent'")
    connection.execute("update pending_pods set seen_at = now() - interval '59 minutes' where pod = 'recent'")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from pending_pods where pod = 'locked' for update")
        # One that waited for that row would be given up.
        await note(pool, "alive")
    assert noted(connection) == [("alive",), ("locked",), ("recent",)]

    await note(pool, "alive")
    assert noted(connection) == [("alive",), ("alive",), ("recent",)]


async def test_a_pod_that_a_wrong_clock_has_seen_in_the_future_is_not_alive_for_ever(
    pool: Pool, connection: psycopg.Connection
) -> None:
    await note(pool, "dead")
    connection.execute("update pending_pods set seen_at = seen_at + interval '1 year'")
    assert await PendingStore(pool).statistics.pods() == []
    await note(pool, "alive")

    assert noted(connection) == [("alive",)]


async def delivers(store: PendingStore) -> None:
    worker = Worker()
    async with Delivery(store, worker):
        await store.put("q", QUESTION.scope, QUESTION.payload())
        await store.claim(click(), lease=timedelta())
        await until(lambda: worker.ids == ["q"])


async def without_the_table(store: PendingStore, connection: psycopg.Connection) -> None:
    connection.execute("drop table pending_pods")
    await delivers(store)


async def while_it_is_locked(store: PendingStore, connection: psycopg.Connection) -> None:
    with psycopg.connect(connection.info.dsn, dbname=connection.info.dbname) as holding:
        holding.execute("lock table pending_pods in access exclusive mode")
        await delivers(store)


async def without_the_right(store: PendingStore, connection: psycopg.Connection) -> None:  # noqa: ARG001
    name = f"{connection.info.dbname}_pod"
    connection.execute(f"create role {name} login".encode())
    try:
        connection.execute(
            f"grant select, insert, update, delete on all tables in schema public to {name}; "
            f"revoke all on pending_pods from {name}".encode()
        )
        async with open_pool(make_conninfo(connection.info.dsn, user=name, dbname=connection.info.dbname)) as pool:
            await delivers(PendingStore(pool))
        # The other note is made all the same.
        assert connection.execute("select outcomes from pending_applications").fetchall() == [(sorted(ANSWERS),)]
    finally:
        connection.execute(f"drop owned by {name}; drop role {name}".encode())


@pytest.mark.law(16)
@pytest.mark.parametrize("trouble", [without_the_table, while_it_is_locked, without_the_right])
async def test_answers_are_delivered_where_a_pod_cannot_note_that_it_lives(
    store: PendingStore,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    trouble: Callable[[PendingStore, psycopg.Connection], Awaitable[None]],
) -> None:
    await trouble(store, connection)

    said = [each.message for each in caplog.records if "that this pod lives" in each.message]
    assert len(said) == 1


def test_a_note_is_changed_in_its_place(connection: psycopg.Connection) -> None:
    with connection.transaction():
        for _ in range(500):
            connection.execute(BEAT, PARAMETERS)
        counted = connection.execute(
            """
            select pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_hot_updated(oid)
            from pg_class where oid = 'pending_pods'::regclass
            """
        ).fetchone()

    assert counted is not None
    assert counted[0] == 499
    # Within one transaction no version makes room for the next.
    assert counted[1] > 400


@pytest.mark.parametrize("outcomes", [[Outcome.ANSWERED], [Outcome.EXPIRED]])
def test_only_a_note_that_changes_what_the_worker_hears_waits_for_the_disk(
    connection: psycopg.Connection, outcomes: list[Outcome]
) -> None:
    parameters = {**PARAMETERS, "outcomes": ["answered"]}
    connection.execute(BEAT, parameters)
    with connection.transaction():
        connection.execute(BEAT, {**parameters, "outcomes": outcomes})
        row = connection.execute("select current_setting('synchronous_commit')").fetchone()

    assert row == ("off" if outcomes == ["answered"] else "on",)
