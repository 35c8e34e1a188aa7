"""What was answered is what was shown: an asking has a number of its own, and its card's button answers no other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Card, Claim, PendingStore, Question, Refusal, ReplyKind, State
from pendingctl.errors import Refused
from tests.askers import answer_to
from tests.deliveries import until, until_state
from tests.faults.moments import PATIENCE, came_true
from tests.pods import QUESTION, Pod, RecordingPlatform
from tests.questions import PAYLOAD, SCOPE, age, click

pytestmark = pytest.mark.usefixtures("patient")


async def remove(store: PendingStore, way: str) -> None:
    """Take the question's row away."""
    if way == "deleted":
        await store.delete("q", SCOPE)
    else:
        # A sweep leaves out what somebody has locked, as the pod does that notes the card.
        for _ in range(500):
            async for _ in store.sweep(max_age=timedelta()):
                pass
            if await store.inspection.get("q") is None:
                break
            await asyncio.sleep(0.02)
    if await store.inspection.get("q") is not None:
        pytest.fail(f"the row was not {way}")


async def press(pod: Pod, card: Card, key: str) -> ReplyKind:
    return await pod.click(key, ask_number=card.ask_number)


@pytest.mark.parametrize("way", ["swept", "deleted"])
async def test_the_answer_to_an_id_asked_again_has_a_key_never_used_before(store: PendingStore, way: str) -> None:
    pod = Pod(store, reply_within=PATIENCE)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        await until(lambda: len(pod.platform.cards) == 1)
        await press(pod, pod.platform.cards[0], "k-1")
        await until_state(store, State.CLAIMED)
        await remove(store, way)
        await pod.bridge.ask(QUESTION, event_id="e-2")
        await until(lambda: len(pod.platform.cards) == 2)
        await press(pod, pod.platform.cards[1], "k-2")
        await until(lambda: len(pod.answers) == 2)

    first, second = (answer.idempotency_key for answer in pod.answers)
    assert first != second


@pytest.mark.parametrize("way", ["swept", "deleted"])
async def test_the_card_of_a_row_that_is_gone_answers_no_later_question(store: PendingStore, way: str) -> None:
    pod = Pod(store, reply_within=PATIENCE)
    async with pod.bridge:
        await pod.bridge.ask(replace(QUESTION, text="Deploy v1?"), event_id="e-1")
        await until(lambda: len(pod.platform.cards) == 1)
        await remove(store, way)
        await pod.bridge.ask(replace(QUESTION, text="Drop production?"), event_id="e-2")
        await until(lambda: len(pod.platform.cards) == 2)
        old, new = pod.platform.cards

        assert await press(pod, old, "k-1") is not ReplyKind.ANSWERED
        assert await press(pod, new, "k-2") is ReplyKind.ANSWERED


@pytest.mark.parametrize(
    "other",
    [replace(QUESTION, text="Deploy to PRODUCTION?"), replace(QUESTION, options=("yes", "no", "later"))],
    ids=["text", "options"],
)
async def test_the_button_of_a_card_that_showed_something_else_is_refused(store: PendingStore, other: Question) -> None:
    pod = Pod(store, reply_within=PATIENCE)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        await until(lambda: len(pod.platform.cards) == 1)
        await pod.bridge.ask(other, event_id="e-2")
        await until(lambda: len(pod.platform.cards) == 2)
        old, new = pod.platform.cards

        assert await press(pod, old, "k-1") is not ReplyKind.ANSWERED
        assert await press(pod, new, "k-2") is ReplyKind.ANSWERED


async def test_both_cards_of_a_question_put_with_another_text_lose_their_buttons(store: PendingStore) -> None:
    pod = Pod(store, reply_within=PATIENCE)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        await until(lambda: len(pod.platform.cards) == 1)
        await pod.bridge.ask(replace(QUESTION, text="Deploy to PRODUCTION?"), event_id="e-2")
        await until(lambda: len(pod.platform.cards) == 2)
        await press(pod, pod.platform.cards[-1], "k")
        edited = pod.platform.edits

        assert await came_true(lambda: len({handle for _, handle, _ in edited}) == 2), edited


async def test_an_open_id_put_with_another_text_is_an_asking_with_a_number_of_its_own(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    second = await store.put("q", SCOPE, replace(QUESTION, text="Drop production?").payload())

    assert second.ask_number > first.ask_number


async def test_the_age_of_an_open_id_put_with_another_text_starts_anew(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    age(connection, 20)
    await store.put("q", SCOPE, replace(QUESTION, text="Drop production?").payload())

    row = await store.inspection.get("q")
    assert row is not None
    assert row.age_seconds < 3600


async def test_one_event_delivered_to_two_pods_posts_one_card(store: PendingStore) -> None:
    platform = RecordingPlatform()
    pods = [Pod(store, reply_within=PATIENCE, platform=platform) for _ in range(2)]
    async with pods[0].bridge, pods[1].bridge:
        for pod in pods:
            await pod.bridge.ask(QUESTION, event_id="e")
        await until(lambda: bool(platform.cards))

    assert len(platform.cards) == 1


async def test_no_card_of_an_event_delivered_to_two_pods_keeps_its_buttons(store: PendingStore) -> None:
    platform = RecordingPlatform()
    pods = [Pod(store, reply_within=PATIENCE, platform=platform) for _ in range(2)]
    async with pods[0].bridge, pods[1].bridge:
        await pods[0].bridge.ask(QUESTION, event_id="e")
        await until_noted(store)
        await pods[1].bridge.ask(QUESTION, event_id="e")
        assert await press(pods[1], platform.cards[-1], "k") is ReplyKind.ANSWERED

        posted = len(platform.cards)
        assert await came_true(lambda: len({handle for _, handle, _ in platform.edits}) == posted), platform.edits


async def test_a_late_click_on_a_withdrawn_asking_is_refused_as_what_it_was(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)
    await store.put("q", SCOPE, PAYLOAD)

    refusal = await store.claim(click(ask_number=first.ask_number))
    assert isinstance(refusal, Refusal)
    assert refusal.reason.value in {"withdrawn", "superseded"}
    assert isinstance(await store.claim(click()), Claim)


async def test_a_bridge_reports_a_withdrawn_question_as_withdrawn(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)
    pod = Pod(store)
    async with pod.bridge:
        outcome = await pod.bridge.ask(QUESTION, event_id="e")

    assert outcome.value != "already_answered"


async def test_an_asker_reads_no_answer_into_a_withdrawn_question(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)
    said = ""
    try:
        await answer_to(store, QUESTION, within=timedelta(seconds=0.2))
    except Refused as refused:
        said = str(refused)

    assert "answered before" not in said


async def until_noted(store: PendingStore) -> None:
    """The card is in the row: of two cards it knows the one that was noted last."""
    for _ in range(500):
        row = await store.inspection.get("q")
        if row is not None and row.posted_at is not None:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError
