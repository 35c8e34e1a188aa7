"""An accepted answer in the store: what its row holds, whose it is to deliver, and what may not take it."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pendingctl import (
    PendingStore,
    PutOutcome,
    State,
)
from pendingctl.errors import Undelivered
from tests.deliveries import LEASE, SHORT, claimed, lease, readable, run_out, state_of
from tests.questions import PAYLOAD, SCOPE, age, click, swept

# The claim carries the answer.


@pytest.mark.law(6)
async def test_the_row_has_all_of_the_answer_from_the_claim_on(store: PendingStore) -> None:
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
    assert (row.state, row.delivered_at) == (State.CLAIMED, row.claimed_at)
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
    assert await store.inspection.stuck() == ["q"]
    assert not (await store.leases.due()).answers
