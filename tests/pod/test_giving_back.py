"""What a pod that closes could not bring to an end goes to the other pods at once, and no sooner than it must."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast
from uuid import UUID

import psycopg
import pytest

from pendingctl import Answer, Delivery, PendingStore
from pendingctl.errors import DatabaseUnreachable
from pendingctl.leased import LeasedAnswer, Unreadable
from pendingctl.pod import delivery as delivery_module
from pendingctl.pod import giving_back, take_over
from pendingctl.pod.posts import MOST_ATTEMPTS as MOST_ATTEMPTS_TO_POST
from pendingctl.pod.take_over import AT_ONCE, MOST_OF_A_TENANT, TakeOver
from pendingctl.postgres.connections import Pool
from pendingctl.store.leases import Leases
from tests.deliveries import LEASE, Worker, claimed, until
from tests.pods import QUESTION, FindingPlatform, Pod, failing, hang
from tests.questions import PAYLOAD, SCOPE

WITHIN = timedelta(seconds=0.5)
SERVED = [("acme", "slack")]


@pytest.fixture
def time_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod gives up after a second what it cannot give back, as it could not on a busy machine."""
    for module in (delivery_module, giving_back, take_over):
        monkeypatch.setattr(module, "LAST_SECONDS", 60.0)


def _delivery_of(connection: psycopg.Connection, id: str = "q") -> tuple[bool, bool | None, int, str | None]:
    """Whether a pod holds the answer, whether it is due, the attempts that count, and what the last one came to."""
    row = connection.execute(
        "select lease_token is not null, delivery_due_at <= now(), delivery_attempts, delivery_error "
        "from pending_interactions where id = %s",
        (id,),
    ).fetchone()
    assert row is not None
    return cast("tuple[bool, bool | None, int, str | None]", row)


def _post_of(connection: psycopg.Connection) -> tuple[bool, int, int]:
    """Whether the card is due to be posted, the attempts that count, and those in doubt."""
    row = connection.execute(
        "select post_due_at <= now(), post_attempts, post_doubts from pending_interactions"
    ).fetchone()
    assert row is not None
    return cast("tuple[bool, int, int]", row)


@pytest.mark.usefixtures("time_for_it")
@pytest.mark.law(6)
async def test_an_answer_whose_hand_over_is_broken_off_is_delivered_by_another_pod_at_once(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    closing, other = Pod(store), Pod(store)
    closing.before_answer = hang
    closing.bridge.start()
    await closing.bridge.ask(QUESTION, event_id="e")
    await closing.click()
    await until(lambda: _delivery_of(connection)[:3] == (True, False, 1))

    await closing.bridge.close(within=WITHIN)

    assert _delivery_of(connection) == (False, True, 1, "the pod closed before the worker had answered")
    async with other.bridge:
        await until(lambda: bool(other.answers))
    row = await store.inspection.get("q")
    assert row is not None
    assert row.claimed_at is not None
    assert row.delivered_at is not None
    assert row.delivered_at - row.claimed_at < LEASE / 2
    assert row.delivery_attempts == 2
    steps = connection.execute(
        "select step, attempt from pending_trail where step in ('answered', 'failed', 'leased', 'delivered') "
        "order by id"
    ).fetchall()
    assert steps == [("answered", 1), ("failed", 1), ("leased", 2), ("delivered", 2)]


@pytest.mark.usefixtures("time_for_it")
@pytest.mark.law(6)
async def test_a_hand_over_that_never_began_is_no_attempt(store: PendingStore, connection: psycopg.Connection) -> None:
    began: list[str] = []

    async def be_slow(answer: Answer) -> None:
        began.append(answer.question_id)
        await hang()

    delivery = Delivery(store, Worker(be_slow), at_once=1)
    for id in ("q-1", "q-2"):
        delivery.submit(await claimed(store, id))
    await until(lambda: began == ["q-1"])

    await delivery.close(within=WITHIN)

    assert _delivery_of(connection, "q-1")[:3] == (False, True, 1)
    assert _delivery_of(connection, "q-2") == (False, True, 0, None)


async def test_an_answer_that_is_delivered_in_time_is_not_given_back(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    worker = Worker()
    delivery = Delivery(store, worker)
    delivery.submit(await claimed(store))

    await delivery.close(within=WITHIN)

    assert worker.ids == ["q"]
    assert _delivery_of(connection) == (False, None, 1, None)


@pytest.mark.law(16)
async def test_a_locked_row_keeps_no_other_from_being_given_back(
    store: PendingStore,
    connection: psycopg.Connection,
    dsn: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In a second a busy machine may give nothing back.
    monkeypatch.setattr(giving_back, "LAST_SECONDS", 3.0)

    async def be_slow(answer: Answer) -> None:  # noqa: ARG001
        await hang()

    delivery = Delivery(store, Worker(be_slow))
    for id in ("q-1", "q-2"):
        delivery.submit(await claimed(store, id))
    with psycopg.connect(dsn) as locking:
        locking.execute("select from pending_interactions where id = 'q-1' for update")
        await delivery.close(within=WITHIN)
        given_back = [_delivery_of(connection, id)[1] for id in ("q-1", "q-2")]

    assert given_back == [False, True]
    assert "answers go to another pod when their leases have run out (1 of them): their rows are locked" in caplog.text


@pytest.mark.parametrize("trouble", [failing(DatabaseUnreachable("the connection was lost")), hang])
@pytest.mark.law(16)
async def test_a_pod_closes_in_time_where_nothing_can_be_given_back(
    store: PendingStore, pool: Pool, caplog: pytest.LogCaptureFixture, trouble: object
) -> None:
    class Away(Leases):
        async def give_back(self, leased: Collection[LeasedAnswer], *, begun: Collection[UUID] = ()) -> set[str]:
            assert callable(trouble)
            await trouble()
            return await super().give_back(leased, begun=begun)

    store.leases = Away(pool)
    delivery = Delivery(store, Worker(lambda _: hang()))
    delivery.submit(await claimed(store))

    async with asyncio.timeout(20):
        await delivery.close(within=WITHIN)

    assert "answers go to another pod when their leases have run out" in caplog.text


@pytest.mark.usefixtures("time_for_it")
@pytest.mark.law(6)
async def test_what_is_leased_while_the_pod_closes_is_delivered_or_given_back(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    """The statement may have leased it, whatever becomes of its reply."""
    leasing = asyncio.Event()

    class Slow(Leases):
        async def lease(
            self,
            *,
            lease: timedelta,
            limit: int,
            most_attempts: int,
            after: str = "",
            busy: Collection[str] = (),
            endings: bool = False,
        ) -> list[LeasedAnswer | Unreadable]:
            leased = await super().lease(
                lease=lease, limit=limit, most_attempts=most_attempts, after=after, busy=busy, endings=endings
            )
            leasing.set()
            await asyncio.sleep(0.1)
            return leased

    await claimed(store)
    connection.execute("update pending_interactions set delivery_due_at = now(), lease_token = null")
    store.leases = Slow(pool)
    delivery = Delivery(store, Worker(lambda _: hang()))
    delivery.start()
    await until(leasing.is_set)

    await delivery.close(within=WITHIN)

    assert _delivery_of(connection)[:2] == (False, True)


@pytest.mark.usefixtures("time_for_it")
@pytest.mark.law(13)
async def test_a_card_that_was_only_looked_for_is_given_back(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    closing = Pod(store, platform=(platform := FindingPlatform()))
    platform.before_card = failing(TimeoutError())
    await closing.bridge.ask(QUESTION, event_id="e")
    connection.execute("update pending_interactions set post_due_at = now()")
    platform.before_find = hang
    closing.bridge.start()
    await until(lambda: bool(platform.searches))
    assert _post_of(connection) == (False, 2, 2)

    await closing.bridge.close(within=WITHIN)

    assert _post_of(connection) == (True, 2, 1)
    other = Pod(store, platform=FindingPlatform())
    async with other.bridge:
        await until(lambda: bool(other.platform.cards))


@pytest.mark.usefixtures("time_for_it")
@pytest.mark.parametrize("locked", ["q-1", "q-2", "q-3"])
@pytest.mark.law(13, 16)
async def test_a_locked_row_keeps_no_other_card_from_being_given_back(
    store: PendingStore, connection: psycopg.Connection, dsn: str, locked: str
) -> None:
    closing = Pod(store, platform=(platform := FindingPlatform()))
    platform.before_card = failing(TimeoutError())
    for number in (1, 2, 3):
        await closing.bridge.ask(replace(QUESTION, id=f"q-{number}"), event_id="e")
    connection.execute("update pending_interactions set post_due_at = now()")
    platform.before_find = hang
    closing.bridge.start()
    await until(lambda: len(platform.searches) == 3)

    def held() -> list[tuple[object, ...]]:
        return connection.execute("select id from pending_interactions where post_due_at > now()").fetchall()

    with psycopg.connect(dsn) as locking:
        locking.execute("select from pending_interactions where id = %s for update", (locked,))
        ending = asyncio.create_task(closing.bridge.close(within=WITHIN))
        await until(lambda: held() == [(locked,)])
    # No longer locked.
    await ending
    assert held() == []


@pytest.mark.usefixtures("time_for_it")
@pytest.mark.law(13)
async def test_a_card_is_not_given_up_for_an_attempt_that_was_never_made(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    closing = Pod(store, platform=(platform := FindingPlatform()))
    platform.before_card = failing(TimeoutError())
    await closing.bridge.ask(QUESTION, event_id="e")
    connection.execute(
        "update pending_interactions set post_due_at = now(), post_attempts = %s", (MOST_ATTEMPTS_TO_POST - 1,)
    )
    platform.before_find = hang
    closing.bridge.start()
    await until(lambda: bool(platform.searches))

    await closing.bridge.close(within=WITHIN)

    other = Pod(store, platform=FindingPlatform())
    async with other.bridge:
        await until(lambda: bool(other.platform.cards))


@pytest.mark.law(13)
async def test_a_card_that_was_sent_stays_in_doubt_until_its_lease_has_run_out(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    closing = Pod(store)
    closing.platform.after_card = hang
    asking = asyncio.create_task(closing.bridge.ask(QUESTION, event_id="e"))
    await until(lambda: bool(closing.platform.cards))

    await closing.bridge.close(within=WITHIN)

    assert _post_of(connection) == (False, 1, 1)
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_card_whose_edit_was_not_begun_is_another_pods_at_once(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set card = '\"slack-1\"', card_due_at = now(), claimed_at = now()")
    (earlier,) = await store.leases.lease_cards(SERVED, lease=LEASE, limit=1)
    connection.execute("update pending_interactions set card_due_at = now()")
    (leased,) = await store.leases.lease_cards(SERVED, lease=LEASE, limit=1)

    # Of a lease that was lost nothing is given back.
    await store.leases.give_back_cards([earlier])
    assert await store.leases.lease_cards(SERVED, lease=LEASE, limit=1) == []
    await store.leases.give_back_cards([leased])
    assert [each.attempts for each in await store.leases.lease_cards(SERVED, lease=LEASE, limit=1)] == [3]


@dataclass(frozen=True)
class _Due:
    question_id: str
    organization_id: str = "acme"


async def test_what_waits_for_its_tenants_turn_is_returned_and_never_begun() -> None:
    due = [_Due(f"q-{number}") for number in range(AT_ONCE)]
    begun: list[_Due] = []

    async def lease(served: Collection[tuple[str, str]], limit: int) -> list[_Due]:  # noqa: ARG001
        return due

    async def work(each: _Due) -> None:
        begun.append(each)
        await hang()

    taking = TakeOver("things", lease, work, lambda: SERVED)
    taking.begin()
    await until(lambda: len(begun) == MOST_OF_A_TENANT)

    left = await taking.close(time.monotonic() + 0.1)

    assert begun + left == due
    assert await taking.close(time.monotonic()) == []
