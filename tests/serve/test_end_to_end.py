"""A question asked through one pod and clicked on another, as a team deploys them."""

from __future__ import annotations

import asyncio

import pytest

from pendingctl.demo.presses import Seen

from .conftest import Deployment

pytestmark = pytest.mark.once


@pytest.mark.law(1, 6, 7, 11, 13)
async def test_asked_on_a_clicked_on_b_and_the_second_click_learns_the_truth(deployment: Deployment) -> None:
    asked = await deployment.ask(deployment.a, "deploy-1")
    assert (asked.status_code, asked.json()["outcome"]) == (201, "created")
    card = await deployment.card()

    first = await deployment.slack.press("U1", card, "yes", to=deployment.b.slack_url)
    edited = await deployment.slack.edit_of(card)
    second = await deployment.slack.press("U1", card, "no", to=deployment.a.slack_url, from_copy=card)

    assert [first.seen, second.seen] == [Seen.ACKNOWLEDGED] * 2
    assert edited.buttons == ()
    assert (await deployment.slack.reply_to(first)).text == "You answered: yes"
    assert (await deployment.slack.reply_to(second)).text.startswith("Already answered by <@U1>: yes")
    read = (await deployment.read(deployment.a, "deploy-1", wait=10)).json()
    assert (read["outcome"], read["value"], read["answered_by"]) == ("answered", "yes", "U1")
    assert deployment.delivered() == [("deploy-1", "yes")]


async def test_whoever_waits_on_one_pod_hears_of_the_click_on_the_other(deployment: Deployment) -> None:
    await deployment.ask(deployment.a, "deploy-1")
    card = await deployment.card()
    waiting = asyncio.ensure_future(deployment.read(deployment.a, "deploy-1", wait=30))

    await deployment.slack.press("U1", card, "no", to=deployment.b.slack_url)

    async with asyncio.timeout(5):
        assert (await waiting).json()["value"] == "no"


async def test_a_question_whose_pod_was_killed_is_answered_on_the_other(deployment: Deployment) -> None:
    await deployment.ask(deployment.a, "deploy-1")
    card = await deployment.noted_card("deploy-1")
    deployment.a.kill()
    await deployment.a.process.wait()

    pressed = await deployment.slack.press("U1", card, "yes")

    assert pressed.seen is Seen.ACKNOWLEDGED
    assert (await deployment.slack.reply_to(pressed)).text == "You answered: yes"
    await deployment.slack.edit_of(card)
