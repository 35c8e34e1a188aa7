"""A person of the demo's Slack presses: the request is Slack's, proven by Slack's own libraries and by the adapter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.signature import SignatureVerifier

from pendingctl import Card
from pendingctl.demo.faults import Fault
from pendingctl.demo.messages import Message
from pendingctl.demo.presses import SIGNATURE, TIMESTAMP, Delivery, Seen
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.platforms.slack import NotOurs, Press, SlackPlatform, is_signed, parse_press

from . import hostile_presses as hostile
from .presses import SECRET
from .test_platform import ANSWERED, CARD

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """An app's request URL: what came, and what it replies."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.reply: Callable[[], Awaitable[web.StreamResponse]] = self._ok

    async def _ok(self) -> web.StreamResponse:
        return web.Response()

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        return await self.reply()


@pytest.fixture
async def endpoint(slack: FakeSlack) -> AsyncIterator[Endpoint]:
    taken = Endpoint()
    application = web.Application()
    application.router.add_post("/slack", taken.take)
    async with TestServer(application) as server:
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=str(server.make_url("/slack")))
        yield taken


@pytest.fixture
async def card(platform: SlackPlatform, slack: FakeSlack) -> Message:
    await platform.post_card("slack", CARD)
    return slack.messages()[0]


async def posted(platform: SlackPlatform, slack: FakeSlack, **changes: Any) -> Message:
    given: Card = replace(CARD, **changes)
    await platform.post_card("slack", given)
    return slack.messages(given.conversation_id[:2])[-1]


async def test_a_press_reaches_the_app_as_slack_sends_it(slack: FakeSlack, endpoint: Endpoint, card: Message) -> None:
    pressed = await slack.press("U1", card, "no")

    assert (pressed.seen, pressed.status) == (Seen.ACKNOWLEDGED, 200)
    ((headers, body),) = endpoint.requests
    assert headers["User-Agent"].startswith("Slackbot 1.0 ")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert SignatureVerifier(SECRET).is_valid(body, headers[TIMESTAMP], headers[SIGNATURE])
    secrets = [SECRET.encode()]
    assert is_signed(body, timestamp=headers[TIMESTAMP], signature=headers[SIGNATURE], secrets=secrets, now=time.time())
    press = parse_press(body, reply_base=slack.origin)
    assert isinstance(press, Press)
    assert (press.team_id, press.enterprise_id, press.app_id) == ("T1", None, "A1")
    assert (press.channel_id, press.message_ts, press.user_id, press.user_team_id) == ("C1", card.ts, "U1", "T1")
    assert (press.question_id, press.ask_number, press.option) == ("q", 2**30, 1)
    assert press.response_url == pressed.delivery.response_url


async def test_the_payload_has_the_fields_of_the_documentation(slack: FakeSlack, card: Message) -> None:
    given = hostile.payload_of(slack.delivery("U1", card, "pendingctl:0"))

    # docs.slack.dev, "block_actions payload".
    assert set(given) == {
        *("type", "user", "api_app_id", "token", "container", "trigger_id", "team", "enterprise", "channel"),
        *("is_enterprise_install", "message", "state", "response_url", "actions"),
    }
    assert given["user"] == {"id": "U1", "username": "alice", "name": "alice", "team_id": "T1"}
    assert given["container"] == {
        "type": "message",
        "message_ts": card.ts,
        "channel_id": "C1",
        "is_ephemeral": False,
    }
    assert given["message"] == dict(card.as_json())
    (action,) = given["actions"]
    assert set(action) == {"type", "action_id", "block_id", "text", "value", "action_ts"}
    assert action["block_id"] == card.buttons[0].block_id != ""


async def test_each_press_has_a_time_and_a_response_url_of_its_own(slack: FakeSlack, card: Message) -> None:
    first, second = (slack.delivery("U1", card, "yes") for _ in range(2))

    presses = [parse_press(each.body, reply_base=slack.origin) for each in (first, second)]
    assert all(isinstance(press, Press) for press in presses)
    assert len({press.delivery_key for press in presses if isinstance(press, Press)}) == 2
    assert first.response_url != second.response_url


async def test_a_card_in_a_thread_names_it(platform: SlackPlatform, slack: FakeSlack, card: Message) -> None:
    in_thread = await posted(platform, slack, question_id="r", conversation_id=f"C1:{card.ts}")

    press = parse_press(slack.delivery("U1", in_thread, "yes").body)

    assert isinstance(press, Press)
    assert press.thread_ts == card.ts


async def test_people_of_two_workspaces_press_in_a_shared_channel(slack: FakeSlack, card: Message) -> None:
    guest, stranger = (parse_press(slack.delivery(user, card, "yes").body) for user in ("U4", "T2:U7"))

    assert isinstance(guest, Press)
    assert isinstance(stranger, Press)
    # The workspace is that of the app, whoever presses.
    assert (guest.team_id, stranger.team_id) == ("T1", "T1")
    assert (guest.user_of(["T1"]), stranger.user_of(["T1"])) == ("U4", "T2:U7")


async def test_an_app_of_a_whole_organization_has_no_team(slack: FakeSlack) -> None:
    tokens = {("initech", "slack"): "xoxb-initech"}
    async with SlackPlatform(tokens, base_url=slack.url) as platform:
        card = await posted(platform, slack, organization_id="initech", conversation_id="C3")

    by_one, by_another = (parse_press(slack.delivery(user, card, "yes").body) for user in ("U8", "W9"))

    assert isinstance(by_one, Press)
    assert isinstance(by_another, Press)
    assert (by_one.team_id, by_one.enterprise_id, by_one.user_team_id) == (None, "E1", "T3")
    assert by_another.user_team_id == "E1"


@pytest.mark.parametrize(
    ("user", "choice", "complaint"),
    [
        ("U1", "maybe", "0 buttons 'maybe'; its buttons: 'yes', 'no'"),
        ("U99", "yes", "0 people are called 'U99'"),
        ("W9", "yes", "E1:W9 is not in the channel C1"),
    ],
)
async def test_nobody_presses_what_they_do_not_see(
    slack: FakeSlack, card: Message, user: str, choice: str, complaint: str
) -> None:
    with pytest.raises(LookupError, match=complaint):
        slack.delivery(user, card, choice)


async def test_a_button_that_is_gone_is_pressed_in_a_stale_copy_alone(
    platform: SlackPlatform, slack: FakeSlack, endpoint: Endpoint, card: Message
) -> None:
    await platform.edit_card("slack", {"channel": "C1", "ts": card.ts}, ANSWERED)

    with pytest.raises(LookupError, match="its buttons: none"):
        await slack.press("U1", card, "yes")
    assert endpoint.requests == []

    assert (await slack.press("U1", card, "yes", from_copy=card)).seen is Seen.ACKNOWLEDGED
    slack.channels["C1"].messages.clear()
    assert (await slack.press("U1", card, "yes", from_copy=card)).seen is Seen.ACKNOWLEDGED


async def test_an_app_that_takes_more_than_three_seconds_has_timed_out(
    slack: FakeSlack, endpoint: Endpoint, card: Message
) -> None:
    async def late() -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    endpoint.reply = late

    pressed = await slack.press("U1", card, "yes")

    assert (pressed.seen, pressed.status) == (Seen.TIMED_OUT, None)
    assert pressed.seconds >= 3
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [302, 307, 401, 404, 500])
async def test_no_other_status_acknowledges_and_no_redirect_is_followed(
    slack: FakeSlack, endpoint: Endpoint, card: Message, status: int
) -> None:
    async def reply() -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": "/slack"})

    endpoint.reply = reply

    pressed = await slack.press("U1", card, "yes")

    assert (pressed.seen, pressed.status) == (Seen.FAILED, status)
    assert len(endpoint.requests) == 1


async def test_an_app_that_is_not_there_has_failed(slack: FakeSlack, card: Message) -> None:
    pressed = await slack.press("U1", card, "yes", to="http://127.0.0.1:9/slack")

    assert (pressed.seen, pressed.status) == (Seen.FAILED, None)


async def test_what_follows_a_press_is_seen(
    platform: SlackPlatform, slack: FakeSlack, endpoint: Endpoint, card: Message
) -> None:
    pressed, other = await slack.press("U1", card, "yes"), await slack.press("U2", card, "no")
    press = parse_press(endpoint.requests[0][1], reply_base=slack.origin)
    assert isinstance(press, Press)
    assert ANSWERED.said is not None

    reply, edited, _, _ = await asyncio.gather(
        slack.reply_to(pressed),
        slack.edit_of(card),
        platform.reply(press, ANSWERED.said, organization_id="acme", connection_id="slack"),
        platform.edit_card("slack", {"channel": "C1", "ts": card.ts}, ANSWERED),
    )

    assert "Answered by <@U2>" in reply.text
    assert (reply.user, slack.replies_to(other)) == ("T1:U1", [])
    assert (edited.is_edited, edited.buttons) == (True, ())
    with pytest.raises(TimeoutError):
        await slack.reply_to(other, within=0.05)


async def test_a_reply_without_a_response_url_is_seen_by_whom_it_names(
    platform: SlackPlatform, slack: FakeSlack, endpoint: Endpoint, card: Message
) -> None:
    slack.fail("response_url", Fault(status=500))
    pressed = await slack.press("U1", card, "yes")
    press = parse_press(endpoint.requests[0][1], reply_base=slack.origin)
    assert isinstance(press, Press)
    assert ANSWERED.said is not None

    await platform.reply(press, ANSWERED.said, organization_id="acme", connection_id="slack")

    assert [reply.response_url for reply in slack.replies_to(pressed)] == [None]


# What is no press of Slack's.


def accepted(delivery: Delivery) -> bool:
    return is_signed(
        delivery.body,
        timestamp=delivery.headers.get(TIMESTAMP),
        signature=delivery.headers.get(SIGNATURE),
        secrets=[SECRET.encode()],
        now=time.time(),
    )


async def test_what_slack_has_not_signed_lately_is_refused(slack: FakeSlack, card: Message) -> None:
    app = slack.apps["A1"]
    press = slack.delivery("U1", card, "yes")

    assert accepted(press)
    assert accepted(hostile.signed_ago(press, app, 290))
    assert accepted(hostile.changed(press, app, team={"id": "T2", "domain": "globex"}))
    refused = [
        hostile.forged(press),
        hostile.unsigned(press),
        hostile.signed_ago(press, app, 302),
        hostile.signed_ago(press, app, -330),
        replace(press, body=press.body + b"&x=1"),
        *(hostile.with_timestamp(press, timestamp) for timestamp in hostile.JUNK_TIMESTAMPS),
    ]
    assert [each for each in refused if accepted(each)] == []


async def test_the_other_kinds_are_signed_and_no_press(slack: FakeSlack, card: Message) -> None:
    app = slack.apps["A1"]
    press = slack.delivery("U1", card, "yes")

    for kind in ("view_submission", "view_closed", "shortcut", "message_action"):
        assert accepted(hostile.of_kind(press, app, kind))
        assert parse_press(hostile.of_kind(press, app, kind).body) == NotOurs(kind)
    assert accepted(hostile.ssl_check(press, app))
    assert parse_press(hostile.ssl_check(press, app).body) == NotOurs("ssl_check")
    for body in hostile.JUNK_BODIES:
        assert accepted(hostile.with_body(press, app, body))
        assert isinstance(parse_press(body), NotOurs)


async def test_slacks_own_signer_signs_what_is_accepted(slack: FakeSlack, card: Message) -> None:
    press = slack.delivery("U1", card, "yes")
    timestamp = str(int(time.time()))
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=timestamp, body=press.body)
    assert signature is not None

    assert accepted(replace(press, headers={TIMESTAMP: timestamp, SIGNATURE: signature}))
