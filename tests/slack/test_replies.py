"""The reply to a press: for its user alone, by response_url, else as an ephemeral message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pendingctl import Sentence, Wording
from pendingctl.demo.faults import Fault
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.platforms.slack import Press, SlackPlatform
from pendingctl.platforms.slack.errors import SlackFailed

SAID = Sentence(
    words=Wording().reply_already_answered, by="U2", value="*no* <!here>", at=datetime(2026, 1, 1, 12, tzinfo=UTC)
)


@pytest.fixture
def press(slack: FakeSlack) -> Press:
    return Press(
        team_id="T1",
        enterprise_id=None,
        app_id="A1",
        channel_id="C1",
        message_ts="1712345678.000100",
        user_id="U1",
        user_team_id="T1",
        question_id="q",
        ask_number=1,
        option=0,
        action_ts="1712345699.123456",
        response_url=slack.issue_response_url("T1:U1", "C1", "1712345678.000100"),
    )


async def test_a_reply_is_shown_to_the_one_who_pressed(platform: SlackPlatform, slack: FakeSlack, press: Press) -> None:
    await platform.reply(press, SAID, organization_id="acme", connection_id="slack")

    (reply,) = slack.replies
    assert (reply.user, reply.fields["response_type"], reply.fields["replace_original"]) == (
        "T1:U1",
        "ephemeral",
        False,
    )
    assert reply.text == (
        "Already answered by <@U2>: *no* &lt;!here&gt; "
        "(<!date^1767268800^{date_short_pretty} {time}|2026-01-01 12:00 UTC>)"
    )
    shown_blocks: Any = reply.blocks
    assert {"type": "text", "text": "*no* <!here>"} in shown_blocks[0]["elements"][0]["elements"]
    assert slack.calls == []


@pytest.mark.parametrize("status", [301, 307, 404, 500])
async def test_a_reply_that_the_url_does_not_take_is_posted(
    platform: SlackPlatform, slack: FakeSlack, press: Press, status: int
) -> None:
    elsewhere = slack.issue_response_url("T1:U1", "C1", "1712345678.000100")
    slack.fail("response_url", Fault(status=status, location=elsewhere))

    await platform.reply(press, SAID, organization_id="acme", connection_id="slack")

    assert [(each.channel, each.user, each.response_url) for each in slack.replies] == [("C1", "T1:U1", None)]


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9/reply"])
async def test_a_reply_without_a_url_that_answers_is_posted(
    platform: SlackPlatform, slack: FakeSlack, press: Press, url: str | None
) -> None:
    await platform.reply(replace(press, response_url=url), SAID, organization_id="acme", connection_id="slack")

    assert [each.response_url for each in slack.replies] == [None]


async def test_a_reply_stands_in_the_thread_of_its_card(
    platform: SlackPlatform, slack: FakeSlack, press: Press
) -> None:
    in_thread = replace(press, thread_ts="1712345600.000001")

    await platform.reply(in_thread, SAID, organization_id="acme", connection_id="slack")
    await platform.reply(replace(in_thread, response_url=None), SAID, organization_id="acme", connection_id="slack")

    first, second = slack.replies
    assert first.response_url is not None
    assert second.response_url is None
    assert first.thread_ts == second.thread_ts == "1712345600.000001"


async def test_a_reply_that_cannot_be_shown_is_reported(
    platform: SlackPlatform, slack: FakeSlack, press: Press
) -> None:
    slack.fail("chat.postEphemeral", Fault(error="user_not_in_channel"))

    with pytest.raises(SlackFailed, match="user_not_in_channel"):
        await platform.reply(replace(press, response_url=None), SAID, organization_id="acme", connection_id="slack")
