"""What Slack's errors and breaks mean for a card: surely not posted, unknown, gone, or the whole connection paused."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from pendingctl import CardGone, NotPosted
from pendingctl.demo.faults import Fault, Rate
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import SCOPES, Installation, acme_and_others
from pendingctl.platforms.slack import SlackPlatform, calls
from pendingctl.platforms.slack.errors import CARD_GONE, LIMITED, MENDABLE, PERMANENT, TOKEN_REFUSED, SlackFailed
from tests.deliveries import until

from .conftest import TOKENS
from .presses import SECRET
from .shown import messages
from .test_platform import ANSWERED, CARD, reminder

POST, EDIT = "chat.postMessage", "chat.update"


class Clock:
    """Time as a test lets it pass, beside the real one that goes on."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def platform(slack: FakeSlack, clock: Clock) -> AsyncIterator[SlackPlatform]:
    async with SlackPlatform(TOKENS, base_url=slack.url, clock=clock) as opened:
        yield opened


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What pendingctl has logged as an error."""
    ours = [record for record in caplog.records if record.name.startswith("pendingctl.")]
    return [record.getMessage() for record in ours if record.levelno == logging.ERROR]


async def refusal(platform: SlackPlatform) -> NotPosted:
    with pytest.raises(NotPosted) as refused:
        await platform.post_card("slack", CARD)
    return refused.value


@pytest.mark.parametrize("code", sorted(PERMANENT))
async def test_what_slack_would_refuse_again_is_given_up(platform: SlackPlatform, slack: FakeSlack, code: str) -> None:
    slack.fail(POST, Fault(error=code))

    error = await refusal(platform)

    assert (str(error), error.is_permanent) == (f"chat.postMessage was answered 200 {code}", True)
    assert not platform.is_paused("acme", "slack")


@pytest.mark.parametrize("code", sorted(MENDABLE))
async def test_what_somebody_can_mend_is_tried_again(platform: SlackPlatform, slack: FakeSlack, code: str) -> None:
    slack.fail(POST, Fault(error=code))

    error = await refusal(platform)

    assert (error.is_permanent, error.retry_after) == (False, None)
    assert await platform.post_card("slack", CARD)


async def test_a_refusal_says_which_block_is_wrong(platform: SlackPlatform, slack: FakeSlack) -> None:
    slack.fail(POST, Fault(error="invalid_blocks", details=("[ERROR] must be\nless than 3001 characters", "x" * 9_000)))

    said = str(await refusal(platform))

    assert said.startswith(
        "chat.postMessage was answered 200 invalid_blocks; [ERROR] must be\\nless than 3001 characters; xx"
    )
    assert len(said) < 400


@pytest.mark.parametrize(
    "fault",
    [
        Fault(error="fatal_error"),
        Fault(error="internal_error", is_done=True, status=500),
        Fault(error="service_unavailable", status=503),
        Fault(error="channel_not_found", status=500),
        Fault(error="an_error_of_tomorrow"),
        Fault(status=500, body="<html>down</html>"),
        Fault(status=200, body="<html>welcome</html>"),
        Fault(status=302, body=""),
        Fault(is_done=True, status=200, body=""),
        Fault(status=200, body="ok", content_type="text/plain"),
        Fault(status=200, body="{", content_type="application/json"),
        Fault(status=200, body="[]", content_type="application/json"),
        Fault(status=200, body='"ok"', content_type="application/json"),
        Fault(status=200, body='{"ok": true}', content_type="application/json"),
        Fault(status=200, body='{"ok": true, "channel": 7, "ts": 7}', content_type="application/json"),
        Fault(status=200, body='{"ok": false, "error": ["channel_not_found"]}', content_type="application/json"),
        Fault(hangs_up=True),
        Fault(is_done=True, hangs_up=True),
        Fault(is_done=True, is_silent=True),
    ],
    ids=str,
)
async def test_the_rest_is_unknown_and_not_repeated(
    platform: SlackPlatform, slack: FakeSlack, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault.is_silent:
        monkeypatch.setattr(calls, "REPLY_SECONDS", 1.0)
    slack.fail(POST, fault)

    with pytest.raises(SlackFailed) as failed:
        await platform.post_card("slack", CARD)

    assert "\n" not in str(failed.value)
    assert "xoxb" not in str(failed.value)
    assert len(slack.called(POST)) == 1
    assert len(messages(slack)) == fault.is_done


async def test_a_slack_that_cannot_be_reached_has_posted_nothing() -> None:
    async with SlackPlatform(TOKENS, base_url="http://127.0.0.1:9/api/") as platform:
        error = await refusal(platform)

    assert str(error).startswith("Slack cannot be reached: ClientConnectorError")
    assert not error.is_permanent


# Tokens that are refused.


@pytest.mark.parametrize("code", sorted(TOKEN_REFUSED))
async def test_a_refused_token_pauses_its_connection_alone(
    platform: SlackPlatform, slack: FakeSlack, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", error=code)

    first, second = await refusal(platform), await refusal(platform)

    assert (first.is_permanent, second.is_permanent) == (False, False)
    assert first.retry_after == timedelta(minutes=1)
    assert platform.is_paused("acme", "slack")
    assert len(slack.called(POST)) == 1
    (logged,) = errors(caplog)
    assert (
        f"Slack refuses the token of connection 'slack' of 'acme': chat.postMessage was answered 200 {code}" in logged
    )
    assert not platform.is_paused("globex", "slack")
    assert await platform.post_card("slack", replace(CARD, organization_id="globex"))


async def test_a_pause_ends_and_doubles(platform: SlackPlatform, slack: FakeSlack, clock: Clock) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", error="token_revoked")
    pauses = []
    for _ in range(9):
        pause = (await refusal(platform)).retry_after
        assert pause is not None
        pauses.append(pause // timedelta(minutes=1))
        clock.passed += pause.total_seconds()
        assert not platform.is_paused("acme", "slack")

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    slack.installations["xoxb-acme"] = Installation("T1", "B1")
    assert await platform.post_card("slack", CARD)
    slack.installations["xoxb-acme"] = Installation("T1", "B1", error="token_revoked")
    assert (await refusal(platform)).retry_after == timedelta(minutes=1)


async def test_cards_that_fail_together_lengthen_a_pause_once(
    platform: SlackPlatform, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", error="invalid_auth")

    await asyncio.gather(*(refusal(platform) for _ in range(5)))

    assert len(errors(caplog)) == 1
    later = (await refusal(platform)).retry_after
    assert later is not None
    assert later <= timedelta(minutes=1)


async def test_a_missing_scope_pauses_what_needs_it(platform: SlackPlatform, slack: FakeSlack) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", scopes=SCOPES - {"im:write"})

    with pytest.raises(NotPosted, match="missing_scope; needed: im:write") as refused:
        await platform.post_card("slack", replace(CARD, conversation_id="U5"))

    assert refused.value.retry_after == timedelta(minutes=1)
    assert not platform.is_paused("acme", "slack")
    assert await platform.post_card("slack", CARD)
    slack.installations["xoxb-acme"] = Installation("T1", "B1", scopes=SCOPES - {"chat:write"})
    assert "needed: chat:write" in str(await refusal(platform))
    assert platform.is_paused("acme", "slack")


@pytest.mark.parametrize("fault", [Fault(error="fatal_error"), Fault(hangs_up=True), Fault(is_done=True, body="")])
async def test_direct_messages_that_could_not_be_opened_hold_no_card(
    platform: SlackPlatform, slack: FakeSlack, fault: Fault
) -> None:
    slack.fail("conversations.open", fault)
    card = replace(CARD, conversation_id="U5")

    with pytest.raises(NotPosted):
        await platform.post_card("slack", card)

    assert await platform.post_card("slack", card)


# Rates.


@pytest.mark.parametrize("code", sorted(LIMITED))
async def test_a_short_limit_is_waited_out(platform: SlackPlatform, slack: FakeSlack, code: str) -> None:
    slack.fail(POST, Fault(error=code, status=429, retry_after="1"))
    began = time.monotonic()

    assert await platform.post_card("slack", CARD)

    assert time.monotonic() - began >= 1
    assert len(slack.called(POST)) == 2


async def test_one_card_of_a_limited_channel_waits_and_the_others_leave_their_turn(
    platform: SlackPlatform, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LONGEST_WAIT", timedelta(minutes=2))
    slack.fail(POST, Fault(error="ratelimited", status=429, retry_after="60"))
    waiting = asyncio.create_task(platform.post_card("slack", CARD))
    # It has heard of the limit, which is later than that Slack has heard of it.
    await until(lambda: bool(platform._calls._rates._waiting))

    with pytest.raises(NotPosted) as refused:
        await platform.post_card("slack", replace(CARD, question_id="r"))

    assert refused.value.retry_after is not None
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_channel_with_a_rate_takes_one_card_after_the_other() -> None:
    # Half a second passes from one call to the next.
    times = itertools.count(0.0, 0.5)
    async with (
        FakeSlack(acme_and_others(SECRET), clock=lambda: next(times)) as slack,
        SlackPlatform(TOKENS, base_url=slack.url) as platform,
    ):
        slack.limit(POST, Rate(per_second=1, burst=1))
        for id in ("q", "r"):
            await platform.post_card("slack", replace(CARD, question_id=id))

    assert (len(slack.messages()), len(slack.called(POST))) == (2, 3)


async def test_a_long_limit_is_left_to_a_later_attempt(platform: SlackPlatform, slack: FakeSlack, clock: Clock) -> None:
    slack.fail(POST, Fault(error="ratelimited", status=429, retry_after="60"))

    first, second = await refusal(platform), await refusal(platform)

    assert (first.retry_after, first.is_permanent) == (timedelta(seconds=60), False)
    assert second.retry_after is not None
    assert timedelta(seconds=55) < second.retry_after <= timedelta(seconds=60)
    assert len(slack.called(POST)) == 1
    clock.passed += 61
    assert await platform.post_card("slack", CARD)


@pytest.mark.parametrize("content_type", ["text/html", "text/plain"])
async def test_a_limit_may_come_without_json(platform: SlackPlatform, slack: FakeSlack, content_type: str) -> None:
    slack.fail(POST, Fault(status=429, retry_after="60", body="slow down", content_type=content_type))

    assert (await refusal(platform)).retry_after == timedelta(seconds=60)


async def test_the_limit_of_one_channel_holds_up_no_other(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)
    slack.fail(POST, Fault(error="ratelimited", status=429, retry_after="60"), channel="C1")
    await refusal(platform)

    assert await platform.post_card("slack", replace(CARD, conversation_id="C2"))
    assert await platform.post_card("slack", replace(CARD, organization_id="globex"))
    await platform.edit_card("slack", handle, ANSWERED)


@pytest.mark.parametrize("said", [None, "", "soon", "-1", "1e9", "٣", "9" * 30])
async def test_a_limit_of_unreadable_length_is_short(
    platform: SlackPlatform, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    monkeypatch.setattr(calls, "LONGEST_WAIT", timedelta(seconds=1))
    slack.fail(POST, Fault(error="ratelimited", status=429, retry_after=said))

    assert (await refusal(platform)).retry_after == timedelta(seconds=5)


async def test_a_limit_without_end_ends_within_an_hour(platform: SlackPlatform, slack: FakeSlack, clock: Clock) -> None:
    slack.fail(POST, Fault(error="ratelimited", status=429, retry_after="999999999"))
    await refusal(platform)
    clock.passed += 3_601

    assert await platform.post_card("slack", CARD)


# Edits and reminders.


@pytest.mark.parametrize("code", sorted(CARD_GONE))
async def test_a_card_that_cannot_be_edited_any_more_is_gone(
    platform: SlackPlatform, slack: FakeSlack, code: str
) -> None:
    handle = await platform.post_card("slack", CARD)
    slack.fail(EDIT, Fault(error=code))

    with pytest.raises(CardGone, match=code):
        await platform.edit_card("slack", handle, ANSWERED)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(error="update_failed"),
        Fault(error="external_channel_migrating"),
        Fault(error="fatal_error"),
        Fault(error="invalid_blocks"),
        Fault(error="ratelimited", status=429, retry_after="60"),
        Fault(error="token_revoked"),
        Fault(status=500, body=""),
        Fault(hangs_up=True),
    ],
    ids=str,
)
async def test_any_other_edit_is_tried_again(platform: SlackPlatform, slack: FakeSlack, fault: Fault) -> None:
    handle = await platform.post_card("slack", CARD)
    slack.fail(EDIT, fault)

    with pytest.raises(SlackFailed):
        await platform.edit_card("slack", handle, ANSWERED)


async def test_a_reminder_that_was_not_posted_says_so(platform: SlackPlatform, slack: FakeSlack) -> None:
    handle = await platform.post_card("slack", CARD)
    slack.fail(POST, Fault(error="is_archived"), Fault(hangs_up=True))

    with pytest.raises(NotPosted, match="is_archived"):
        await platform.post_reminder("slack", handle, reminder())
    with pytest.raises(SlackFailed):
        await platform.post_reminder("slack", handle, reminder())
    with pytest.raises(NotPosted, match="is nobody in Slack"):
        await platform.post_reminder("slack", None, reminder("", user_id="alice"))
