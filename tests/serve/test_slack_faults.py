"""Slack limits, fails, is slow, hangs up and refuses: each card is there once, and each press is replied to."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import pytest

from pendingctl.demo.faults import Fault, Rate
from pendingctl.demo.messages import Message
from pendingctl.demo.presses import Pressed, Seen
from pendingctl.demo.slack_server import RESPONSE_URL
from pendingctl.demo.workspaces import Channel
from pendingctl.inspected import Unposted
from pendingctl.trail import Step
from tests.processes import printed
from tests.sse.event_source import until

from .conftest import Deployment, cards_of
from .pods import OTHER_TOKEN, ServedPod

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="module")]

LIMITED = Fault(error="ratelimited", status=429, retry_after="1")


async def answered(shared: Deployment, id: str, card: Message) -> Pressed:
    """Press a card's first button on B, and see the press won."""
    pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)
    assert pressed.seen is Seen.ACKNOWLEDGED
    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    await shared.delivered_once(id, "yes", channel=card.channel)
    return pressed


POSTS = {
    "limited": LIMITED,
    "fails": Fault(status=500, body="Internal Server Error"),
    "fails after the post": Fault(is_done=True, status=503, body="no JSON", content_type="text/plain"),
    "says internal_error": Fault(error="internal_error"),
    "says fatal_error after the post": Fault(is_done=True, status=200, body='{"ok": false, "error": "fatal_error"}'),
    "hangs up before the post": Fault(hangs_up=True),
    "hangs up after the post": Fault(is_done=True, hangs_up=True),
    "is slow": Fault(is_done=True, seconds=1.5),
}


@pytest.mark.law(4, 13)
async def test_a_card_is_there_once_however_slack_fails_at_its_post(shared: Deployment) -> None:
    async def posted_once(kind: str, channel: str) -> None:
        id = f"post {kind}"
        shared.slack.fail("chat.postMessage", POSTS[kind], channel=channel)
        asked = await shared.ask(shared.a, id, conversation_id=channel)
        assert asked.status_code == 201
        row = await shared.row(id, lambda row: row.posted_at is not None)
        (card,) = cards_of(shared.slack, id, channel)
        assert row.card == {"channel": channel, "ts": card.ts}
        await answered(shared, id, card)
        assert len(cards_of(shared.slack, id, channel)) == 1

    await _each(shared, POSTS, posted_once)


EDITS = {
    "limited": LIMITED,
    "fails": Fault(status=500, body="Internal Server Error"),
    "hangs up before the edit": Fault(hangs_up=True),
    "hangs up after the edit": Fault(is_done=True, hangs_up=True),
    "is slow": Fault(is_done=True, seconds=1.5),
}


async def test_a_card_loses_its_buttons_however_slack_fails_at_its_edit(shared: Deployment) -> None:
    async def edited(kind: str, channel: str) -> None:
        id = f"edit {kind}"
        card = await shared.shown(shared.a, id, conversation_id=channel, channel=channel)
        await shared.noted(id)
        shared.slack.fail("chat.update", EDITS[kind], channel=channel)
        pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)
        assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
        await shared.slack.until(lambda: any(each["ts"] == card.ts for each in shared.slack.called("chat.update")))
        if kind not in ("limited", "is slow"):
            # What became of it is unknown: the lease keeps the others from it for as long as it may be under way.
            late = await shared.slack.press("U1", card, "no", to=shared.a.slack_url, from_copy=card)
            assert (await shared.slack.reply_to(late)).text.startswith("Already answered by <@U1>: yes")
            await shared.end_leases(id)
        await shared.delivered_once(id, "yes", channel=channel)

    await _each(shared, EDITS, edited)


async def test_a_channel_s_rate_is_kept_and_all_cards_come(shared: Deployment) -> None:
    shared.slack.limit("chat.postMessage", Rate(per_second=2, burst=1))
    ids = [f"rate {number}" for number in range(3)]
    try:
        await asyncio.gather(*(shared.ask(shared.a, id, conversation_id="C1") for id in ids))
        for id in ids:
            await shared.row(id, lambda row: row.posted_at is not None)
    finally:
        shared.slack.limit("chat.postMessage", Rate(per_second=1000, burst=1000))
    assert [len(cards_of(shared.slack, id, "C1")) for id in ids] == [1, 1, 1]


NEVER = {"C404": "channel_not_found", "C2:1712345678.000100": "thread_not_found", "U404": "user_not_found"}


@pytest.mark.law(13)
async def test_what_can_never_be_posted_is_listed_with_slack_s_reason(shared: Deployment) -> None:
    for conversation_id in NEVER:
        user_id = "U404" if conversation_id == "U404" else "U1"
        await shared.ask(shared.a, f"never {conversation_id}", conversation_id=conversation_id, user_id=user_id)

    rows = [
        await shared.row(f"never {conversation_id}", lambda row: row.unposted is Unposted.GIVEN_UP)
        for conversation_id in NEVER
    ]

    assert [row.post_attempts for row in rows] == [1] * len(NEVER)
    listing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pendingctl", "list", "--card", "never-posted", "--output", "jsonl"),
        env={**os.environ, "PENDINGCTL_DSN": shared.dsn},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await printed(listing)
    reasons = {row["id"]: row["post_error"] for row in map(json.loads, output.splitlines())}
    for conversation_id, error in NEVER.items():
        assert error in reasons[f"never {conversation_id}"]


@pytest.mark.parametrize("error", ["message_not_found", "channel_not_found", "is_inactive"])
async def test_a_card_that_can_never_be_edited_is_left_alone(shared: Deployment, error: str) -> None:
    id = f"gone {error}"
    card = await shared.shown(shared.a, id, conversation_id="C7", channel="C7")
    await shared.noted(id)
    shared.slack.fail("chat.update", Fault(error=error), channel="C7")

    pressed = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)

    assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
    await shared.row(id, lambda row: row.delivered_at is not None and row.card_due_at is None)
    edits = [each for each in shared.slack.called("chat.update") if each["ts"] == card.ts]
    assert len(edits) == 1


@pytest.mark.law(7)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, body="no"),
        Fault(status=404, error="expired_url"),
        Fault(status=302, location="https://example.com/", body=""),
        Fault(hangs_up=True),
    ],
    ids=["500", "404", "redirects", "hangs up"],
)
async def test_where_the_response_url_fails_an_ephemeral_message_says_it(
    shared: Deployment, fault: Fault, request: pytest.FixtureRequest
) -> None:
    id = f"reply {request.node.callspec.id}"
    card = await shared.shown(shared.a, id)
    await shared.noted(id)
    before = len(shared.slack.called("chat.postEphemeral"))
    shared.slack.fail(RESPONSE_URL, fault, fault)

    won = await shared.slack.press("U1", card, "yes", to=shared.b.slack_url)
    assert (await shared.slack.reply_to(won)).text == "You answered: yes"
    refused = await shared.slack.press("U2", card, "no", to=shared.a.slack_url, from_copy=card)
    reply = await shared.slack.reply_to(refused)

    assert (reply.text, reply.user, reply.response_url) == ("This question is for somebody else.", "T1:U2", None)
    assert len(shared.slack.called("chat.postEphemeral")) == before + 2
    await shared.delivered_once(id, "yes")


@pytest.mark.law(7, 16)
async def test_a_reply_that_slack_is_slow_to_take_keeps_no_press_waiting(shared: Deployment) -> None:
    first, second = [await shared.shown(shared.a, f"slow reply {number}") for number in range(2)]
    seconds = 8
    shared.slack.fail(RESPONSE_URL, Fault(is_done=True, seconds=seconds))

    slow = await shared.slack.press("U1", first, "yes", to=shared.b.slack_url)
    quick = await shared.slack.press("U1", second, "yes", to=shared.b.slack_url)

    assert (slow.seen, quick.seen) == (Seen.ACKNOWLEDGED, Seen.ACKNOWLEDGED)
    # While it takes the first reply.
    assert slow.seconds + quick.seconds < seconds
    assert [(await shared.slack.reply_to(each)).text for each in (slow, quick)] == ["You answered: yes"] * 2


@pytest.mark.law(13, 16)
async def test_a_refused_token_pauses_its_connection_alone_and_loses_nothing(shared: Deployment) -> None:
    token = "xoxb-globex"
    good = shared.slack.installations[token]
    shared.slack.installations[token] = replace(good, error="invalid_auth")
    asked = await shared.ask(
        shared.a, "paused", token=OTHER_TOKEN, user_id="U7", conversation_id="C9", text="Pay the bill?"
    )
    assert asked.status_code == 201
    row = await shared.row("paused", lambda row: row.post_error is not None)
    assert "invalid_auth" in (row.post_error or "")
    assert row.unposted is Unposted.TO_BE_POSTED

    # The other tenant's goes on meanwhile.
    card = await shared.shown(shared.a, "not paused")
    await answered(shared, "not paused", card)
    await until(lambda: bool(alerts_of(shared.a)))
    assert [line["level"] for line in alerts_of(shared.a)] == ["ERROR"]

    # Mended, and the pods restarted, as the alert says.
    shared.slack.installations[token] = good
    await shared.end_leases("paused")
    async with shared.further() as restarted:
        card = await shared.card_of("paused", channel="C9")
        pressed = await shared.slack.press("U7", card, "yes", to=restarted.slack_url)
        assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
        history = await shared.delivered_once("paused", "yes", by="U7", channel="C9")
    assert [entry.step for entry in history.trail.entries].count(Step.POSTED) >= 1
    assert len(cards_of(shared.slack, "paused", "C9")) == 1


def alerts_of(pod: ServedPod) -> list[dict[str, object]]:
    return [line for line in pod.lines if "Slack refuses the token" in str(line["message"])]


async def _each(shared: Deployment, faults: Mapping[str, Fault], case: Callable[[str, str], Awaitable[None]]) -> None:
    """Try each fault at once, in a channel of its own."""
    async with asyncio.TaskGroup() as group:
        for number, kind in enumerate(faults):
            channel = f"C7{number}"
            if channel not in shared.slack.channels:
                shared.slack.known.add_channel(Channel(channel, kind, frozenset({"T1"})))
            group.create_task(_named(case(kind, channel), kind))


async def _named(case: Awaitable[None], kind: str) -> None:
    try:
        await case
    except BaseException as error:
        error.add_note(f"where Slack {kind}")
        raise
