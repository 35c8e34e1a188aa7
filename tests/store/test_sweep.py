"""The sweep: law 8. Each test was seen to fail with its law broken."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.errors import InvalidInput
from tests.locks import until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, age, click, swept

# Law 8: the sweep is bounded.


@pytest.mark.law(8)
async def test_a_sweep_takes_the_oldest_stale_rows_and_never_more_than_its_limit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(10):
        await store.put(f"q{number}", SCOPE, PAYLOAD)
        age(connection, hours=48 - number, id=f"q{number}")
    await store.put("fresh", SCOPE, PAYLOAD)

    assert await swept(store, limit=7, batch_size=3) == [f"q{number}" for number in range(7)]
    assert await store.inspection.count_stale() == 3
    assert sorted(await swept(store, limit=7)) == ["q7", "q8", "q9"]
    assert await swept(store, limit=7) == []
    assert await store.inspection.get("fresh") is not None


@pytest.mark.law(8)
async def test_a_sweep_comes_in_batches(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(10))
    age(connection, hours=48)

    batches = [len(batch) async for batch in store.sweep(limit=None, batch_size=4)]

    assert batches == [4, 4, 2]


async def test_a_sweep_takes_answered_rows_too(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())
    age(connection, hours=48)

    assert await swept(store) == ["q"]


@pytest.mark.law(8)
async def test_a_sweep_leaves_a_locked_row_and_does_not_wait(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put("locked", SCOPE, PAYLOAD)
    await store.put("free", SCOPE, PAYLOAD)
    age(connection, hours=48)
    with psycopg.connect(dsn) as claiming:
        claiming.execute("select from pending_interactions where id = 'locked' for update")

        assert await asyncio.wait_for(swept(store), timeout=10) == ["free"]

    assert await swept(store) == ["locked"]


@pytest.mark.law(8)
async def test_two_sweeps_at_once_share_the_rows(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(400))
    age(connection, hours=48)

    one, other = await asyncio.gather(
        swept(store, limit=1_000, batch_size=10), swept(store, limit=1_000, batch_size=10)
    )

    assert sorted(one + other) == sorted(f"q{number}" for number in range(400))


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": -1}, {"batch_size": 0}])
@pytest.mark.law(8)
async def test_a_sweep_without_a_sound_bound_is_refused(store: PendingStore, options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        await swept(store, **options)


# One sweep a cycle for the whole cluster.


@pytest.mark.law(8)
async def test_of_pods_that_begin_a_cycle_at_the_same_moment_one_sweeps(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    """All of them wait for the row of the cycle, each with what it saw before: none may act on that."""
    connection.execute("update sweep_cycle set began_at = now() - interval '1 day'")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from sweep_cycle for update")
        pods = [
            asyncio.create_task(store.begin_sweep(timedelta(minutes=5), pod=f"pod-{number}")) for number in range(8)
        ]
        await until_waiting_for_a_lock(connection, sessions=8)
        holding.rollback()

    assert [turn.is_ours for turn in await asyncio.gather(*pods)].count(True) == 1
