"""Slack's own framework takes the demo's Slack for Slack: it posts, is pressed, acknowledges and responds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from pendingctl.demo.messages import Message
from pendingctl.demo.presses import Seen
from pendingctl.demo.slack_server import FakeSlack

from . import hostile_presses as hostile
from .presses import SECRET

BLOCKS: list[dict[str, Any]] = [
    {"type": "section", "text": {"type": "plain_text", "text": "Deploy?"}},
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "value": "v1",
                "text": {"type": "plain_text", "text": "yes &amp; now"},
            }
        ],
    },
]


class BoltApp:
    """An app as a team writes it with bolt: a press takes the buttons away, and is answered to one person."""

    def __init__(self, slack: FakeSlack) -> None:
        self.client = AsyncWebClient(token="xoxb-acme", base_url=slack.url)
        self.bolt = AsyncApp(client=self.client, signing_secret=SECRET, request_verification_enabled=True)
        self.presses: list[dict[str, Any]] = []
        self.bolt.action("approve")(self.approve)

    async def approve(self, ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        self.presses.append(body)
        await respond(text="thanks", response_type="ephemeral", replace_original=False)
        await respond(text="done", replace_original=True)


@pytest.fixture
async def app(slack: FakeSlack) -> AsyncIterator[BoltApp]:
    made = BoltApp(slack)
    async with TestServer(made.bolt.web_app(path="/slack/events")) as server:
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=str(server.make_url("/slack/events")))
        yield made


@pytest.fixture
async def message(slack: FakeSlack, app: BoltApp) -> Message:
    await app.client.chat_postMessage(channel="C1", text="Deploy?", blocks=BLOCKS)
    return slack.messages()[0]


async def test_bolt_is_pressed_and_responds(slack: FakeSlack, app: BoltApp, message: Message) -> None:
    pressed = await slack.press("U2", message, "yes & now")

    assert pressed.seen is Seen.ACKNOWLEDGED
    reply = await slack.reply_to(pressed)
    assert (reply.text, reply.user) == ("thanks", "T1:U2")
    edited = await slack.edit_of(message)
    assert (edited.text, edited.buttons) == ("done", ())
    (body,) = app.presses
    assert (body["user"]["id"], body["actions"][0]["value"], body["message"]["ts"]) == ("U2", "v1", message.ts)


async def test_bolt_refuses_what_the_hostile_send(slack: FakeSlack, app: BoltApp, message: Message) -> None:
    press = slack.delivery("U2", message, "approve")

    for refused in (
        hostile.forged(press),
        hostile.unsigned(press),
        hostile.signed_ago(press, slack.apps["A1"], 302),
        replace(press, body=press.body + b"&x=1"),
    ):
        assert (await slack.deliver(refused)).status == 401

    assert app.presses == []


async def test_bolt_knows_whose_token_it_has(app: BoltApp) -> None:
    reply = await app.client.auth_test()

    assert (reply["team_id"], reply["bot_id"], reply["is_enterprise_install"]) == ("T1", "B1", False)
    assert "chat:write" in reply.headers["x-oauth-scopes"].split(",")


async def test_the_clients_form_posts_are_read(slack: FakeSlack, app: BoltApp) -> None:
    posted = await app.client.api_call("chat.postMessage", data={"channel": "C1", "text": "hello"})
    await app.client.chat_postEphemeral(channel="C1", user="U1", text="only you")
    found = await app.client.conversations_history(channel="C1", limit=5)

    assert [each["ts"] for each in found["messages"]] == [posted["ts"]]
    assert [(reply.user, reply.text) for reply in slack.replies] == [("T1:U1", "only you")]


async def test_the_client_reports_what_is_refused(app: BoltApp) -> None:
    with pytest.raises(SlackApiError, match="user_not_in_channel"):
        await app.client.chat_postEphemeral(channel="C1", user="U99", text="only you")
    with pytest.raises(SlackApiError, match="invalid_blocks"):
        await app.client.chat_postMessage(channel="C1", text="hello", blocks=[{"type": "button"}])
    with pytest.raises(SlackApiError, match="unknown_method"):
        await app.client.conversations_list()
