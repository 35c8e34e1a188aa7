"""One tenant's trouble is its own: the answers, cards and clicks of the others do not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Answer, Card, Claim, Delivery, PendingStore, ReplyKind, Scope, State, open_pool
from pendingctl.leased import PostedCard
from pendingctl.platforms import MessageHandle
from pendingctl.pod.take_over import MOST_OF_A_TENANT, TakeOver
from tests.deliveries import LEASE, Worker, claimed, run_out, until
from tests.faults.moments import came_true
from tests.locks import until_waiting_for_a_lock
from tests.pods import Pod, RecordingPlatform
from tests.questions import PAYLOAD, SCOPE, age, click

GLOBEX = Scope("globex", "slack", "U1")
DUE = """
    update pending_interactions
    set claimed_at = now(), answer = 'yes', answered_by = 'U1', delivery_due_at = now() - interval '1 hour'
"""


async def hang(answer: Answer) -> None:
    if answer.organization_id == "acme":
        await asyncio.Event().wait()


async def claim_in_globex(store: PendingStore, id: str) -> None:
    await store.put(id, GLOBEX, PAYLOAD)
    assert isinstance(await store.claim(click(id, "globex"), lease=timedelta()), Claim)


@pytest.mark.law(6)
async def test_an_answer_is_taken_over_while_500_of_a_tenant_whose_worker_hangs_are_due(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(500))
    connection.execute(DUE)
    worker = Worker(hang)
    delivery = Delivery(store, worker)
    delivery.start()
    # All that the tenant may take is with its worker before the other's answer is there.
    await came_true(lambda: under_way(connection) >= 15)
    await claim_in_globex(store, "other")
    assert await came_true(lambda: worker.ids == ["other"], 10)
    assert await came_true(lambda: under_way(connection) == 15)
    await delivery.close(within=timedelta())


def under_way(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(lease_token) from pending_interactions").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.law(6)
async def test_answers_are_taken_over_while_the_pods_own_clicks_wait_for_a_worker_that_hangs(
    store: PendingStore,
) -> None:
    worker = Worker(hang)
    delivery = Delivery(store, worker)
    for number in range(30):
        delivery.submit(await claimed(store, f"q{number}"))
    delivery.start()
    await claim_in_globex(store, "other")
    assert await came_true(lambda: worker.ids == ["other"], 10)
    await delivery.close(within=timedelta())


@pytest.mark.law(6)
async def test_a_tenant_whose_rows_a_stranger_has_locked_does_not_begin_the_round_anew(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    """As many tenants as a look sees come before the last one, and the locked one yields nothing."""
    for tenant in ("a-locked", "b-busy", "c-busy"):
        await store.create_organization(tenant)
        scope = Scope(tenant, "slack", "U1")
        await store.put_many((f"{tenant}-{number}", scope, PAYLOAD) for number in range(40))
    connection.execute(DUE)
    await claim_in_globex(store, "last")
    worker = Worker()
    with psycopg.connect(dsn) as stranger:
        stranger.execute("select from pending_interactions where organization_id = 'a-locked' for update")
        async with Delivery(store, worker, at_once=4):
            await until(lambda: len(worker.answers) == 81)

    assert [answer.question_id for answer in worker.answers].index("last") < 20


async def test_all_of_one_tenants_answers_are_taken_over_without_a_pause(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(200))
    connection.execute(DUE)
    worker = Worker()
    async with Delivery(store, worker):
        await until(lambda: len(worker.answers) == 200)

    assert (await store.statistics.counts()).total.undelivered == 0


async def test_a_hand_over_that_has_waited_too_long_is_given_back_and_is_no_attempt(store: PendingStore) -> None:
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(answer: Answer) -> None:
        del answer
        has_begun.set()
        await may_end.wait()

    worker = Worker(wait)
    delivery = Delivery(store, worker, at_once=1)
    delivery.submit(await claimed(store, "first"))
    await until(has_begun.is_set)
    # A tenth of its lease is left for the worker.
    delivery.submit(await claimed(store, "second"), began=time.monotonic() - 0.7 * LEASE.total_seconds())
    may_end.set()

    await delivery.close()
    rows = [await store.inspection.get(id) for id in ("first", "second")]
    assert [(row.state, row.delivery_attempts) for row in rows if row is not None] == [
        (State.CLAIMED, 1),
        (State.UNDELIVERED, 0),
    ]
    assert worker.ids == ["first"]


@pytest.mark.law(7)
async def test_ten_presses_on_a_locked_question_cost_no_other_tenant_anything(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.put("other", GLOBEX, PAYLOAD)
    async with open_pool(dsn, max_size=2) as pool:
        pod = Pod(PendingStore(pool), reply_within=timedelta(seconds=30))
        pod.bridge.register("globex", "slack")
        with psycopg.connect(dsn) as application:
            application.execute("select from pending_interactions where id = 'q' for update")
            presses = [asyncio.create_task(pod.click(f"k-{number}")) for number in range(10)]
            await until_waiting_for_a_lock(connection)
            async with asyncio.timeout(20):
                reply = await pod.bridge.click(click("other", "globex"))
            assert not any(press.done() for press in presses)
        kinds = await asyncio.gather(*presses)
        await pod.bridge.close()

    assert reply.kind is ReplyKind.ANSWERED
    assert sorted(kinds) == [ReplyKind.ALREADY_ANSWERED] * 9 + [ReplyKind.ANSWERED]
    assert len(pod.bridge._question_turns) == len(pod.bridge._tenant_turns) == 0


@pytest.mark.law(7)
async def test_presses_whose_turn_does_not_come_in_time_leave_no_turn_behind(store: PendingStore, dsn: str) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    pod = Pod(store, reply_within=timedelta(seconds=0.2))
    with psycopg.connect(dsn) as application:
        application.execute("select from pending_interactions where id = 'q' for update")
        kinds = await asyncio.gather(*(pod.click(f"k-{number}") for number in range(10)))
    await pod.bridge.close()

    assert set(kinds) == {ReplyKind.CANNOT_SERVE}
    assert len(pod.bridge._question_turns) == len(pod.bridge._tenant_turns) == 0


class Hanging(RecordingPlatform):
    """Edits no card of one tenant."""

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        if str(handle).startswith("acme"):
            await asyncio.Event().wait()
        await super().edit_card(connection_id, handle, card)


async def put_with_card(store: PendingStore, connection: psycopg.Connection, id: str, scope: Scope) -> None:
    stored = await store.put(id, scope, PAYLOAD)
    card = f'"{scope.organization_id}"'
    await store.leases.mark_posted([PostedCard(question_id=id, ask_number=stored.ask_number, card=card)])
    age(connection, 25, id)
    connection.execute("update pending_interactions set card_due_at = now() where id = %s", (id,))


async def test_a_platform_that_hangs_for_one_tenant_keeps_no_card_of_another_waiting(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(20):
        await put_with_card(store, connection, f"q{number}", SCOPE)
    pod = Pod(store, platform=Hanging())
    pod.bridge.register("globex", "slack")
    pod.bridge.start()

    def leased() -> int:
        row = connection.execute("select count(*) from pending_interactions where card_attempts > 0").fetchone()
        assert row is not None
        return int(row[0])

    await came_true(lambda: leased() >= 7)
    await put_with_card(store, connection, "other", GLOBEX)
    assert await came_true(lambda: [handle for _, handle, _ in pod.platform.edits] == ["globex"])
    async with asyncio.timeout(20):
        await pod.bridge.close()


@dataclass(frozen=True)
class Due:
    question_id: str
    organization_id: str = "acme"


async def test_the_rest_of_a_busy_tenant_follows_where_all_it_has_under_way_ends_during_a_look() -> None:
    due = [Due(f"q{number}") for number in range(MOST_OF_A_TENANT + 1)]
    done: list[str] = []
    may_end = asyncio.Event()

    async def lease(served: Collection[tuple[str, str]], limit: int) -> list[Due]:
        if not served:
            # The tenant has no turn left, and nobody else has anything due.
            may_end.set()
            await until(lambda: len(done) == MOST_OF_A_TENANT)
            return []
        leased, due[:] = due[:limit], due[limit:]
        return leased

    async def work(leased: Due) -> None:
        await may_end.wait()
        done.append(leased.question_id)

    taking_over = TakeOver("cards", lease, work, lambda: [("acme", "slack")])
    taking_over.begin()
    await until(lambda: len(done) == MOST_OF_A_TENANT + 1)
    await taking_over.close(time.monotonic() + 1)


async def test_cards_are_edited_while_a_worker_hangs(store: PendingStore, connection: psycopg.Connection) -> None:
    pod = Pod(store)

    async def wait() -> None:
        await asyncio.Event().wait()

    pod.before_answer = wait
    for number in range(30):
        await claimed(store, f"q{number}")
    run_out(connection)
    pod.bridge.start()
    await came_true(lambda: under_way(connection) >= 15)
    await put_with_card(store, connection, "other", SCOPE)
    assert await came_true(lambda: bool(pod.platform.edits))
    await pod.bridge.close(within=timedelta())


@pytest.mark.law(6)
@pytest.mark.parametrize("payload", ["[1]", '{"number": 1e5000}'])
async def test_an_answer_whose_row_cannot_be_read_is_stuck_alone_and_says_why(
    store: PendingStore, connection: psycopg.Connection, payload: str
) -> None:
    for id in ("good", "poisoned"):
        await claimed(store, id)
    connection.execute("update pending_interactions set entry_payload = %s where id = 'poisoned'", (payload,))
    run_out(connection)
    worker = Worker()
    async with Delivery(store, worker):
        assert await came_true(lambda: worker.ids == ["good"])
    row = connection.execute(
        "select delivery_due_at = 'infinity', delivery_error from pending_interactions where id = 'poisoned'"
    ).fetchone()
    assert row is not None
    assert row[0] is True
    assert row[1]
