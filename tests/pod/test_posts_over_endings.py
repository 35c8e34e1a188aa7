"""A question that ends, or changes, before its card is posted or while it is: what is shown in the end is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore, ReplyKind, Shows
from tests.cards_to_post import (
    noted_card,
    put,
)
from tests.faults.moments import came_true
from tests.pods import (
    QUESTION,
    Pod,
    nothing,
)
from tests.questions import age, click


async def end(store: PendingStore, connection: psycopg.Connection, how: Shows) -> None:
    if how is Shows.ANSWERED:
        await store.claim(click(), lease=timedelta())
    elif how is Shows.WITHDRAWN:
        await store.withdraw("q", QUESTION.scope)
    else:
        connection.execute("update pending_interactions set expires_at = now()")
        await store.leases.expire(limit=10)


@pytest.mark.parametrize("how", [Shows.ANSWERED, Shows.WITHDRAWN, Shows.EXPIRED])
async def test_a_question_that_has_ended_is_not_shown_any_more(
    store: PendingStore, connection: psycopg.Connection, how: Shows
) -> None:
    await put(store)
    await end(store, connection, how)
    pod = Pod(store)
    async with pod.bridge:
        await put(store, "later")
        assert await came_true(lambda: bool(pod.platform.cards))
    assert [card.question_id for card in pod.platform.cards] == ["later"]


async def test_a_question_whose_deadline_has_passed_is_not_shown_although_nobody_has_ended_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    connection.execute("update pending_interactions set expires_at = now()")
    leased = await store.leases.lease_posts(
        [("acme", "slack")], lease=timedelta(seconds=30), limit=10, most_attempts=20, most_doubts=2
    )
    assert leased == []


@pytest.mark.law(13)
@pytest.mark.parametrize("by", ["the loop", "an event"])
@pytest.mark.parametrize("how", [Shows.ANSWERED, Shows.WITHDRAWN, Shows.EXPIRED])
async def test_a_question_that_ends_while_its_card_is_posted_is_shown_as_it_ended(
    store: PendingStore, connection: psycopg.Connection, how: Shows, by: str
) -> None:
    pod = Pod(store)

    async def end_meanwhile() -> None:
        await end(store, connection, how)

    pod.platform.before_card = end_meanwhile
    async with pod.bridge:
        if by == "the loop":
            await put(store)
        else:
            await pod.bridge.ask(QUESTION, event_id="e")
        assert await came_true(lambda: bool(pod.platform.edits))
    ((_, handle, card),) = pod.platform.edits
    assert (handle, card.shows, card.options) == ("slack-1", how, ())
    assert len(pod.platform.cards) == 1


@pytest.mark.law(13)
async def test_a_question_that_changes_while_its_card_is_posted_shows_both_truly(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)

    async def change_meanwhile() -> None:
        pod.platform.before_card = nothing
        await store.put("q", QUESTION.scope, replace(QUESTION, text="Deploy now?").payload(), show=True)

    pod.platform.before_card = change_meanwhile
    async with pod.bridge:
        await put(store)
        assert await came_true(lambda: len(pod.platform.cards) == 2 and bool(pod.platform.edits))
        first, second = sorted(pod.platform.cards, key=lambda card: card.ask_number)
        assert (first.text, second.text) == ("Deploy?", "Deploy now?")
        assert pod.platform.edits[0][2].shows is Shows.CHANGED
        assert await pod.click("first", ask_number=first.ask_number) is ReplyKind.SUPERSEDED
        assert await pod.click("second", ask_number=second.ask_number) is ReplyKind.ANSWERED
    assert noted_card(connection) == pod.platform.handles[pod.platform.cards.index(second)]


@pytest.mark.law(13)
async def test_a_stale_question_whose_card_is_late_is_shown_with_buttons_and_says_that_it_will_be_removed(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    age(connection, 25)
    pod = Pod(store)
    async with pod.bridge:
        assert await came_true(lambda: bool(pod.platform.edits))
        ((_, handle, card),) = pod.platform.edits
        assert (handle, card.shows, card.options) == ("slack-1", Shows.STALE, ("yes", "no"))
        assert await pod.click() is ReplyKind.ANSWERED
