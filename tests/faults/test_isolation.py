"""One's trouble is not another's: no row, table, worker or connection costs anybody else a click or an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from pendingctl import Claim, Delivery, InteractionBridge, PendingStore, PostgresSink, ReplyKind, Scope, open_pool
from pendingctl.leased import PostedCard
from pendingctl.postgres.time_limits import Purpose
from pendingctl.sinks import postgres
from tests.deliveries import LEASE, Worker, claimed, run_out
from tests.faults.moments import PATIENCE, came_true
from tests.faults.proxy import running_proxy
from tests.locks import until_waiting_for_a_lock, waiting_for_a_lock
from tests.patience import be_patient
from tests.pods import Pod, RecordingPlatform, failing
from tests.questions import PAYLOAD, SCOPE, age, click

GLOBEX = Scope("globex", "slack", "U1")
SERVED = [("acme", "slack"), ("globex", "slack")]
# Rows that another writer has stored: one that is no question, and one with a number that Python does not read.
FOREIGN = ["[1]", '{"question": {"text": "?", "options": []}, "number": 1e5000}']


async def put_with_due_card(store: PendingStore, connection: psycopg.Connection, id: str, scope: Scope) -> None:
    """Store a question that is stale, and whose card is due."""
    stored = await store.put(id, scope, PAYLOAD)
    await store.leases.mark_posted([PostedCard(question_id=id, ask_number=stored.ask_number, card=f'"{id}"')])
    age(connection, 25, id)
    connection.execute("update pending_interactions set card_due_at = now() where id = %s", (id,))


def make_foreign(connection: psycopg.Connection, id: str, payload: str) -> None:
    connection.execute("update pending_interactions set entry_payload = %s where id = %s", (payload, id))


async def test_a_card_that_can_never_be_edited_keeps_no_other_waiting(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put_with_due_card(store, connection, "bad", SCOPE)
    for _ in range(60):
        await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)
        connection.execute("update pending_interactions set card_due_at = now()")
    await put_with_due_card(store, connection, "good", GLOBEX)

    leased = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)
    assert "good" in [card.question_id for card in leased]


async def test_a_locked_row_costs_no_other_tenant_their_click(
    store: PendingStore, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as the row is locked none of its presses gives up, and makes room.
    be_patient(monkeypatch, Purpose.CLAIM)
    await store.put("q", SCOPE, PAYLOAD)
    await store.put("other", GLOBEX, PAYLOAD)
    async with open_pool(dsn) as pool:
        pod = Pod(PendingStore(pool), reply_within=PATIENCE)
        pod.bridge.register("globex", "slack")
        async with pod.bridge:
            with psycopg.connect(dsn) as application:
                application.execute("select from pending_interactions where id = 'q' for update")
                presses = [asyncio.create_task(pod.click(f"k-{number}")) for number in range(pool.max_size)]
                await until_waiting_for_a_lock(connection)
                reply = await pod.bridge.click(click("other", "globex"))
            await asyncio.gather(*presses)

    assert reply.kind is ReplyKind.ANSWERED


async def test_a_locked_table_of_the_application_costs_no_click(
    store: PendingStore, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is migrated."""
    # As long as the table is locked no delivery gives up, and makes room.
    be_patient(monkeypatch, Purpose.CLAIM, Purpose.SINK)
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "60s")
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT", "60s")
    connection.execute("create table approval (question text, answer text)")
    sink = PostgresSink("insert into approval values (%(question_id)s, %(value)s)")
    ids = [f"q-{number}" for number in range(11)]
    for id in ids:
        await store.put(id, SCOPE, PAYLOAD)
    async with (
        open_pool(dsn) as pool,
        InteractionBridge(PendingStore(pool), RecordingPlatform(), sink, reply_within=PATIENCE) as bridge,
    ):
        bridge.register("acme", "slack")
        with psycopg.connect(dsn) as application:
            application.execute("lock table approval")
            before = [(await bridge.click(click(id))).kind for id in ids[:-1]]
            # Fewer may be let in at once.
            await came_true(lambda: waiting_for_a_lock(connection) == len(before), 2)
            # Each delivery has 24 s.
            async with asyncio.timeout(15):
                last = await bridge.click(click(ids[-1]))

    assert [*before, last.kind] == [ReplyKind.ANSWERED] * len(ids)


@asynccontextmanager
async def pod_on_silent_connections(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> AsyncIterator[Pod]:
    """A pod whose ten connections fall silent, as when a node is lost; new ones work."""
    await store.put("q", SCOPE, PAYLOAD)
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn, min_size=10) as pool:
        await pool.wait()
        pod = Pod(PendingStore(pool))
        async with pod.bridge:
            proxy.fall_silent()
            try:
                yield pod
            finally:
                await proxy.hang_up()


@pytest.mark.law(16)
async def test_silent_connections_stop_a_pod_for_a_few_seconds_at_most(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    kinds: list[ReplyKind] = []
    slowest, tenths = 0, [0]
    counting = asyncio.create_task(count_tenths(tenths))
    async with pod_on_silent_connections(store, dsn, connection) as pod:
        # One connection after the other would take five clicks.
        while ReplyKind.ANSWERED not in kinds and len(kinds) < 3:
            began = tenths[0]
            kinds.append((await pod.bridge.click(click())).kind)
            slowest = max(slowest, tenths[0] - began)
    counting.cancel()

    assert slowest < 35
    assert kinds[-1] is ReplyKind.ANSWERED


async def count_tenths(tenths: list[int]) -> None:
    """Count tenths of a second, but for those in which this process got no processor."""
    while True:
        await asyncio.sleep(0.1)
        tenths[0] += 1


@pytest.mark.law(16)
async def test_answers_are_taken_over_a_few_seconds_after_connections_fell_silent(
    store: PendingStore, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch, Purpose.CLAIM)
    async with pod_on_silent_connections(store, dsn, connection) as pod:
        await claimed(store, "left")
        run_out(connection)
        # One connection after the other would take twenty.
        assert await came_true(lambda: bool(pod.answers), 15)


async def test_a_workers_own_timeout_is_reported_as_such(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch, Purpose.CLAIM)
    said = await what_is_said(store, connection, TimeoutError("redis: connect to 10.0.0.7:6379 timed out"))
    assert "redis" in said


async def test_a_worker_that_is_cancelled_from_inside_is_reported(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a task of the application's own, which it awaits and something else cancels."""
    be_patient(monkeypatch, Purpose.CLAIM)
    assert "cancel" in (await what_is_said(store, connection, asyncio.CancelledError())).lower()


async def what_is_said(store: PendingStore, connection: psycopg.Connection, error: BaseException) -> str:
    """What the row says of a worker that fails so."""

    def said() -> str:
        row = connection.execute("select delivery_error from pending_interactions").fetchone()
        return "" if row is None or row[0] is None else str(row[0])

    await store.put("q", SCOPE, PAYLOAD)
    pod = Pod(store, reply_within=PATIENCE)
    pod.before_answer = failing(error)
    async with pod.bridge:
        await pod.bridge.click(click())
        await came_true(lambda: bool(said()))
    return said()


@pytest.mark.parametrize("payload", FOREIGN, ids=["no question", "number"])
async def test_an_answer_that_does_not_parse_keeps_no_other_waiting(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, payload: str
) -> None:
    be_patient(monkeypatch, Purpose.CLAIM)
    await claimed(store, "evil")
    await store.put("good", GLOBEX, PAYLOAD)
    assert isinstance(await store.claim(click("good", "globex"), lease=LEASE), Claim)
    make_foreign(connection, "evil", payload)
    run_out(connection)
    worker = Worker()
    async with Delivery(store, worker):
        assert await came_true(lambda: "good" in worker.ids)


async def test_a_card_whose_row_does_not_parse_keeps_no_other_waiting(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put_with_due_card(store, connection, "evil", SCOPE)
    await put_with_due_card(store, connection, "good", GLOBEX)
    make_foreign(connection, "evil", FOREIGN[1])
    pod = Pod(store)
    pod.bridge.register("globex", "slack")
    async with pod.bridge:
        assert await came_true(lambda: "good" in [handle for _, handle, _ in pod.platform.edits])
