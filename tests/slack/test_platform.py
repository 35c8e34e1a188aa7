"""Cards and reminders in Slack: where they are posted, how they are edited, and whose token does it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pendingctl import Card, CardGone, NotPosted, Reminder, Sentence, Shows, Wording
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.errors import InvalidInput
from pendingctl.platforms import ChecksCards, FindsCards, Pauses
from pendingctl.platforms.slack import Confirm, SlackPlatform

from .conftest import TOKENS
from .shown import messages

CARD = Card("q", 2**30, "C1", "Deploy?", ("yes", "no"), user_id="U1", organization_id="acme")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANSWERED = replace(
    CARD,
    options=(),
    shows=Shows.ANSWERED,
    said=Sentence(words=Wording().card_answered, by="T9:U2", value="*yes* <!here>", at=NOON),
)


def reminder(conversation_id: str = "C1", **changes: Any) -> Reminder:
    said = Sentence(words=Wording().reminder, to="U1", question="Deploy?")
    given = Reminder(
        question_id="q",
        ask_number=1,
        conversation_id=conversation_id,
        said=said,
        user_id="U1",
        is_escalation=False,
        organization_id="acme",
    )
    return replace(given, **changes)


def buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for block in message["blocks"] if block["type"] == "actions" for each in block["elements"]]


def test_a_platform_says_what_it_can(platform: SlackPlatform) -> None:
    assert isinstance(platform, FindsCards)
    assert isinstance(platform, ChecksCards)
    assert isinstance(platform, Pauses)


async def test_a_card_has_a_button_an_option(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)

    (message,) = messages(slack)
    assert handle == {"channel": "C1", "ts": message["ts"]}
    assert message["text"] == "Deploy?\nyes / no"
    assert [button["text"]["text"] for button in buttons(message)] == ["yes", "no"]
    assert [button["value"] for button in buttons(message)] == ['["q",1073741824,0]', '["q",1073741824,1]']
    assert message["metadata"] == {
        "event_type": "pendingctl_card",
        "event_payload": {"key": f"q/{2**30}"},
    }


async def test_an_edit_takes_the_buttons_away_and_says_who_answered(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)

    await platform.edit_card("slack", handle, ANSWERED)

    (message,) = messages(slack)
    assert buttons(message) == []
    assert message["text"] == (
        "Deploy?\nAnswered by <@U2>: *yes* &lt;!here&gt; "
        "(<!date^1767268800^{date_short_pretty} {time}|2026-01-01 12:00 UTC>)"
    )
    (said,) = message["blocks"][1]["elements"]
    parts = said["elements"]
    assert {"type": "user", "user_id": "U2"} in parts
    assert {"type": "text", "text": "*yes* <!here>"} in parts
    assert [part["fallback"] for part in parts if part["type"] == "date"] == ["2026-01-01 12:00 UTC"]
    assert message["metadata"]["event_type"] == "pendingctl_card"


async def test_each_organization_posts_with_its_own_token(platform: SlackPlatform, slack: FakeSlack) -> None:
    await platform.post_card("slack", CARD)
    await platform.post_card("slack", replace(CARD, organization_id="globex"))

    assert [message["bot_id"] for message in messages(slack)] == ["B1", "B2"]


async def test_a_card_stands_in_the_thread_that_its_conversation_names(
    platform: SlackPlatform, slack: FakeSlack
) -> None:
    first = await platform.post_card("slack", CARD)
    assert isinstance(first, dict)
    in_thread = f"C1:{first['ts']}"

    handle = await platform.post_card("slack", replace(CARD, question_id="r", conversation_id=in_thread))
    await platform.post_reminder("slack", handle, reminder(in_thread))

    assert [message.get("thread_ts") for message in messages(slack)] == [None, first["ts"], first["ts"]]


async def test_a_reminder_stands_in_the_thread_of_its_card(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)

    await platform.post_reminder("slack", handle, reminder())

    card, reminded = messages(slack)
    assert reminded["thread_ts"] == card["ts"]
    assert reminded["text"] == "<@U1>, this question waits for your answer: Deploy?"
    assert {"type": "user", "user_id": "U1"} in reminded["blocks"][0]["elements"][0]["elements"]


async def test_a_reminder_of_an_unknown_card_stands_in_its_conversation(
    platform: SlackPlatform, slack: FakeSlack
) -> None:
    await platform.post_reminder("slack", None, reminder())

    assert [message.get("thread_ts") for message in messages(slack)] == [None]


@pytest.mark.parametrize("conversation_id", ["U5", "", "DU5"])
async def test_nobody_is_called_to_direct_messages_of_another(
    platform: SlackPlatform, slack: FakeSlack, conversation_id: str
) -> None:
    await platform.post_card("slack", replace(CARD, conversation_id="U5", user_id="U5"))
    handle = await platform.post_card("slack", replace(CARD, conversation_id=conversation_id, user_id="U5"))
    escalation = reminder(conversation_id, user_id="U2", is_escalation=True)

    for known in (handle, None):
        with pytest.raises(NotPosted, match="stands in direct messages that nobody else sees"):
            await platform.post_reminder("slack", known, escalation)
    await platform.post_reminder("slack", handle, reminder(conversation_id, user_id="U5"))

    assert "waits for your answer" in messages(slack, "DU5")[-1]["text"]


@pytest.mark.parametrize(("conversation_id", "user_id"), [("U5", "U1"), ("", "U5"), ("", "T9:U5"), ("W5", "U1")])
async def test_a_persons_direct_messages_are_opened_once(
    platform: SlackPlatform, slack: FakeSlack, conversation_id: str, user_id: str
) -> None:
    card = replace(CARD, conversation_id=conversation_id, user_id=user_id)
    person = conversation_id or "U5"

    handle = await platform.post_card("slack", card)
    await platform.post_card("slack", replace(card, question_id="r"))
    await platform.edit_card("slack", handle, ANSWERED)

    assert isinstance(handle, dict)
    assert handle["channel"] == f"D{person}"
    assert [arguments["users"] for arguments in slack.called("conversations.open")] == [person]
    assert [bool(buttons(message)) for message in messages(slack, f"D{person}")] == [False, True]


async def test_a_direct_message_that_is_gone_is_opened_again(platform: SlackPlatform, slack: FakeSlack) -> None:
    card = replace(CARD, conversation_id="U5")
    await platform.post_card("slack", card)
    del slack.channels["DU5"]

    with pytest.raises(NotPosted, match="channel_not_found"):
        await platform.post_card("slack", card)

    assert await platform.post_card("slack", card)


async def test_a_dialog_asks_once_more_where_it_is_wanted(slack: FakeSlack) -> None:
    async with SlackPlatform(TOKENS, base_url=slack.url, confirm=Confirm(title="Sicher?")) as platform:
        await platform.post_card("slack", replace(CARD, options=("yes", "no " * 200)))

    first, second = buttons(messages(slack)[0])
    assert (first["confirm"]["title"]["text"], first["confirm"]["text"]["text"]) == ("Sicher?", "yes")
    assert second["confirm"]["text"]["text"].count("no") < 200


@pytest.mark.parametrize("words", ["", " ", "x" * 31])
def test_words_that_no_dialog_can_have_are_refused(words: str) -> None:
    with pytest.raises(InvalidInput, match="are empty or over 30 characters"):
        Confirm(confirm=words)


async def test_a_card_that_has_gone_is_reported_as_gone(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)
    slack.channels["C1"].messages.clear()

    with pytest.raises(CardGone, match=r"chat\.update was answered 200 message_not_found"):
        await platform.edit_card("slack", handle, ANSWERED)


async def test_the_card_of_another_app_is_gone_for_this_one(platform: SlackPlatform) -> None:
    handle = await platform.post_card("slack", CARD)

    with pytest.raises(CardGone, match="cant_update_message"):
        await platform.edit_card("slack", handle, replace(ANSWERED, organization_id="globex"))


@pytest.mark.parametrize(
    "handle",
    [
        None,
        7,
        "C1",
        {},
        {"channel": "C1"},
        {"channel": "C1", "ts": 7},
        {"channel": "#general", "ts": "1.2"},
        ["C1", "1.2"],
    ],
)
async def test_a_reference_that_is_not_slacks_is_no_card_of_slack(
    platform: SlackPlatform, slack: FakeSlack, handle: object
) -> None:
    with pytest.raises(CardGone, match="its row has no reference of Slack's"):
        await platform.edit_card("slack", handle, ANSWERED)

    assert slack.calls == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"conversation_id": "#general"}, "the conversation '#general' is none of Slack"),
        ({"conversation_id": "C1:yesterday"}, "names no thread of Slack"),
        ({"conversation_id": "C1:"}, "names no thread of Slack"),
        ({"conversation_id": "C1:١.٢"}, "names no thread of Slack"),
        ({"conversation_id": "", "user_id": "alice"}, "its user 'alice' is nobody in Slack"),
        ({"options": tuple(map(str, range(26)))}, "has 26 options, and a card in Slack holds 25"),
        ({"options": ("x" * 1_500, "y" * 1_500)}, "options have 3,007 characters in their list"),
        ({"organization_id": "initech"}, "there is no token of Slack for connection 'slack' of 'initech'"),
    ],
)
async def test_a_card_that_slack_would_show_otherwise_is_refused(
    platform: SlackPlatform, slack: FakeSlack, changes: dict[str, Any], complaint: str
) -> None:
    card = replace(CARD, **changes)

    with pytest.raises(InvalidInput, match=complaint):
        platform.check_card("slack", card)
    with pytest.raises(NotPosted, match=complaint) as refused:
        await platform.post_card("slack", card)

    assert refused.value.is_permanent
    assert slack.calls == []


@pytest.mark.parametrize("url", ["", "slack.com/api", "ftp://slack.com/api/", "https:///api/"])
def test_a_base_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="Slack's base URL cannot be read"):
        SlackPlatform(TOKENS, base_url=url)
