"""An accepted answer in the store: what its row holds, whose it is to deliver, and what may not take it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from pendingctl import (
    Claim,
    Filters,
    LeasedAnswer,
    PendingStore,
    PutOutcome,
    State,
)
from pendingctl.errors import DatabaseFailed, Undelivered
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from pendingctl.store.puts import AWAITED_FOR
from tests.deliveries import LEASE, SHORT, claimed, lease, readable, run_out, state_of
from tests.locks import changes, only_locks, until_the_clock_waits, until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, age, click, swept

# The claim carries the answer.


@pytest.mark.law(6)
async def test_the_row_has_all_of_the_answer_from_the_claim_on(pool: Pool) -> None:
    store = PendingStore(pool, pod="pod-1")
    leased = await claimed(store)

    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.answer, row.answered_by, row.pod) == (State.UNDELIVERED, "yes", "U1", "pod-1")
    assert (row.delivery_key, row.delivery_attempts, row.delivered_at) == ("key", 1, None)
    assert (leased.answer.value, leased.answer.conversation_id) == ("yes", "C1")


async def test_whoever_claims_without_a_lease_has_the_answer(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    row = await store.inspection.get("q")
    assert row is not None
    assert row.state is State.CLAIMED
    assert row.claimed_at is not None
    assert row.delivered_at is not None
    assert row.delivered_at - row.claimed_at < timedelta(minutes=1)
    assert not (await store.leases.due()).answers


@pytest.mark.law(6)
async def test_an_undelivered_question_is_not_asked_again(store: PendingStore) -> None:
    leased = await claimed(store)

    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.ALREADY_ANSWERED
    assert await store.leases.mark_delivered(leased)
    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.REOPENED
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.answer, row.pod, row.delivered_at, row.delivery_attempts) == (None, None, None, 0)


@pytest.mark.law(6)
async def test_an_undelivered_answer_is_deleted_only_on_request(store: PendingStore) -> None:
    await claimed(store)

    with pytest.raises(Undelivered):
        await store.delete("q", SCOPE)
    assert await state_of(store) is State.UNDELIVERED
    assert await store.delete("q", SCOPE, include_undelivered=True)


@pytest.mark.law(6)
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


@pytest.mark.law(6)
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


@pytest.mark.law(6)
async def test_pods_that_lease_at_once_get_different_answers(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(40):
        await claimed(store, f"q{number}")
    run_out(connection)

    taken = await asyncio.gather(*(lease(store, 10) for _ in range(8)))

    ids = [each.answer.question_id for batch in taken for each in batch]
    assert sorted(ids) == sorted({f"q{number}" for number in range(40)})


@pytest.mark.law(6)
async def test_a_mark_of_an_older_asking_marks_nothing(store: PendingStore, connection: psycopg.Connection) -> None:
    """Though it had the same token: the question was delivered by another pod, asked again and answered again."""
    first = await claimed(store)
    await store.leases.mark_delivered(first)
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(), lease=LEASE)
    connection.execute("update pending_interactions set lease_token = %s", (first.token,))

    assert not await store.leases.mark_delivered(first)
    assert await state_of(store) is State.UNDELIVERED


@pytest.mark.law(6)
async def test_attempts_that_nobody_reported_count(store: PendingStore, connection: psycopg.Connection) -> None:
    """An answer that kills each pod that touches it ends up before a person."""
    await claimed(store)
    for attempt in range(2, 4):
        run_out(connection)
        (leased,) = readable(await store.leases.lease(lease=LEASE, limit=1, most_attempts=3))
        assert leased.attempt == attempt
    run_out(connection)

    assert await store.leases.lease(lease=LEASE, limit=1, most_attempts=3) == []
    assert await state_of(store) is State.STUCK
    row = await store.inspection.get("q")
    assert row is not None
    assert row.delivery_error == "the pods that attempted it died"
    assert [row.id for row in await store.inspection.find(Filters(state=State.STUCK))] == ["q"]
    assert not (await store.leases.due()).answers


# Tenants take turns.


async def _due(connection: psycopg.Connection, organization: str, answers: int, hours: float = 1) -> None:
    connection.execute(
        """
        insert into organization (id) values (%(organization)s) on conflict do nothing
        """,
        {"organization": organization},
    )
    connection.execute(
        """
        insert into pending_interactions
            (id, organization_id, connection_id, expected_user_id, entry_payload, claimed_at, answer, delivery_due_at)
        select %(organization)s || n, %(organization)s, 'slack', 'U1', '{}', now(), 'yes',
               now() - %(age)s - n * interval '1 second'
        from generate_series(1, %(answers)s) as n
        """,
        {"organization": organization, "answers": answers, "age": timedelta(hours=hours)},
    )


def _tenants(leased: list[LeasedAnswer]) -> Counter[str]:
    return Counter(each.answer.organization_id for each in leased)


@pytest.mark.law(16)
async def test_five_hundred_answers_of_one_tenant_do_not_come_before_another_tenants(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await _due(connection, "acme", 500)
    await _due(connection, "zulu", 1, hours=0)

    assert _tenants(await lease(store, 10)) == {"acme": 9, "zulu": 1}
    assert _tenants(await lease(store, 10)) == {"acme": 10}


@pytest.mark.law(16)
async def test_more_tenants_than_a_lease_takes_get_their_turn_one_after_the_other(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    tenants = [f"tenant-{number:02}" for number in range(25)]
    for tenant in tenants:
        await _due(connection, tenant, 50)

    after, seen = "", Counter[str]()
    for _ in range(3):
        leased = readable(await store.leases.lease(lease=LEASE, limit=10, most_attempts=20, after=after))
        seen += _tenants(leased)
        after = max(each.answer.organization_id for each in leased)

    assert set(seen) == set(tenants)


@pytest.mark.law(16)
async def test_tenants_whose_answers_wait_for_their_time_take_nobodys_turn(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """Stuck, leased by another pod or to be tried again later: as many tenants as a lease takes, and before the one."""
    for number in range(12):
        await _due(connection, f"tenant-{number:02}", 1)
    connection.execute(
        "update pending_interactions set delivery_due_at = "
        "case when organization_id < 'tenant-06' then 'infinity' else now() + interval '1 hour' end"
    )
    await _due(connection, "zulu", 1)

    assert (await store.leases.due()).answers
    assert _tenants(await lease(store, 10)) == {"zulu": 1}


@pytest.mark.law(16)
async def test_busy_tenants_are_passed_by(store: PendingStore, connection: psycopg.Connection) -> None:
    await _due(connection, "acme", 20)
    await _due(connection, "globex", 20)

    leased = await store.leases.lease(lease=LEASE, limit=10, most_attempts=20, busy=["acme"])

    assert _tenants(readable(leased)) == {"globex": 10}


@pytest.mark.law(16)
async def test_of_each_tenant_the_longest_due_comes_first(store: PendingStore, connection: psycopg.Connection) -> None:
    await _due(connection, "acme", 500)

    leased = await lease(store, 3)

    assert sorted(each.answer.question_id for each in leased) == ["acme498", "acme499", "acme500"]


@pytest.mark.law(16)
async def test_five_hundred_cards_of_one_organization_do_not_come_before_anothers(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await _due(connection, "acme", 500)
    await _due(connection, "zulu", 1, hours=0)
    connection.execute("update pending_interactions set card = '1', card_due_at = delivery_due_at")

    leased = await store.leases.lease_cards([("acme", "slack"), ("zulu", "slack")], lease=LEASE, limit=10)

    assert Counter(card.organization_id for card in leased) == {"acme": 9, "zulu": 1}


async def test_a_leased_card_has_the_question_that_it_shows_and_whose_it_is(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """Also where the rest of the payload cannot be read; a question that cannot is none."""
    await store.put("q", SCOPE, PAYLOAD)
    await store.put("unreadable", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set card = '1', card_due_at = now()")
    connection.execute("""update pending_interactions set entry_payload = entry_payload || '{"n": 1e5000}'""")
    connection.execute(
        """update pending_interactions set entry_payload = '{"question": {"n": 1e5000}}' where id = 'unreadable'"""
    )

    leased = await store.leases.lease_cards([("acme", "slack")], lease=LEASE, limit=10)

    assert {card.question_id: card.payload for card in leased} == {"q": PAYLOAD, "unreadable": {}}
    assert {card.user_id for card in leased} == {"U1"}


# A lease begins when the row is ours.


@pytest.mark.parametrize("hold", [changes, only_locks])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.law(6)
async def test_a_lease_begins_when_the_lock_is_held(
    store: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    hold: Callable[[psycopg.AsyncConnection], Awaitable[None]],
    ending: str,
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await hold(locking)
        claiming = asyncio.create_task(store.claim(click(), lease=LEASE))
        await until_the_clock_waits(connection)
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        await (locking.commit() if ending == "commit" else locking.rollback())
        claim = await claiming

    assert isinstance(claim, Claim)
    assert claim.claimed_at >= row[0]
    lasts = connection.execute("select delivery_due_at - claimed_at from pending_interactions").fetchone()
    assert lasts == (LEASE,)


async def test_a_claim_that_waits_too_long_says_so_and_changes_nothing(
    store: PendingStore, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Purpose.CLAIM, "lock_timeout", "100ms")
    await store.put("q", SCOPE, PAYLOAD)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await only_locks(locking)
        with pytest.raises(DatabaseFailed, match="lock"):
            await store.claim(click(), lease=LEASE)

    assert connection.execute("select claimed_at from pending_interactions").fetchone() == (None,)


@pytest.mark.parametrize("hold", [changes, only_locks])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
async def test_who_asks_again_waits_from_when_the_lock_is_held(
    store: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    hold: Callable[[psycopg.AsyncConnection], Awaitable[None]],
    ending: str,
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await hold(locking)
        payload = PAYLOAD if hold is changes else {}
        putting = asyncio.create_task(store.put("q", SCOPE, payload, awaited_by=UUID(int=7)))
        await until_waiting_for_a_lock(connection)
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        await (locking.commit() if ending == "commit" else locking.rollback())
        await putting

    until = connection.execute("select awaited_until from pending_interactions").fetchone()
    assert until is not None
    assert until[0] >= row[0] + AWAITED_FOR
