"""The demo's Slack is strict: it refuses what Slack's pages say is refused."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from pendingctl.demo.faults import Fault, Rate
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import SCOPES, Channel, Installation, acme_and_others


class Clock:
    """Time as a test lets it pass."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Caller:
    """Calls methods without any library, so that the headers are seen."""

    def __init__(self, slack: FakeSlack, session: aiohttp.ClientSession) -> None:
        self._slack = slack
        self._session = session
        self.headers: dict[str, str] = {}

    async def call(self, method: str, *, token: str | None = "xoxb-acme", **arguments: Any) -> Any:
        headers = {"Content-Type": "application/json;charset=utf-8"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.send(self._slack.url + method, data=json.dumps(arguments), headers=headers)

    async def respond(self, url: str, **response: Any) -> Any:
        return await self.send(url, json=response)

    async def send(self, url: str, **request: Any) -> Any:
        async with self._session.post(url, **request) as reply:
            self.headers = {"status": str(reply.status), **{name.lower(): each for name, each in reply.headers.items()}}
            return await reply.json()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def slack(clock: Clock) -> AsyncIterator[FakeSlack]:
    async with FakeSlack(clock=clock) as running:
        yield running


@pytest.fixture
async def caller(slack: FakeSlack) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(slack, session)


def card(count: int = 1, **button: Any) -> list[dict[str, Any]]:
    return [
        {"type": "actions", "elements": [element(**{"action_id": f"a{number}"} | button) for number in range(count)]}
    ]


def element(**changes: Any) -> dict[str, Any]:
    return {
        "type": "button",
        "text": {"type": "plain_text", "text": "yes"},
        "value": "v",
    } | changes


def metadata(text: str) -> dict[str, Any]:
    return {"event_type": "e", "event_payload": {"p": text}}


def section(text: str, kind: str = "plain_text") -> list[dict[str, Any]]:
    return [{"type": "section", "text": {"type": kind, "text": text}}]


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        (section("x" * 3_001), "must be less than 3001 characters"),
        (section("😀" * 1_501), "must be less than 3001 characters"),
        (section(" "), "must be more than 0 characters"),
        (section("<!channel>", "mrkdwn"), "must be a text object"),
        (section("x") * 51, "blocks must be an array of at most 50"),
        (card(26), "must have 1 to 25 elements"),
        (card(0), "must have 1 to 25 elements"),
        (card(text={"type": "plain_text", "text": "x" * 76}), "must be less than 76 characters"),
        (card(value="x" * 2_001), "value must have 1 to 2000 characters"),
        (card(action_id="x" * 256), "action_id must have 1 to 255 characters"),
        (card(2, action_id="a"), "action_id is not unique"),
        (card(style="green"), "style must be primary or danger"),
        (card(confirm={"title": "?"}), "must be a text object"),
        (card(colour="red"), "must not have additional property 'colour'"),
        ([{"type": "image"}], "unsupported type: image"),
        ([{"type": "actions"}], "must have 1 to 25 elements"),
        ([{"type": "actions", "elements": ["yes"]}], "must have 1 to 25 elements"),
        (["section"], "must be an object"),
        ("section", "blocks must be an array of at most 50"),
    ],
)
async def test_blocks_over_slacks_limits_are_refused_at_post_and_at_edit(
    slack: FakeSlack, caller: Caller, blocks: object, complaint: str
) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="hello")

    refusals = [
        await caller.call("chat.postMessage", channel="C1", text="hello", blocks=blocks),
        await caller.call("chat.update", channel="C1", ts=posted["ts"], text="hello", blocks=blocks),
        await caller.call("chat.postEphemeral", channel="C1", user="U1", text="hello", blocks=blocks),
    ]

    for refusal in refusals:
        assert refusal["error"] == "invalid_blocks"
        assert any(complaint in each for each in refusal["response_metadata"]["messages"])
    assert [message.is_edited for message in slack.messages()] == [False]


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("chat.postMessage", {"channel": "C0"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "C9"}, "channel_not_found"),
        ("chat.postMessage", {"text": ""}, "no_text"),
        ("chat.postMessage", {"text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"blocks": section("x" * 3_000) * 4}, "msg_blocks_too_long"),
        ("chat.postMessage", {"thread_ts": "1.2"}, "thread_not_found"),
        ("chat.postMessage", {"metadata": {"event_type": "e"}}, "invalid_metadata_format"),
        ("chat.postMessage", {"metadata": {"event_type": "e", "event_payload": "p"}}, "invalid_metadata_schema"),
        (
            "chat.postMessage",
            {"metadata": metadata("x" * 8_000)},
            "metadata_too_large",
        ),
        ("chat.update", {"ts": "1.2"}, "message_not_found"),
        ("chat.postEphemeral", {"user": "U7", "channel": "C2"}, "user_not_in_channel"),
        ("chat.postEphemeral", {"user": "U4", "channel": "C2"}, "user_not_in_channel"),
        ("conversations.open", {"users": "U8"}, "user_not_found"),
        ("conversations.open", {}, "users_list_not_supplied"),
        ("conversations.history", {}, "invalid_post_type"),
        ("auth.test", {"token": None}, "not_authed"),
        ("auth.test", {"token": "xoxb-nobody"}, "invalid_auth"),
    ],
)
async def test_a_call_is_refused_as_its_page_says(
    caller: Caller, method: str, arguments: dict[str, Any], error: str
) -> None:
    reply = await caller.call(method, **{"channel": "C1", "text": "hello", **arguments})

    assert (reply["ok"], reply["error"]) == (False, error)


async def test_an_edit_has_a_tenth_of_the_text(caller: Caller) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="x" * 40_000)

    reply = await caller.call("chat.update", channel="C1", ts=posted["ts"], text="x" * 4_001)

    assert reply["error"] == "msg_too_long"


async def test_an_edit_without_blocks_keeps_them(slack: FakeSlack, caller: Caller) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="hello", blocks=card())

    await caller.call("chat.update", channel="C1", ts=posted["ts"], text="bye")
    (kept,) = slack.messages()
    await caller.call("chat.update", channel="C1", ts=posted["ts"], text="bye", blocks=[])

    assert (kept.text, [button.label for button in kept.buttons]) == ("bye", ["yes"])
    assert slack.messages()[0].buttons == ()


async def test_nobody_edits_the_message_of_another_app(caller: Caller) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="hello")

    reply = await caller.call("chat.update", token="xoxb-globex", channel="C1", ts=posted["ts"], text="bye")

    assert reply["error"] == "cant_update_message"


async def test_an_archived_channel_takes_neither_posts_nor_edits(slack: FakeSlack, caller: Caller) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="hello")
    slack.channels["C1"].is_archived = True

    assert (await caller.call("chat.postMessage", channel="C1", text="hello"))["error"] == "is_archived"
    edit = await caller.call("chat.update", channel="C1", ts=posted["ts"], text="bye")
    assert edit["error"] == "is_inactive"


async def test_a_bot_sees_the_channels_that_it_is_in(slack: FakeSlack, caller: Caller) -> None:
    slack.channels["C2"].bots.clear()
    slack.known.add_channel(Channel("G1", "board", frozenset({"T1"}), is_private=True))
    slack.channels["G1"].bots.clear()

    assert (await caller.call("chat.postMessage", channel="C2", text="hello"))["error"] == "not_in_channel"
    assert (await caller.call("chat.postMessage", channel="G1", text="hello"))["error"] == "channel_not_found"


async def test_direct_messages_are_of_one_bot_and_one_person(slack: FakeSlack, caller: Caller) -> None:
    mine = (await caller.call("conversations.open", users="U1"))["channel"]["id"]
    theirs = (await caller.call("conversations.open", token="xoxb-globex", users="U1"))["channel"]["id"]

    assert mine != theirs == (await caller.call("conversations.open", token="xoxb-globex", users="U1"))["channel"]["id"]
    assert (await caller.call("chat.postMessage", channel=theirs, text="hello"))["error"] == "channel_not_found"
    assert slack.channels[mine].members == {"T1:U1"}


@pytest.mark.parametrize(("method", "scope"), [("chat.postMessage", "chat:write"), ("conversations.open", "im:write")])
async def test_a_missing_scope_is_named(slack: FakeSlack, caller: Caller, method: str, scope: str) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", scopes=SCOPES - {scope})

    reply = await caller.call(method, channel="C1", users="U1", text="hello")

    assert (reply["error"], reply["needed"]) == ("missing_scope", scope)
    assert scope not in reply["provided"].split(",")
    assert caller.headers["x-oauth-scopes"] == reply["provided"]
    assert caller.headers["x-accepted-oauth-scopes"] == scope


async def test_a_token_says_where_it_is_installed(caller: Caller) -> None:
    acme = await caller.call("auth.test")
    initech = await caller.call("auth.test", token="xoxb-initech")

    assert (acme["team_id"], acme["bot_id"], acme["is_enterprise_install"]) == ("T1", "B1", False)
    assert (initech["team_id"], initech["enterprise_id"], initech["is_enterprise_install"]) == (None, "E1", True)
    assert caller.headers["x-oauth-scopes"] == ",".join(sorted(SCOPES))


# Rates and faults.


async def test_a_rate_limits_one_method_in_one_channel(slack: FakeSlack, caller: Caller, clock: Clock) -> None:
    slack.limit("chat.postMessage", Rate(per_second=0.5, burst=2))

    async def post(channel: str = "C1") -> str:
        await caller.call("chat.postMessage", channel=channel, text="hello")
        return caller.headers["status"]

    assert [await post(), await post(), await post()] == ["200", "200", "429"]
    assert caller.headers["retry-after"] == "2"
    assert [await post("C2"), await post()] == ["200", "429"]
    clock.now += 2
    assert [await post(), await post()] == ["200", "429"]
    assert len(slack.messages()) == 3


async def test_no_rate_limits_from_the_start(slack: FakeSlack, caller: Caller) -> None:
    for _ in range(20):
        assert (await caller.call("chat.postMessage", channel="C1", text="hello"))["ok"]
    assert len(slack.messages()) == 20


async def test_a_fault_of_a_channel_leaves_the_others(slack: FakeSlack, caller: Caller) -> None:
    slack.fail("chat.postMessage", Fault(error="ratelimited", status=429, retry_after="7"), channel="C1")

    assert (await caller.call("chat.postMessage", channel="C2", text="hello"))["ok"]
    assert (await caller.call("chat.postMessage", channel="C1", text="hello"))["error"] == "ratelimited"
    assert caller.headers["retry-after"] == "7"
    assert (await caller.call("chat.postMessage", channel="C1", text="hello"))["ok"]


async def test_a_slow_reply_comes_after_what_it_reports(slack: FakeSlack, caller: Caller) -> None:
    slack.fail("chat.postMessage", Fault(is_done=True, seconds=0.2))
    begun = time.monotonic()

    assert (await caller.call("chat.postMessage", channel="C1", text="hello"))["ok"]

    assert time.monotonic() - begun >= 0.2


# Responses to presses.


async def test_a_response_url_takes_five_responses(slack: FakeSlack, caller: Caller) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="hello", blocks=card())
    url = slack.issue_response_url("T1:U1", "C1", posted["ts"])

    for _ in range(5):
        assert (await caller.respond(url, text="hi", response_type="ephemeral"))["ok"]

    assert (await caller.respond(url, text="hi"))["error"] == "used_url"
    assert caller.headers["status"] == "404"
    assert [(reply.user, reply.response_url) for reply in slack.replies] == [("T1:U1", url)] * 5


async def test_a_response_url_lasts_half_an_hour(slack: FakeSlack, caller: Caller, clock: Clock) -> None:
    url = slack.issue_response_url("T1:U1", "C1", "1.2")
    clock.now += 30 * 60
    assert (await caller.respond(url, text="hi"))["ok"]

    clock.now += 1

    assert (await caller.respond(url, text="hi"))["error"] == "expired_url"
    assert (await caller.respond(url + "x", text="hi"))["error"] == "invalid_url"


async def test_a_response_replaces_the_message_or_deletes_it(slack: FakeSlack, caller: Caller) -> None:
    posted = await caller.call("chat.postMessage", channel="C1", text="hello", blocks=card())
    url = slack.issue_response_url("T1:U1", "C1", posted["ts"])

    await caller.respond(url, text="all see this", response_type="in_channel")
    await caller.respond(url, text="changed", replace_original=True)
    assert [(each.text, each.buttons) for each in slack.messages()] == [("changed", ()), ("all see this", ())]
    await caller.respond(url, delete_original=True)

    assert [each.text for each in slack.messages()] == ["all see this"]
    assert slack.responses[1] == {"text": "changed", "replace_original": True}


async def test_a_response_that_no_message_can_be_costs_nothing(slack: FakeSlack, caller: Caller) -> None:
    url = slack.issue_response_url("T1:U1", "C1", "1.2")

    for _ in range(6):
        assert (await caller.respond(url, text="hi", blocks=card(26)))["error"] == "invalid_blocks"

    assert (await caller.respond(url, text="hi"))["ok"]


# Whom it serves.


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 403), ("127.0.0.1.evil.example:80", 403), ("localhost:1", 200)]
)
async def test_a_foreign_host_is_refused(slack: FakeSlack, host: str, status: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{slack.url}auth.test", headers={"Host": host}) as reply,
    ):
        assert reply.status == status


def test_a_signing_secret_is_not_guessed_and_not_shown() -> None:
    first, second = (acme_and_others().apps["A1"] for _ in range(2))

    assert first.signing_secret != second.signing_secret
    assert first.signing_secret not in repr(replace(first))
