"""One id asked anew: what becomes of the cards before, and what their late clicks are answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import AskOutcome, Claim, Click, PendingStore, Reply, ReplyKind, State
from pendingctl.errors import RequestRefused
from pendingctl.leased import PostedCard
from tests.deliveries import until, until_state
from tests.faults.moments import came_true
from tests.pods import QUESTION, SCOPE, Pod, RecordingPlatform, failing, nothing
from tests.questions import PAYLOAD, click

OTHER = replace(QUESTION, text="Deploy to PRODUCTION?")
CHANGED = "This question has changed; answer the newer card."


async def pressed(pod: Pod, card: int, *, key: str = "late", value: str = "yes") -> Reply:
    """What a press on this of the cards that the pod has posted is answered."""
    return await pod.bridge.click(
        Click(
            question_id="q",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key=key,
            value=value,
            ask_number=pod.platform.cards[card].ask_number,
        )
    )


@pytest.mark.law(3)
@pytest.mark.parametrize("is_noted", [True, False], ids=["noted before", "noted after"])
async def test_the_cards_of_askings_that_have_changed_are_edited_to_say_so(
    store: PendingStore, connection: psycopg.Connection, is_noted: bool
) -> None:
    pod = Pod(store)
    async with pod.bridge:
        for number, text in enumerate(("Deploy?", "Deploy to staging?", "Deploy to PRODUCTION?")):
            await pod.bridge.ask(replace(QUESTION, text=text), event_id=f"e-{number}")
            if is_noted:
                await until(
                    lambda: bool(
                        connection.execute("select id from pending_interactions where card is not null").fetchone()
                    )
                )
        assert await came_true(lambda: len(pod.platform.edits) >= 2)

        assert [(await pressed(pod, card)).text for card in (0, 1)] == [CHANGED, CHANGED]
        assert (await pressed(pod, 2)).kind is ReplyKind.ANSWERED
        assert await came_true(lambda: len({handle for _, handle, _ in pod.platform.edits}) == 3)
        # An edit that the pod's close breaks off would be due once more.
        left = "select retired_cards, card_due_at from pending_interactions"
        assert await came_true(lambda: connection.execute(left).fetchone() == (None, None))
    shown = dict(zip([handle for _, handle, _ in pod.platform.edits], pod.platform.shown, strict=True))
    assert shown["slack-1"].endswith(CHANGED)
    assert shown["slack-2"].endswith(CHANGED)
    assert shown["slack-3"].startswith("Deploy to PRODUCTION?\nAnswered by U1: yes")


async def test_a_card_that_is_noted_after_its_question_has_changed_loses_its_buttons(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    second = await store.put("q", SCOPE, OTHER.payload())
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=second.ask_number, card='"second"')])
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=first.ask_number, card='"first"')])

    pod = Pod(store)
    async with pod.bridge:
        assert await came_true(lambda: bool(pod.platform.edits))
        await until(lambda: connection.execute("select retired_cards from pending_interactions").fetchone() == (None,))
    ((connection_id, handle, card),) = pod.platform.edits
    assert (connection_id, handle, card.ask_number) == ("slack", "first", first.ask_number)
    assert (pod.platform.shown, card.options) == ([f"Deploy?\n{CHANGED}"], ())
    assert connection.execute("select card from pending_interactions").fetchone() == ("second",)


@pytest.mark.law(3)
async def test_a_card_that_is_noted_late_is_none_of_a_row_that_has_the_id_since(store: PendingStore) -> None:
    """It may be another tenant's by now."""
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.delete("q", SCOPE)
    globex = replace(SCOPE, organization_id="globex")
    await store.put("q", globex, PAYLOAD)
    await store.put("q", globex, OTHER.payload())
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=first.ask_number, card='"first"')])

    assert await store.leases.lease_cards([("globex", "slack")], lease=timedelta(seconds=30), limit=10) == []


@pytest.mark.law(7)
async def test_late_clicks_on_the_asking_before_are_answered_by_its_ending(store: PendingStore) -> None:
    pod = Pod(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        await store.withdraw("q", SCOPE)
        await store.put("q", SCOPE, PAYLOAD)
        assert (await pressed(pod, 0)).text == "This question was withdrawn."

        await pod.bridge.ask(OTHER, event_id="e-2")
        # Of the one before the last nothing is known any more.
        assert (await pressed(pod, 0)).text == CHANGED
        assert (await pressed(pod, 1, key="won", value="no")).kind is ReplyKind.ANSWERED
        await until_state(store, State.CLAIMED)
        await store.put("q", SCOPE, PAYLOAD, request_key="e-3")
        assert (await pressed(pod, 1)).text.startswith("Already answered by U1: no (20")
        assert (await pressed(pod, 1, key="won", value="no")).kind is ReplyKind.ANSWERED
        assert isinstance(await store.claim(click()), Claim)


@pytest.mark.law(7)
async def test_a_value_that_is_no_option_is_answered_by_the_options(store: PendingStore) -> None:
    pod = Pod(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        reply = await pressed(pod, 0, value="perhaps")

    assert (reply.kind, reply.text) == (ReplyKind.INVALID_ANSWER, "That is not one of the options: yes, no.")


async def test_a_question_that_was_withdrawn_is_reported_so_to_whoever_asks_it(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)

    assert await Pod(store).bridge.ask(QUESTION, event_id="e") is AskOutcome.WITHDRAWN


async def test_an_event_with_another_content_is_refused_and_posts_nothing(store: PendingStore) -> None:
    pods = [Pod(store), Pod(store)]
    await pods[0].bridge.ask(QUESTION, event_id="e")
    with pytest.raises(RequestRefused, match="another content"):
        await pods[1].bridge.ask(OTHER, event_id="e")
    await pods[1].bridge.ask(OTHER, event_id="e-2")
    pods[0].now = 301
    with pytest.raises(RequestRefused, match="too late"):
        await pods[0].bridge.ask(QUESTION, event_id="e")

    assert [len(pod.platform.cards) for pod in pods] == [1, 1]
    for pod in pods:
        await pod.bridge.close()


async def test_the_same_event_may_ask_two_questions(store: PendingStore) -> None:
    pod = Pod(store)
    async with pod.bridge:
        for id in ("q", "q-2"):
            assert await pod.bridge.ask(replace(QUESTION, id=id), event_id="e") is AskOutcome.POSTED


async def test_an_event_that_another_pod_was_posting_is_posted_by_this_one_when_that_has_died(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = RecordingPlatform()
    dead, pod = Pod(store, platform=platform), Pod(store, platform=platform)
    platform.before_card = failing(TimeoutError())
    assert await dead.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
    platform.before_card = nothing
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.REPEATED_EVENT
    assert platform.cards == []
    connection.execute("update pending_interactions set post_due_at = now()")

    async with pod.bridge:
        assert await came_true(lambda: len(platform.cards) == 1)


async def test_two_bridges_over_one_store_deliver_an_answer_once_and_edit_its_card(store: PendingStore) -> None:
    platform = RecordingPlatform()
    pods = [Pod(store, platform=platform) for _ in range(2)]
    async with pods[0].bridge, pods[1].bridge:
        await pods[0].bridge.ask(QUESTION, event_id="e")
        await pods[1].click()
        await until_state(store, State.CLAIMED)

    assert [len(pod.answers) for pod in pods] == [0, 1]
