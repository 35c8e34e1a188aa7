"""An escalation calls the second user once, in its place among the card and the reminders."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.leased import Duty
from tests.endings import HOUR, pass_the_deadline
from tests.posts import HALF_AN_HOUR, SERVED, let_pass, note, posts, row, show
from tests.questions import PAYLOAD, SCOPE, click
from tests.store.escalations import escalate, put


@pytest.mark.law(13)
async def test_the_second_user_is_called_once(store: PendingStore, connection: psycopg.Connection) -> None:
    await put(store)
    await show(store)
    assert row(connection, "post_due_at = escalate_at, escalated_at") == (True, None)
    assert await posts(store) == []
    let_pass(connection)
    leased = await asyncio.gather(*(posts(store) for _ in range(8)))

    (call,) = [post for pod in leased for post in pod]
    assert (call.duty, call.user_id, call.escalated_to, call.card) == (Duty.ESCALATION, "U1", "U2", "card")
    assert row(connection, "post_due_at, escalated_at is not null") == (None, True)
    assert not (await store.leases.due(SERVED)).posts


async def test_nor_is_the_second_user_called_again_after_a_second_card(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    post = await show(store)
    let_pass(connection)
    assert len(await posts(store)) == 1
    await note(store, post, '"second"')

    assert row(connection, "post_due_at") == (None,)


async def test_what_comes_first_is_posted_first_and_each_at_its_time(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put(
        "q",
        SCOPE,
        PAYLOAD,
        show=True,
        remind_every=HALF_AN_HOUR,
        remind_at_most=2,
        escalate_after=1.5 * HALF_AN_HOUR,
        escalate_to="U2",
    )
    await show(store)
    seen = []
    for _ in range(3):
        let_pass(connection)
        seen += [(post.duty, post.escalated_to) for post in await posts(store)]
        assert await posts(store) == []

    assert seen == [(Duty.REMINDER, None), (Duty.ESCALATION, "U2"), (Duty.REMINDER, "U2")]
    assert row(connection, "post_due_at, reminders_left") == (None, 0)


async def test_a_reminder_that_was_missed_until_the_escalation_is_that_call(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HALF_AN_HOUR, escalate_after=HOUR, escalate_to="U2")
    await show(store)
    connection.execute("update pending_interactions set post_due_at = now() - interval '1 hour'")
    escalate(connection)

    assert [post.duty for post in await posts(store)] == [Duty.ESCALATION]
    assert await posts(store) == []
    assert row(connection, "reminders_left, post_due_at > now() + interval '29 minutes'") == (10, True)


async def test_a_card_that_is_posted_after_the_escalations_time_comes_before_the_call(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    escalate(connection)

    post = await show(store)
    assert (post.duty, post.escalated_to) == (Duty.CARD, "U2")
    assert [post.duty for post in await posts(store)] == [Duty.ESCALATION]


@pytest.mark.parametrize("ending", ["answered", "withdrawn", "expired"])
async def test_nobody_is_called_for_what_has_ended(
    store: PendingStore, connection: psycopg.Connection, ending: str
) -> None:
    await put(store, expires_in=2 * HOUR)
    await show(store)
    let_pass(connection)
    match ending:
        case "answered":
            await store.claim(click())
        case "withdrawn":
            await store.withdraw("q", SCOPE)
        case _:
            pass_the_deadline(connection)

    assert await posts(store) == []
