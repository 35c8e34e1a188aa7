"""Looking for a card whose post ended without a reply."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from pendingctl import NotPosted
from pendingctl.demo.faults import Fault
from pendingctl.demo.messages import Message
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import SCOPES, Installation
from pendingctl.platforms.slack import SlackPlatform
from pendingctl.platforms.slack.errors import SlackFailed
from pendingctl.platforms.slack.search import MOST_PAGES, PAGE

from .shown import messages
from .test_platform import CARD


def fill(slack: FakeSlack, number: int, *, ago: float = 0.0, channel: str = "C1") -> None:
    """Let other people write so many messages."""
    for place in range(number):
        ts = f"{int(time.time() - ago)}.{500_000 + place:06d}"
        slack.channels[channel].messages[ts] = Message(channel=channel, ts=ts, text="hello", user="U9")


@pytest.mark.parametrize("conversation_id", ["C1", "U5", ""])
async def test_a_card_is_found_by_its_question_and_ask_number(
    platform: SlackPlatform, slack: FakeSlack, conversation_id: str
) -> None:
    card = replace(CARD, conversation_id=conversation_id)
    handle = await platform.post_card("slack", card)
    fill(slack, 3)

    assert await platform.find_card("slack", card) == handle
    assert await platform.find_card("slack", replace(card, ask_number=card.ask_number + 1)) is None
    assert await platform.find_card("slack", replace(card, question_id="r")) is None
    assert await platform.find_card("slack", replace(card, conversation_id="C2")) is None


@pytest.mark.parametrize("question_id", ["<&>", "déploy/1 2", "q" * 255])
async def test_any_id_is_found(platform: SlackPlatform, question_id: str) -> None:
    card = replace(CARD, question_id=question_id)
    handle = await platform.post_card("slack", card)

    assert await platform.find_card("slack", card) == handle


async def test_a_card_in_a_thread_is_found_there(platform: SlackPlatform, slack: FakeSlack) -> None:
    fill(slack, 1)
    card = replace(CARD, conversation_id=f"C1:{messages(slack)[0]['ts']}")
    handle = await platform.post_card("slack", card)

    assert await platform.find_card("slack", card) == handle
    assert await platform.find_card("slack", CARD) is None


async def test_what_another_app_has_written_is_no_card(platform: SlackPlatform) -> None:
    await platform.post_card("slack", replace(CARD, organization_id="globex"))

    assert await platform.find_card("slack", CARD) is None


async def test_a_card_is_found_behind_many_messages(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)
    fill(slack, PAGE * 2)

    assert await platform.find_card("slack", CARD) == handle
    assert len(slack.called("conversations.history")) == 3


async def test_what_was_not_looked_at_may_hold_the_card(platform: SlackPlatform, slack: FakeSlack) -> None:
    await platform.post_card("slack", CARD)
    fill(slack, PAGE * MOST_PAGES)

    with pytest.raises(SlackFailed, match="not among the last 2,000 messages"):
        await platform.find_card("slack", CARD)


async def test_messages_of_the_day_before_are_not_looked_at(platform: SlackPlatform, slack: FakeSlack) -> None:
    fill(slack, PAGE * MOST_PAGES + 1, ago=25 * 3_600)

    assert await platform.find_card("slack", CARD) is None
    assert len(slack.called("conversations.history")) == 1


async def test_a_token_that_may_not_read_leaves_it_to_a_person(platform: SlackPlatform, slack: FakeSlack) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", scopes=SCOPES - {"channels:history"})

    with pytest.raises(NotPosted, match="missing_scope; needed: channels:history; look whether it") as refused:
        await platform.find_card("slack", CARD)

    assert refused.value.is_permanent
    assert await platform.post_card("slack", CARD)


async def test_a_channel_without_the_app_is_looked_at_again(platform: SlackPlatform, slack: FakeSlack) -> None:
    slack.fail("conversations.history", Fault(error="not_in_channel"))

    with pytest.raises(NotPosted, match="not_in_channel") as refused:
        await platform.find_card("slack", CARD)

    assert not refused.value.is_permanent


async def test_a_limit_of_reading_is_respected(platform: SlackPlatform, slack: FakeSlack) -> None:
    slack.fail("conversations.history", Fault(error="ratelimited", status=429, retry_after="60"))

    with pytest.raises(NotPosted) as refused:
        await platform.find_card("slack", CARD)

    assert (refused.value.retry_after, refused.value.is_permanent) == (timedelta(seconds=60), False)


@pytest.mark.parametrize("method", ["auth.test", "conversations.history"])
@pytest.mark.parametrize(
    "fault", [Fault(error="fatal_error"), Fault(hangs_up=True), Fault(status=200, body="")], ids=str
)
async def test_a_search_that_fails_says_nothing_of_the_card(
    platform: SlackPlatform, slack: FakeSlack, method: str, fault: Fault
) -> None:
    await platform.post_card("slack", CARD)
    # A request that only reads may be sent again over a new connection.
    slack.fail(method, fault, fault)

    with pytest.raises(SlackFailed):
        await platform.find_card("slack", CARD)

    slack.heal()
    assert await platform.find_card("slack", CARD) is not None
