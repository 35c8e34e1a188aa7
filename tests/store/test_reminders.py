"""Reminders: each due time is one post in the whole cluster, and missed times are one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.leased import Duty, LeasedPost
from tests.endings import HOUR, pass_the_deadline
from tests.posts import HALF_AN_HOUR, SERVED, let_pass, note, posts, row, show
from tests.questions import PAYLOAD, SCOPE, age, click

NEXT = "post_due_at - now() between interval '29 minutes' and interval '30 minutes', reminders_left"


async def reminding(store: PendingStore, remind_at_most: int | None = None) -> LeasedPost:
    """A question whose card was posted, and that reminds every half an hour."""
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HALF_AN_HOUR, remind_at_most=remind_at_most)
    return await show(store)


async def duties(store: PendingStore) -> list[Duty]:
    return [post.duty for post in await posts(store)]


async def test_the_first_reminder_comes_a_whole_interval_after_the_card(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HALF_AN_HOUR)
    age(connection, hours=2)
    await show(store)

    assert row(connection, NEXT) == (True, 10)
    assert await duties(store) == []


async def test_nobody_is_reminded_of_a_card_that_is_not_there(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HALF_AN_HOUR)
    await posts(store)
    let_pass(connection)

    assert await duties(store) == [Duty.CARD]


async def test_a_reminder_knows_the_card_that_it_is_about(store: PendingStore, connection: psycopg.Connection) -> None:
    await reminding(store)
    let_pass(connection)
    assert (await store.leases.due(SERVED)).posts
    (post,) = await posts(store)

    assert (post.duty, post.card, post.user_id, post.payload) == (Duty.REMINDER, "card", "U1", PAYLOAD)
    assert (post.is_in_doubt, post.escalated_to) == (False, None)
    assert row(connection, NEXT) == (True, 9)
    assert not (await store.leases.due(SERVED)).posts


@pytest.mark.law(13)
async def test_of_pods_at_the_same_moment_one_reminds(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put_many(((f"q{number}", SCOPE, PAYLOAD) for number in range(20)), show=True, remind_every=HALF_AN_HOUR)
    for post in await posts(store, limit=20):
        await note(store, post)
    for _ in range(3):
        connection.execute("update pending_interactions set post_due_at = now()")
        leased = await asyncio.gather(*(posts(store, limit=20) for _ in range(8)))
        leased += [await posts(store, limit=20)]
        ids = sorted(post.question_id for pod in leased for post in pod)
        assert ids == sorted(f"q{number}" for number in range(20))

    left = connection.execute("select distinct reminders_left from pending_interactions").fetchall()
    assert left == [(7,)]


async def test_times_that_were_missed_are_one_reminder(store: PendingStore, connection: psycopg.Connection) -> None:
    await reminding(store)
    connection.execute("update pending_interactions set post_due_at = now() - interval '5 hours'")

    assert await duties(store) == [Duty.REMINDER]
    assert await duties(store) == []
    assert row(connection, NEXT) == (True, 9)


@pytest.mark.parametrize(("remind_at_most", "times"), [(None, 10), (1, 1), (3, 3)])
async def test_reminders_come_to_an_end(
    store: PendingStore, connection: psycopg.Connection, remind_at_most: int | None, times: int
) -> None:
    await reminding(store, remind_at_most)
    for _ in range(times):
        assert row(connection, "post_due_at is not null") == (True,)
        let_pass(connection)
        assert await duties(store) == [Duty.REMINDER]

    assert row(connection, "reminders_left, post_due_at") == (0, None)


@pytest.mark.parametrize("ending", ["answered", "withdrawn", "expired", "past its deadline"])
async def test_nobody_is_reminded_of_what_has_ended(
    store: PendingStore, connection: psycopg.Connection, ending: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HALF_AN_HOUR, expires_in=HOUR)
    await show(store)
    let_pass(connection)
    if ending == "answered":
        await store.claim(click())
    elif ending == "withdrawn":
        await store.withdraw("q", SCOPE)
    else:
        pass_the_deadline(connection)
    if ending == "expired":
        await store.leases.expire(limit=1)

    assert await duties(store) == []


async def test_a_card_that_is_noted_after_the_end_reminds_nobody(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=timedelta(microseconds=1))
    (post,) = await posts(store)
    await store.withdraw("q", SCOPE)
    await note(store, post)

    assert not (await store.leases.due(SERVED)).posts
    assert await duties(store) == []


async def test_a_retry_changes_no_schedule(store: PendingStore, connection: psycopg.Connection) -> None:
    schedule = "remind_every, reminders_left, escalate_at, escalate_to, escalated_at, post_due_at"
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HALF_AN_HOUR, escalate_after=HOUR, escalate_to="U2")
    await show(store)
    let_pass(connection)
    await posts(store)
    before = row(connection, schedule)

    await store.put("q", SCOPE, PAYLOAD, show=True)
    await store.put(
        "q",
        SCOPE,
        PAYLOAD,
        show=True,
        remind_every=HOUR,
        remind_at_most=99,
        escalate_after=2 * HOUR,
        escalate_to="U3",
    )

    assert row(connection, schedule) == before


async def test_a_pod_that_dies_over_a_reminder_costs_that_one_alone(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await reminding(store)
    let_pass(connection)
    assert await duties(store) == [Duty.REMINDER]
    assert await duties(store) == []
    let_pass(connection)

    assert await duties(store) == [Duty.REMINDER]


async def test_a_note_of_a_second_card_reminds_from_that_on(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    post = await reminding(store, remind_at_most=2)
    let_pass(connection)
    await posts(store)
    await note(store, post, '"second"')

    assert row(connection, NEXT) == (True, 1)


async def test_a_new_asking_reminds_by_its_own_schedule(store: PendingStore, connection: psycopg.Connection) -> None:
    await reminding(store, remind_at_most=1)
    let_pass(connection)
    await posts(store)
    await store.withdraw("q", SCOPE)
    await reminding(store, remind_at_most=7)

    assert row(connection, NEXT) == (True, 7)
