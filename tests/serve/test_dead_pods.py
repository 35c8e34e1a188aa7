"""Pods that die at the worst moments: the others do what is left, once."""

from __future__ import annotations

import pytest

from pendingctl.demo.faults import Fault
from pendingctl.demo.presses import Seen
from pendingctl.inspected import State
from pendingctl.trail import Step

from .conftest import Deployment, cards_of
from .pods import ServedPod, configuration

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="module")]

# Slack takes the call, and its reply never comes.
TAKEN_IN_SILENCE = Fault(is_done=True, is_silent=True)


async def killed(pod: ServedPod) -> None:
    pod.kill()
    await pod.process.wait()


@pytest.mark.law(6, 7, 13)
async def test_a_question_whose_pod_was_killed_is_answered_on_another(shared: Deployment) -> None:
    async with shared.further() as asking:
        card = await shared.shown(asking, "left")
        await shared.noted("left")
        await killed(asking)

    pressed = await shared.slack.press("U1", card, "yes")

    assert pressed.seen is Seen.ACKNOWLEDGED
    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    await shared.slack.edit_of(card)
    await shared.delivered_once("left", "yes")


@pytest.mark.law(13)
async def test_a_card_that_a_killed_pod_has_not_noted_can_be_pressed_and_loses_its_buttons(shared: Deployment) -> None:
    async with shared.further() as asking:
        shared.slack.fail("chat.postMessage", TAKEN_IN_SILENCE, channel="C7")
        card = await shared.shown(asking, "unnoted", conversation_id="C7", channel="C7")
        await killed(asking)
    assert (await shared.row("unnoted")).posted_at is None

    pressed = await shared.slack.press("U1", card, "yes")

    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    await shared.delivered_once("unnoted", "yes", channel="C7")
    assert (await shared.row("unnoted")).card == {"channel": "C7", "ts": card.ts}
    assert len(cards_of(shared.slack, "unnoted", "C7")) == 1


@pytest.mark.law(13)
async def test_a_card_found_by_its_metadata_is_the_only_one_and_is_edited(shared: Deployment) -> None:
    async with shared.further() as asking:
        shared.slack.fail("chat.postMessage", TAKEN_IN_SILENCE, channel="C7")
        card = await shared.shown(asking, "found", conversation_id="C7", channel="C7")
        await killed(asking)
    await shared.end_leases("found")

    row = await shared.noted("found")
    pressed = await shared.slack.press("U1", card, "no")

    assert row.card == {"channel": "C7", "ts": card.ts}
    assert (await shared.slack.reply_to(pressed)).text == "You answered: no"
    await shared.delivered_once("found", "no", channel="C7")
    assert len(cards_of(shared.slack, "found", "C7")) == 1


@pytest.mark.law(4, 13)
async def test_a_card_that_a_killed_pod_has_not_sent_is_posted_once_by_another(shared: Deployment) -> None:
    async with shared.further() as asking:
        shared.slack.fail("chat.postMessage", Fault(is_silent=True), channel="C7")
        assert (await shared.ask(asking, "unsent", conversation_id="C7")).status_code == 201
        await shared.slack.until(lambda: _was_tried(shared, "unsent"))
        await killed(asking)
    assert cards_of(shared.slack, "unsent", "C7") == []
    await shared.end_leases("unsent")

    card = await shared.card_of("unsent", channel="C7")
    pressed = await shared.slack.press("U1", card, "yes")

    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    await shared.delivered_once("unsent", "yes", channel="C7")
    assert len(cards_of(shared.slack, "unsent", "C7")) == 1


@pytest.mark.law(6, 14)
async def test_an_answer_whose_pod_was_killed_right_after_the_claim_is_delivered_by_another(
    shared: Deployment,
) -> None:
    card = await shared.shown(shared.a, "won")
    await shared.noted("won")
    shared.worker.hold("won")
    # A pod that has claimed and edits nothing: Slack is silent to it, and the worker takes its time.
    shared.slack.fail("chat.update", Fault(is_silent=True), channel="C2")
    async with shared.further() as claiming:
        pressed = await shared.slack.press("U1", card, "yes", to=claiming.slack_url)
        assert pressed.seen is Seen.ACKNOWLEDGED
        assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
        await shared.worker.until(lambda: len(shared.worker.delivered("won")) == 1)
        await shared.slack.until(lambda: any(each["ts"] == card.ts for each in shared.slack.called("chat.update")))
        await killed(claiming)
    assert shared.slack.message(card) == card

    # The lease keeps the other pods away for as long as the worker might still be at it.
    row = await shared.row("won")
    assert row.state is State.UNDELIVERED
    assert len(shared.worker.delivered("won")) == 1
    await shared.end_leases("won")

    history = await shared.delivered_once("won", "yes")
    assert [each.attempt for each in shared.worker.delivered("won")] == [1, 2]
    steps = [entry.step for entry in history.trail.entries]
    assert steps.count(Step.LEASED) == 1
    late = await shared.slack.press("U1", card, "no", from_copy=card)
    assert (await shared.slack.reply_to(late)).text.startswith("Already answered by <@U1>: yes")


@pytest.mark.law(6)
async def test_an_answer_waits_for_a_worker_that_is_down_and_is_delivered_once_it_is_back(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "patient")
    await shared.worker.go_down()
    pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)
    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    row = await shared.row("patient", lambda row: row.delivery_attempts >= 2)
    assert row.delivery_error is not None
    assert "could not be reached" in row.delivery_error

    await shared.worker.come_up()

    history = await shared.delivered_once("patient", "yes")
    assert len(shared.worker.delivered("patient")) == 1
    failed = [entry.attempt for entry in history.trail.entries if entry.step is Step.FAILED]
    assert failed == list(range(1, len(failed) + 1))
    assert shared.worker.delivered("patient")[0].attempt == len(failed) + 1


@pytest.mark.law(6)
async def test_an_answer_that_the_worker_fails_on_is_tried_again_under_its_key(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "flaky")
    shared.worker.fail("flaky", "500 Internal Server Error", "503 Service Unavailable\r\nRetry-After: 1")

    await shared.slack.press("U1", card, "no", to=shared.b.slack_url)

    await shared.delivered_once("flaky", "no")
    assert [each.attempt for each in shared.worker.delivered("flaky")] == [1, 2, 3]


@pytest.mark.law(6)
async def test_an_answer_that_the_worker_refuses_is_stuck_and_its_card_is_edited(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "refused")
    shared.worker.fail("refused", "400 Bad Request")

    pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)

    row = await shared.row("refused", lambda row: row.state is State.STUCK)
    assert row.delivery_error is not None
    assert "400 Bad Request" in row.delivery_error
    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    assert (await shared.slack.edit_of(card)).buttons == ()
    assert len(shared.worker.delivered("refused")) == 1


@pytest.mark.law(16)
async def test_a_slow_worker_delays_nobody_s_reply_nor_another_answer(shared: Deployment) -> None:
    slow, quick = [await shared.shown(shared.a, id) for id in ("slow", "quick")]
    release = shared.worker.hold("slow")

    pressed = [await shared.slack.press("U1", card, "yes", to=shared.b.slack_url) for card in (slow, quick)]

    assert [(await shared.slack.reply_to(each)).text for each in pressed] == ["You answered: yes"] * 2
    await shared.delivered_once("quick", "yes")
    assert (await shared.row("slow")).state is State.UNDELIVERED
    release.set()
    await shared.delivered_once("slow", "yes")
    assert len(shared.worker.delivered("slow")) == 1


async def test_without_a_worker_answers_are_read_and_count_as_delivered(shared: Deployment) -> None:
    text = configuration(slack_url=shared.slack.url, worker_url=None).replace('"deploys"', '"readers"')
    async with shared.further(text) as pod:
        card = await shared.shown(pod, "read-alone")
        await shared.slack.press("U1", card, "yes", to=pod.slack_url)
        await shared.row("read-alone", lambda row: row.delivered_at is not None)
        assert (await shared.read(pod, "read-alone")).json()["value"] == "yes"
    assert shared.worker.delivered("read-alone") == []


def _was_tried(shared: Deployment, id: str) -> bool:
    return any(f'["{id}",' in str(each.get("blocks")) for each in shared.slack.called("chat.postMessage"))
