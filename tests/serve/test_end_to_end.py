"""A question asked through one pod and clicked on another, as a team deploys them."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from pendingctl.demo.messages import Message
from pendingctl.demo.presses import Pressed, Seen
from pendingctl.trail import Step

from .clients import PATIENCE
from .conftest import Deployment
from .pods import configuration

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="module")]


async def replied(deployment: Deployment, pressed: Pressed) -> str:
    """What the person read, once they have read one thing and no more."""
    assert pressed.seen is Seen.ACKNOWLEDGED
    reply = await deployment.slack.reply_to(pressed)
    assert reply.user == pressed.delivery.user
    return reply.text


def date_of(at: datetime | None) -> str:
    """How Slack is given a time, for each reader's own zone."""
    assert at is not None
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|"


@pytest.mark.law(1, 6, 7, 11, 13)
async def test_asked_on_a_clicked_on_b_and_the_second_click_learns_the_truth(shared: Deployment) -> None:
    asked = await shared.ask(shared.a, "deploy-1")
    assert (asked.status_code, asked.json()["outcome"]) == (201, "created")
    card = await shared.card_of("deploy-1")
    assert [button.label for button in card.buttons] == ["yes", "no"]

    first = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)
    edited = await shared.slack.edit_of(card)
    second = await shared.slack.press("U1", card, "no", to=shared.a.slack_url, from_copy=card)

    row = await shared.row("deploy-1")
    assert await replied(shared, first) == "You answered: yes"
    assert (await replied(shared, second)).startswith(f"Already answered by <@U1>: yes ({date_of(row.claimed_at)}")
    assert edited.text.splitlines()[-1].startswith(f"Answered by <@U1>: yes ({date_of(row.claimed_at)}")
    read = (await shared.read(shared.a, "deploy-1", wait=10)).json()
    assert (read["outcome"], read["value"], read["answered_by"]) == ("answered", "yes", "U1")
    await shared.delivered_once("deploy-1", "yes")
    assert len(shared.worker.delivered("deploy-1")) == 1


async def test_the_winning_press_delivered_again_to_the_other_pod_is_confirmed_again(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "twice")
    delivery = shared.slack.delivery("U1", card, "yes")

    pressed = [await shared.slack.deliver(delivery, to=pod.slack_url) for pod in (shared.b, shared.a)]

    assert [each.seen for each in pressed] == [Seen.ACKNOWLEDGED] * 2
    await shared.slack.until(lambda: len(shared.slack.replies_to(delivery)) == 2)
    assert [reply.text for reply in shared.slack.replies_to(delivery)] == ["You answered: yes"] * 2
    await shared.delivered_once("twice", "yes")


@pytest.mark.law(1, 7)
async def test_of_many_clicks_at_once_on_both_pods_one_wins_and_all_learn_which(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "crowd")

    pressed = await asyncio.gather(
        *(
            shared.slack.press("U1", card, choice, from_copy=card, to=pod.slack_url)
            for choice in ("yes", "no")
            for pod in (shared.a, shared.b)
            for _ in range(5)
        )
    )

    texts = [await replied(shared, each) for each in pressed]
    row = await shared.row("crowd")
    assert texts.count(f"You answered: {row.answer}") == 1
    refused = f"Already answered by <@U1>: {row.answer} ({date_of(row.claimed_at)}"
    assert sum(text.startswith(refused) for text in texts) == len(texts) - 1
    await shared.delivered_once("crowd", str(row.answer))


@pytest.mark.law(2, 7)
async def test_a_click_by_somebody_else_is_refused_and_costs_nothing(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "not-theirs")

    refused = await shared.slack.press("U2", card, "yes", to=shared.b.slack_url)

    assert await replied(shared, refused) == "This question is for somebody else."
    assert shared.slack.message(card) == card
    assert (await shared.row("not-theirs")).claimed_at is None
    won = await shared.slack.press("U1", card, "no", to=shared.b.slack_url)
    assert await replied(shared, won) == "You answered: no"
    await shared.delivered_once("not-theirs", "no")


async def test_an_escalated_question_is_answered_by_whom_it_was_escalated_to(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "escalated", escalate_after="1h", escalate_to="U2")
    early = await shared.slack.press("U2", card, "yes", to=shared.b.slack_url)
    assert await replied(shared, early) == "This question is for somebody else."

    await shared.set_now("escalated", "escalate_at")
    await shared.row("escalated", lambda row: row.escalated_at is not None)
    await shared.slack.until(lambda: any(each.thread_ts == card.ts for each in shared.slack.messages("C2")))
    late = await shared.slack.press("U2", card, "yes", to=shared.b.slack_url)

    assert await replied(shared, late) == "You answered: yes"
    (escalation,) = [each for each in shared.slack.messages("C2") if each.thread_ts == card.ts]
    assert escalation.text.startswith("<@U2>, <@U1> has not answered; please answer instead")
    edited = await shared.slack.edit_of(card)
    assert edited.text.splitlines()[-1].startswith("Answered by <@U2>: yes (")
    await shared.delivered_once("escalated", "yes", by="U2")


@pytest.mark.law(14)
async def test_a_question_whose_pod_died_ends_by_its_default_at_its_deadline(shared: Deployment) -> None:
    async with shared.further() as asking:
        card = await shared.shown(asking, "overdue", expires_in="1h", default="no")
        await shared.noted("overdue")
        asking.kill()
        await asking.process.wait()
    await shared.set_now("overdue", "expires_at")

    edited = await shared.slack.edit_of(card)
    late = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url, from_copy=card)

    row = await shared.row("overdue", lambda row: row.delivered_at is not None)
    assert (row.outcome, row.answer, row.answered_by) == ("defaulted", "no", None)
    assert edited.buttons == ()
    said = f"Nobody answered in time; the answer is no ({date_of(row.claimed_at)}"
    assert edited.text.splitlines()[-1].startswith(said)
    assert (await replied(shared, late)).startswith(f"Already answered: no ({date_of(row.claimed_at)}")
    assert {(each.value, each.outcome) for each in shared.worker.delivered("overdue")} == {("no", "defaulted")}


async def test_a_question_in_a_thread_stays_there_with_its_replies(shared: Deployment) -> None:
    begin = await shared.shown(shared.b, "thread-begin")
    card = await shared.shown(shared.a, "in-thread", conversation_id=f"C2:{begin.ts}")

    pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)

    assert card.thread_ts == begin.ts
    assert await replied(shared, pressed) == "You answered: yes"
    assert (await shared.slack.reply_to(pressed)).thread_ts == begin.ts
    edited = await shared.slack.edit_of(card)
    assert edited.thread_ts == begin.ts
    await shared.delivered_once("in-thread", "yes")


@pytest.mark.parametrize("conversation_id", ["U1", None], ids=["named", "by default"])
async def test_a_question_to_a_person_is_asked_in_their_direct_messages(
    shared: Deployment, conversation_id: str | None
) -> None:
    id = f"direct-{conversation_id}"
    card = await shared.shown(shared.a, id, conversation_id=conversation_id, channel="DU1")

    pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)

    assert await replied(shared, pressed) == "You answered: yes"
    await shared.delivered_once(id, "yes", channel="DU1")


async def test_with_confirm_each_button_asks_once_more_and_the_press_counts_as_ever(shared: Deployment) -> None:
    text = configuration(slack_url=shared.slack.url, worker_url=shared.worker.url, slack="confirm = true")
    async with shared.further(text) as asking:
        card = await shared.shown(asking, "confirmed")
        dialogs = [button.element["confirm"] for button in card.buttons]
        pressed = await shared.slack.press("U1", card, "yes", to=asking.slack_url)

        assert [_text_in(dialog) for dialog in dialogs] == ["yes", "no"]
        assert await replied(shared, pressed) == "You answered: yes"
        await shared.delivered_once("confirmed", "yes")


async def test_whoever_waits_on_one_pod_hears_of_the_click_on_the_other(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "awaited")
    waiting = asyncio.ensure_future(shared.read(shared.a, "awaited", wait=30))

    await shared.slack.press("U1", card, "no", to=shared.b.slack_url)

    # Before it would look by itself.
    async with asyncio.timeout(PATIENCE):
        assert (await waiting).json()["value"] == "no"


@pytest.mark.law(7)
async def test_a_card_asked_again_refuses_the_buttons_of_the_one_before(shared: Deployment) -> None:
    former = await shared.shown(shared.a, "changed")
    await shared.noted("changed")
    asked = await shared.ask(shared.b, "changed", text="Deploy to production?")
    assert asked.json()["outcome"] == "superseded"

    late = await shared.slack.press("U1", former, "yes", to=shared.b.slack_url, from_copy=former)

    assert await replied(shared, late) == "This question has changed; answer the newer card."
    retired = await shared.slack.edit_of(former)
    assert retired.buttons == ()
    assert retired.text.splitlines()[-1] == "This question has changed; answer the newer card."
    newer = await _newer(shared, former)
    pressed = await shared.slack.press("U1", newer, "no", to=shared.a.slack_url)
    assert await replied(shared, pressed) == "You answered: no"
    steps = [entry.step for entry in (await shared.delivered_once("changed", "no")).trail.entries]
    assert steps.count(Step.ASKED) == 2


async def _newer(shared: Deployment, former: Message) -> Message:
    def found() -> list[Message]:
        return [each for each in shared.slack.messages("C2") if "to production?" in each.text and each.ts != former.ts]

    await shared.slack.until(lambda: bool(found()))
    return found()[0]


def _text_in(dialog: object) -> str:
    assert isinstance(dialog, dict)
    return str(dialog["text"]["text"])
