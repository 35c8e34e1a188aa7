"""How a bridge asks: the row before the card, and each event of the platform once. The fake is the platform alone."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pendingctl import (
    AskOutcome,
    Card,
    Click,
    NotPosted,
    PendingStore,
    Question,
    ReplyKind,
    Scope,
    State,
)
from pendingctl.errors import NotFound, ScopeMismatch
from tests.deliveries import until
from tests.faults.moments import came_true
from tests.pods import QUESTION, Pod, failing, nothing


@pytest.fixture
def pod(store: PendingStore) -> Pod:
    return Pod(store)


# Asking.


@pytest.mark.law(4)
async def test_the_row_is_there_before_the_card(pod: Pod, store: PendingStore) -> None:
    seen: list[State] = []

    async def look() -> None:
        row = await store.inspection.get("q")
        assert row is not None
        seen.append(row.state)

    pod.platform.before_card = look

    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
    assert seen == [State.PENDING]
    row = await store.inspection.get("q")
    assert row is not None
    assert pod.platform.cards == [
        Card("q", row.ask_number, "C1", "Deploy?", ("yes", "no"), user_id="U1", organization_id="acme")
    ]


@pytest.mark.law(13)
async def test_a_card_that_surely_was_not_posted_keeps_its_row_and_is_tried_again(pod: Pod) -> None:
    pod.platform.before_card = failing(NotPosted("channel is being moved"))

    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
        pod.platform.before_card = nothing
        assert await came_true(lambda: len(pod.platform.cards) == 1)
        assert await pod.click() is ReplyKind.ANSWERED


async def test_a_question_without_a_conversation_is_shown_where_the_platform_sees_fit(pod: Pod) -> None:
    pod.platform.before_card = failing(NotPosted("busy"))
    async with pod.bridge:
        question = Question("q", QUESTION.scope, "Deploy?", ("yes", "no"))
        assert await pod.bridge.ask(question, event_id="e") is AskOutcome.NOT_POSTED
        pod.platform.before_card = nothing
        assert await came_true(lambda: [card.conversation_id for card in pod.platform.cards] == [""])


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionError(), RuntimeError("?")])
@pytest.mark.law(4)
async def test_a_card_that_may_be_there_keeps_its_row(pod: Pod, error: Exception) -> None:
    pod.platform.before_card = failing(error)

    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
    assert await pod.click() is ReplyKind.ANSWERED


@pytest.mark.law(4)
async def test_a_question_that_was_answered_meanwhile_is_not_deleted(pod: Pod, store: PendingStore) -> None:
    async def answered_elsewhere() -> None:
        await store.claim(
            Click(
                question_id="q",
                organization_id="acme",
                connection_id="slack",
                user_id="U1",
                delivery_key="elsewhere",
                value="no",
            )
        )
        raise NotPosted

    pod.platform.before_card = answered_elsewhere

    await pod.bridge.ask(QUESTION, event_id="e")

    row = await store.inspection.get("q")
    assert row is not None
    assert row.answer == "no"


@pytest.mark.law(4)
async def test_another_pods_row_is_not_deleted(pod: Pod, store: PendingStore) -> None:
    await Pod(store).bridge.ask(QUESTION, event_id="e")
    pod.platform.before_card = failing(NotPosted("no"))

    await pod.bridge.ask(QUESTION, event_id="e")

    assert await pod.click() is ReplyKind.ANSWERED


@pytest.mark.law(4)
async def test_a_row_that_another_pod_posted_meanwhile_is_not_deleted(pod: Pod, store: PendingStore) -> None:
    async def asked_elsewhere() -> None:
        await Pod(store).bridge.ask(QUESTION, event_id="e")
        raise NotPosted

    pod.platform.before_card = asked_elsewhere

    await pod.bridge.ask(QUESTION, event_id="e")

    assert await pod.click() is ReplyKind.ANSWERED


async def test_an_answered_question_is_not_asked_again(pod: Pod) -> None:
    await pod.bridge.ask(QUESTION, event_id="e1")
    await pod.click(value="no")

    assert await pod.bridge.ask(QUESTION, event_id="e2") is AskOutcome.ALREADY_ANSWERED
    assert len(pod.platform.cards) == 1
    assert await pod.click("late", value="yes") is ReplyKind.ALREADY_ANSWERED


@pytest.mark.law(4)
async def test_a_cancelled_ask_keeps_its_row_and_its_card_is_posted_later(
    pod: Pod, store: PendingStore, connection: psycopg.Connection
) -> None:
    """Not at once: nobody knows yet whether the card is there."""

    posting = asyncio.Event()

    async def hang() -> None:
        posting.set()
        await asyncio.Event().wait()

    pod.platform.before_card = hang
    asking = asyncio.create_task(pod.bridge.ask(QUESTION, event_id="e"))
    await until(posting.is_set)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert await store.inspection.get("q") is not None
    pod.platform.before_card = nothing
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.REPEATED_EVENT
    assert pod.platform.cards == []
    connection.execute("update pending_interactions set post_due_at = now(), posting_until = now()")
    async with pod.bridge:
        assert await came_true(lambda: len(pod.platform.cards) == 1)


@pytest.mark.parametrize("scope", [Scope("globex", "slack", "U1"), Scope("acme", "teams", "U1")])
async def test_a_question_that_this_pod_cannot_serve_is_not_asked(pod: Pod, store: PendingStore, scope: Scope) -> None:
    assert await pod.bridge.ask(Question("q", scope, "?"), event_id="e") is AskOutcome.CANNOT_SERVE
    assert (await store.inspection.find(), pod.platform.cards) == ([], [])


async def test_another_scopes_id_is_an_error_and_posts_nothing(pod: Pod, store: PendingStore) -> None:
    await store.put("q", Scope("globex", "slack", "U1"), {})

    with pytest.raises(ScopeMismatch):
        await pod.bridge.ask(QUESTION, event_id="e")
    assert pod.platform.cards == []


# Events that the platform delivers again.


async def test_a_repeated_event_is_dropped(pod: Pod) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")

    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.REPEATED_EVENT
    assert len(pod.platform.cards) == 1


async def test_two_deliveries_at_the_same_moment_post_once(pod: Pod) -> None:
    outcomes = await asyncio.gather(*(pod.bridge.ask(QUESTION, event_id="e") for _ in range(5)))

    assert sorted(outcomes) == [AskOutcome.POSTED] + [AskOutcome.REPEATED_EVENT] * 4
    assert len(pod.platform.cards) == 1


async def test_an_event_that_failed_is_tried_again(pod: Pod, store: PendingStore) -> None:
    unknown = Question("q", Scope("initech", "slack", "U1"), "?", (), "C1")
    pod.bridge.register("initech", "slack")
    with pytest.raises(NotFound):
        await pod.bridge.ask(unknown, event_id="e")
    await store.create_organization("initech")

    assert await pod.bridge.ask(unknown, event_id="e") is AskOutcome.POSTED


@pytest.mark.law(9)
async def test_an_event_is_remembered_for_five_minutes(pod: Pod, store: PendingStore) -> None:
    """By the pod, that is: the row knows its own event for as long as it is there."""
    await pod.bridge.ask(QUESTION, event_id="e")
    await store.delete("q", QUESTION.scope)
    pod.now = 299.0
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.REPEATED_EVENT
    pod.now = 301.0
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED


async def test_the_same_event_of_another_connection_is_another_event(pod: Pod) -> None:
    pod.bridge.register("acme", "teams")
    await pod.bridge.ask(QUESTION, event_id="e")

    teams = Question("q2", Scope("acme", "teams", "U1"), "?", (), "C1")
    assert await pod.bridge.ask(teams, event_id="e") is AskOutcome.POSTED
