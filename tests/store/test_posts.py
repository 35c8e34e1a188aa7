"""A card is a duty of its row: it is to be posted from the put on, by some pod, whoever else dies."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.errors import InvalidInput
from pendingctl.leased import Duty
from pendingctl.model import PutOutcome
from pendingctl.payload import question_payload
from tests.endings import HOUR
from tests.posts import SERVED, fails, let_pass, posts, row, show
from tests.questions import PAYLOAD, SCOPE, click

ANOTHER = question_payload("Roll back?", ["yes", "no"], {"conversation_id": "C1"})
DUTY = "post_due_at is not null, post_attempts, post_doubts, post_error"
POSTING = timedelta(seconds=30)

# The put makes the card due.


@pytest.mark.law(13)
async def test_a_shown_question_is_to_be_posted_from_its_put_on(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)

    assert (await store.leases.due(SERVED)).posts
    (post,) = await posts(store)
    assert (post.question_id, post.duty, post.attempt, post.is_in_doubt) == ("q", Duty.CARD, 1, False)
    assert (post.user_id, post.payload, post.card) == ("U1", PAYLOAD, None)
    assert not (await store.leases.due(SERVED)).posts


async def test_a_question_that_the_caller_shows_is_nobody_elses_to_post(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    assert not (await store.leases.due(SERVED)).posts
    assert await posts(store) == []


@pytest.mark.law(13)
async def test_a_put_in_the_callers_transaction_is_posted_if_that_commits(store: PendingStore) -> None:
    async def put_and_fail() -> None:
        async with store.transaction() as connection:
            await store.put("q", SCOPE, PAYLOAD, show=True, connection=connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await put_and_fail()
    assert await posts(store) == []

    async with store.transaction() as connection:
        await store.put("q", SCOPE, PAYLOAD, show=True, connection=connection)
        assert await posts(store) == []
    assert len(await posts(store)) == 1


@pytest.mark.law(13)
async def test_each_of_many_questions_is_to_be_posted_also_one_that_is_there_already(store: PendingStore) -> None:
    await store.put("q1", SCOPE, PAYLOAD)
    await store.put_many(((f"q{number}", SCOPE, PAYLOAD) for number in range(3)), show=True, remind_every=HOUR)

    assert sorted(post.question_id for post in await posts(store)) == ["q0", "q1", "q2"]


async def test_a_question_without_a_conversation_cannot_be_shown(store: PendingStore) -> None:
    with pytest.raises(InvalidInput, match="no conversation in which its card could be shown"):
        await store.put("q", SCOPE, question_payload("Deploy?", []), show=True)
    with pytest.raises(InvalidInput, match="no conversation"):
        await store.put_many([("p", SCOPE, PAYLOAD), ("q", SCOPE, question_payload("Deploy?", []))], show=True)

    assert await store.inspection.get("p") is None


@pytest.mark.law(13)
async def test_whoever_posts_the_card_itself_makes_the_first_attempt(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD, show=True, posting=POSTING)

    assert stored.is_to_be_posted
    assert await posts(store) == []
    assert row(connection, DUTY) == (True, 1, 1, None)
    let_pass(connection)
    (post,) = await posts(store)
    assert (post.attempt, post.is_in_doubt) == (2, True)


# Retries.


@pytest.mark.parametrize("key", [None, "request"])
@pytest.mark.law(13)
async def test_a_retry_may_add_that_the_card_is_to_be_posted(store: PendingStore, key: str | None) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key=key)
    await store.put("q", SCOPE, PAYLOAD, request_key=key, show=True)

    assert len(await posts(store)) == 1


@pytest.mark.law(13)
async def test_a_retry_adds_it_also_while_another_caller_posts_the_card_itself(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """That caller may die, as each pod may."""
    await store.put("q", SCOPE, PAYLOAD, posting=POSTING)
    retry = await store.put("q", SCOPE, PAYLOAD, show=True, posting=POSTING)

    assert not retry.is_to_be_posted
    assert await posts(store) == []
    let_pass(connection)
    (post,) = await posts(store)
    assert (post.attempt, post.is_in_doubt) == (2, True)


async def test_a_retry_leaves_a_card_alone_that_a_pod_posts(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await posts(store)
    before = row(connection, "post_due_at, post_attempts, post_doubts, posting_until")

    assert not (await store.put("q", SCOPE, PAYLOAD, show=True, posting=POSTING)).is_to_be_posted
    assert row(connection, "post_due_at, post_attempts, post_doubts, posting_until") == before


async def test_a_retry_leaves_a_card_alone_that_waits_for_its_next_attempt(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, retry_in=HOUR)
    before = row(connection, f"post_due_at, {DUTY}")

    assert not (await store.put("q", SCOPE, PAYLOAD, show=True, posting=POSTING)).is_to_be_posted
    assert row(connection, f"post_due_at, {DUTY}") == before


@pytest.mark.parametrize("is_sure", [True, False])
@pytest.mark.law(13)
async def test_a_retry_leaves_the_next_attempt_to_the_pods(store: PendingStore, is_sure: bool) -> None:
    """They know its number, and whether the attempts before may have posted the card."""
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, is_sure=is_sure)

    assert not (await store.put("q", SCOPE, PAYLOAD, show=True, posting=POSTING)).is_to_be_posted
    (post,) = await posts(store)
    assert (post.attempt, post.is_in_doubt) == (2, not is_sure)


@pytest.mark.parametrize("show_again", [True, False])
@pytest.mark.law(13)
async def test_of_a_card_that_is_due_and_a_caller_that_posts_it_one_makes_the_attempt(
    store: PendingStore, connection: psycopg.Connection, show_again: bool
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    retry = await store.put("q", SCOPE, PAYLOAD, show=show_again, posting=POSTING)

    assert retry.is_to_be_posted
    assert await posts(store) == []
    assert row(connection, DUTY) == (True, 1, 1, None)


@pytest.mark.parametrize("posting", [None, POSTING])
@pytest.mark.law(13)
async def test_a_card_that_was_given_up_is_due_anew_when_its_question_is_put_again(
    store: PendingStore, connection: psycopg.Connection, posting: timedelta | None
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    assert await fails(store, post, permanent=True)
    await store.put("q", SCOPE, PAYLOAD)
    assert await posts(store) == []

    assert (await store.put("q", SCOPE, PAYLOAD, show=True, posting=posting)).is_to_be_posted == (posting is not None)
    let_pass(connection)
    (post,) = await posts(store)
    assert post.attempt == (1 if posting is None else 2)


async def test_a_retry_posts_no_second_card(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await show(store)

    assert not (await store.put("q", SCOPE, PAYLOAD, show=True, posting=POSTING)).is_to_be_posted
    assert await posts(store) == []
    assert row(connection, "post_due_at") == (None,)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("show_again", [False, True])
async def test_of_what_was_to_be_posted_before_nothing_holds_for_a_new_asking(
    store: PendingStore, connection: psycopg.Connection, ends: bool, show_again: bool
) -> None:
    await store.put(
        "q", SCOPE, PAYLOAD, show=True, remind_every=HOUR, escalate_after=timedelta(microseconds=1), escalate_to="U2"
    )
    (post,) = await posts(store)
    await fails(store, post, is_sure=False)
    await show(store)
    await posts(store)
    if ends:
        await store.claim(click())
    anew = await store.put("q", SCOPE, ANOTHER, show=show_again)

    assert anew.outcome is (PutOutcome.REOPENED if ends else PutOutcome.SUPERSEDED)
    assert row(connection, DUTY) == (show_again, 0, 0, None)
    schedule = "remind_every, reminders_left, escalate_at, escalate_to, escalated_at"
    assert row(connection, schedule) == (None,) * 5
    assert [(post.duty, post.attempt) for post in await posts(store)] == [(Duty.CARD, 1)] * show_again


@pytest.mark.parametrize("show_again", [False, True])
async def test_nor_why_a_card_was_given_up(
    store: PendingStore, connection: psycopg.Connection, show_again: bool
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, permanent=True, is_sure=False)
    await store.put("q", SCOPE, ANOTHER, show=show_again)

    assert row(connection, DUTY) == (show_again, 0, 0, None)
