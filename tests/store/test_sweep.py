"""The sweep: law 8. Each test was seen to fail with its law broken."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from pendingctl import Claim, PendingStore, Refusal, RefusalReason
from pendingctl.errors import InvalidInput
from pendingctl.leased import EditedCard, PostedCard
from tests.deliveries import LEASE
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

    # The rows of a batch come as they are found.
    assert sorted(await swept(store, limit=7, batch_size=3)) == [f"q{number}" for number in range(7)]
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

        assert await asyncio.wait_for(swept(store), timeout=30) == ["free"]

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


# What counts as stale.


async def _ages(connection: psycopg.Connection, id: str, *, asked: float, ended: float | None = None) -> None:
    """So many hours ago."""
    connection.execute(
        "update pending_interactions set created_at = now() - %s, claimed_at = now() - %s::interval where id = %s",
        (timedelta(hours=asked), None if ended is None else timedelta(hours=ended), id),
    )


@pytest.mark.parametrize("withdraws", [False, True])
@pytest.mark.law(8)
async def test_an_ended_questions_age_counts_from_its_end(
    store: PendingStore, connection: psycopg.Connection, withdraws: bool
) -> None:
    for id in ("just-ended", "ended-long-ago"):
        await store.put(id, SCOPE, PAYLOAD)
        if withdraws:
            await store.withdraw(id, SCOPE)
        else:
            await store.claim(click(id))
    await _ages(connection, "just-ended", asked=47, ended=0.1)
    await _ages(connection, "ended-long-ago", asked=48, ended=25)

    assert await store.inspection.count_stale() == 1
    assert await swept(store) == ["ended-long-ago"]
    late = await store.claim(click("just-ended", delivery_key="late"))
    assert isinstance(late, Refusal)
    assert late.reason is (RefusalReason.WITHDRAWN if withdraws else RefusalReason.ALREADY_ANSWERED)


@pytest.mark.law(8)
async def test_the_oldest_goes_first_whether_open_or_ended(store: PendingStore, connection: psycopg.Connection) -> None:
    for id, asked, ended in (("a", 30, None), ("b", 90, 40), ("c", 35, None), ("d", 100, 26)):
        await store.put(id, SCOPE, PAYLOAD)
        await _ages(connection, id, asked=asked, ended=ended)

    assert [await swept(store, limit=1) for _ in range(5)] == [["b"], ["c"], ["a"], ["d"], []]


@pytest.mark.parametrize(
    ("due", "attempts", "hours", "is_swept"),
    [
        ("now()", 0, 25, False),
        ("now()", 0, 47, False),
        ("now()", 0, 49, True),
        ("now() + interval '30 seconds'", 1, 25, False),
        ("now() + interval '1 hour'", 9, 49, True),
        ("now() + interval '1 hour'", 0, 25, True),
        ("null", 3, 25, True),
        ("'infinity'", 1, 49, True),
    ],
)
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.law(8)
async def test_a_card_that_is_due_delays_the_sweep_by_one_further_age_at_most(
    store: PendingStore,
    connection: psycopg.Connection,
    due: LiteralString,
    attempts: int,
    hours: float,
    is_swept: bool,
    ended: bool,
) -> None:
    """A pod that edits it at this moment, or will try again, has made the time a later one: so it stays due."""
    await store.put("q", SCOPE, PAYLOAD)
    if ended:
        await store.claim(click())
    age(connection, hours=hours)
    connection.execute(
        sql.SQL("update pending_interactions set card = '1', card_attempts = %s, card_due_at = {}").format(
            sql.SQL(due)
        ),
        (attempts,),
    )

    assert await store.inspection.count_stale() == (1 if is_swept else 0)
    assert await swept(store) == (["q"] if is_swept else [])


@pytest.mark.law(8)
async def test_the_card_before_is_kept_for_its_edit_after_a_new_asking(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=first.ask_number, card='"first"')])
    await store.claim(click(value="no"))
    await store.put("q", SCOPE, PAYLOAD)

    (row,) = await store.leases.lease_cards([("acme", "slack")], lease=LEASE, limit=10)
    (retired,) = row.retired

    assert (row.card, retired.card, retired.ask_number) == (None, "first", first.ask_number)
    assert (retired.ending, retired.answer, retired.answered_by) == ("answered", "no", "U1")
    assert await store.leases.mark_retired("q", row.retired)
    assert not (await store.leases.due([("acme", "slack")])).cards


@pytest.mark.law(8)
async def test_a_card_without_buttons_is_not_edited_again_after_a_new_asking(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=first.ask_number, card="1")])
    claim = await store.claim(click())
    assert isinstance(claim, Claim)
    edited = EditedCard(question_id="q", ask_number=first.ask_number, card="1", claimed_at=claim.claimed_at, attempts=0)
    await store.leases.mark_edited([edited])
    await store.put("q", SCOPE, PAYLOAD)

    assert not (await store.leases.due([("acme", "slack")])).cards


# One sweep a cycle for the whole cluster.


@pytest.mark.law(8)
async def test_of_pods_that_begin_a_cycle_at_the_same_moment_one_sweeps(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    """All of them wait for the row of the cycle, each with what it saw before: none may act on that."""
    connection.execute("update sweep_cycle set began_at = now() - interval '1 day'")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from sweep_cycle for update")
        pods = [asyncio.create_task(store.begin_sweep(timedelta(minutes=5))) for _ in range(8)]
        await until_waiting_for_a_lock(connection, sessions=8)
        holding.rollback()

    assert [turn.is_ours for turn in await asyncio.gather(*pods)].count(True) == 1


@pytest.mark.parametrize("began", ["now() + interval '10 years'", "'infinity'", "'-infinity'", "'294276-12-31'"])
@pytest.mark.law(8)
async def test_a_cycle_whose_clock_was_wrong_heals(
    store: PendingStore, connection: psycopg.Connection, began: LiteralString
) -> None:
    connection.execute(sql.SQL("update sweep_cycle set began_at = {}").format(sql.SQL(began)))

    turn = await store.begin_sweep(timedelta(minutes=5))
    next_turn = await store.begin_sweep(timedelta(minutes=5))

    assert (turn.is_ours, next_turn.is_ours) == (True, False)
    assert 0 < next_turn.next_in_seconds <= 300


@pytest.mark.law(8)
async def test_a_pod_that_waited_while_another_healed_the_cycle_learns_when_the_next_one_is(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    connection.execute("update sweep_cycle set began_at = 'infinity'")
    with psycopg.connect(dsn) as healing:
        healing.execute("update sweep_cycle set began_at = now()")
        waiting = asyncio.create_task(store.begin_sweep(timedelta(minutes=5)))
        await until_waiting_for_a_lock(connection)
        healing.commit()

    turn = await waiting

    assert (turn.is_ours, 0 < turn.next_in_seconds <= 300) == (False, True)
