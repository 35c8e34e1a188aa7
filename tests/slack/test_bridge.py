"""Questions asked on one pod, shown in Slack, answered on another: between a real store and a strict Slack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Answer, AskOutcome, Click, InteractionBridge, PendingStore, Question, Reply, ReplyKind, Scope
from pendingctl.demo.faults import Fault
from pendingctl.demo.messages import Message
from pendingctl.demo.presses import SIGNATURE, TIMESTAMP
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import Installation
from pendingctl.errors import InvalidInput
from pendingctl.platforms.slack import Press, SlackPlatform, is_signed, parse_press
from pendingctl.postgres.connections import Pool
from tests.cards_to_post import due_at, let_time_pass, mute, never_posted
from tests.deliveries import until
from tests.posts import row

from .conftest import TOKENS
from .presses import SECRET
from .shown import messages
from .test_platform import buttons

SCOPE = Scope("acme", "slack", "U1")
QUESTION = Question("q", SCOPE, "Deploy?", ("yes", "no"), "C1")


class SlackPod:
    """A pod as a team writes it: its own endpoint checks, reads, claims and replies."""

    def __init__(self, store: PendingStore, slack: FakeSlack) -> None:
        self.answers: list[Answer] = []
        self._slack = slack
        self.platform = SlackPlatform(TOKENS, base_url=slack.url)
        self.bridge = InteractionBridge(store, self.platform, self._handle)
        self.bridge.register("acme", "slack")

    async def press(self, message: Message, index: int, user: str = "U1") -> Reply:
        sent = self._slack.delivery(user, message, f"pendingctl:{index}", from_copy=message)
        headers = {"timestamp": sent.headers[TIMESTAMP], "signature": sent.headers[SIGNATURE]}
        assert is_signed(sent.body, **headers, secrets=[SECRET.encode()], now=time.time())
        press = parse_press(sent.body)
        assert isinstance(press, Press)
        return await self.bridge.click(
            Click(
                question_id=press.question_id,
                organization_id="acme",
                connection_id="slack",
                user_id=press.user_of(["T1"]),
                delivery_key=press.delivery_key,
                ask_number=press.ask_number,
                option=press.option,
            )
        )

    async def _handle(self, answer: Answer) -> None:
        self.answers.append(answer)


@asynccontextmanager
async def pod(store: PendingStore, slack: FakeSlack) -> AsyncIterator[SlackPod]:
    """A pod that runs; what it has begun is done when the block ends."""
    opened = SlackPod(store, slack)
    async with opened.platform, opened.bridge:
        yield opened


@pytest.fixture
async def pod_a(store: PendingStore, slack: FakeSlack) -> AsyncIterator[SlackPod]:
    async with pod(store, slack) as opened:
        yield opened


async def test_asked_on_one_pod_and_answered_on_another(
    pod_a: SlackPod, store: PendingStore, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    assert await pod_a.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
    (card,) = slack.messages()
    await until(lambda: row(connection, "card") == ({"channel": "C1", "ts": card.ts},))

    async with pod(store, slack) as pod_b:
        assert (await pod_b.press(card, 1, "U2")).kind is ReplyKind.NOT_YOURS
        reply = await pod_b.press(card, 0)
        await until(lambda: "edited" in messages(slack)[0])
        second = await pod_a.press(card, 1)

    assert (reply.kind, reply.text) == (ReplyKind.ANSWERED, "You answered: yes")
    assert second.kind is ReplyKind.ALREADY_ANSWERED
    assert second.text.startswith("Already answered by U1: yes (")
    (message,) = messages(slack)
    assert buttons(message) == []
    assert "Answered by <@U1>: yes (<!date^" in message["text"]
    assert [answer.value for answer in pod_b.answers] == ["yes"]
    assert len(messages(slack)) == 1


async def test_a_card_whose_post_broke_off_is_found_and_not_doubled(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    slack.fail("chat.postMessage", Fault(is_done=True, hangs_up=True))

    assert await pod_a.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
    let_time_pass(connection)
    (card,) = slack.messages()
    await until(lambda: row(connection, "card") == ({"channel": "C1", "ts": card.ts},))
    assert (await pod_a.press(card, 0)).kind is ReplyKind.ANSWERED
    await until(lambda: "edited" in messages(slack)[0])

    (message,) = messages(slack)
    assert buttons(message) == []
    assert len(messages(slack)) == 1


async def test_a_card_that_was_lost_on_the_way_is_posted_after_a_search(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    slack.fail("chat.postMessage", Fault(hangs_up=True))

    assert await pod_a.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
    let_time_pass(connection)
    await until(lambda: len(messages(slack)) == 1)

    assert len(slack.called("conversations.history")) == 1


async def test_the_card_of_a_pod_that_died_is_found_by_another(
    pool: Pool, store: PendingStore, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    dead = SlackPod(mute(pool), slack)
    async with dead.platform:
        await dead.bridge.ask(QUESTION, event_id="e")
        await dead.bridge.close(within=timedelta())
    let_time_pass(connection)

    async with pod(store, slack):
        await until(lambda: row(connection, "card is not null") == (True,))

    assert len(messages(slack)) == 1


async def test_reminder_and_escalation_stand_in_the_thread_of_the_card(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    reminded = replace(
        QUESTION,
        expires_in=timedelta(days=1),
        remind_every=timedelta(minutes=1),
        remind_at_most=1,
        escalate_after=timedelta(hours=1),
        escalate_to="U2",
    )
    await pod_a.bridge.ask(reminded, event_id="e")
    await until(lambda: row(connection, "card is not null") == (True,))
    let_time_pass(connection)
    await until(lambda: len(messages(slack)) == 2)
    connection.execute("update pending_interactions set escalate_at = now(), post_due_at = now()")
    await until(lambda: len(messages(slack)) == 3)

    card, reminder, escalation = messages(slack)
    assert reminder["thread_ts"] == escalation["thread_ts"] == card["ts"]
    assert reminder["text"].startswith("<@U1>, this question waits for your answer until <!date^")
    assert escalation["text"].startswith("<@U2>, <@U1> has not answered; please answer instead by <!date^")
    assert (await pod_a.press(slack.messages()[0], 0, "U2")).kind is ReplyKind.ANSWERED


async def test_a_question_in_a_thread_stays_there(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    await pod_a.bridge.ask(QUESTION, event_id="e")
    (first,) = messages(slack)
    in_thread = replace(QUESTION, id="r", conversation_id=f"C1:{first['ts']}")

    assert await pod_a.bridge.ask(in_thread, event_id="f") is AskOutcome.POSTED

    assert messages(slack)[1]["thread_ts"] == first["ts"]
    assert row(connection, "entry_payload -> 'question' ->> 'conversation_id'", "r") == (f"C1:{first['ts']}",)


async def test_a_question_with_more_options_than_fit_is_refused_when_it_is_asked(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    with pytest.raises(InvalidInput, match="has 26 options, and a card in Slack holds 25"):
        await pod_a.bridge.ask(replace(QUESTION, options=tuple(map(str, range(26)))), event_id="e")

    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)
    assert slack.calls == []


@pytest.mark.law(11)
async def test_a_button_answers_what_its_own_card_shows(pod_a: SlackPod, slack: FakeSlack) -> None:
    await pod_a.bridge.ask(QUESTION, event_id="e")
    await pod_a.bridge.ask(replace(QUESTION, options=QUESTION.options[::-1]), event_id="f")
    first, second = slack.messages()

    late, won = await pod_a.press(first, 0), await pod_a.press(second, 0)
    await pod_a.bridge.close()

    assert late.kind is ReplyKind.SUPERSEDED
    assert won.text == f"You answered: {QUESTION.options[-1]}"
    assert [answer.value for answer in pod_a.answers] == [QUESTION.options[-1]]


async def test_one_that_an_application_stored_itself_waits_for_a_person(
    pod_a: SlackPod, store: PendingStore, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    unfit = replace(QUESTION, conversation_id="#general")
    await store.put("q", SCOPE, unfit.payload(), show=True)

    await until(lambda: due_at(connection) == float("inf"))

    assert await never_posted(store) == ["q"]
    (error,) = row(connection, "post_error")
    assert "the conversation '#general' is none of Slack" in str(error)
    assert slack.calls == []
    assert pod_a.answers == []


async def test_a_revoked_token_keeps_the_rows_for_a_pod_that_has_the_new_one(
    store: PendingStore, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    slack.installations["xoxb-acme"] = Installation("T1", "B1", error="token_revoked")
    async with pod(store, slack) as old:
        assert await old.bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
        await store.put("r", SCOPE, QUESTION.payload(), show=True)
        assert old.platform.is_paused("acme", "slack")
        assert await old.bridge.ask(replace(QUESTION, id="s"), event_id="f") is AskOutcome.NOT_POSTED
    assert len(slack.called("chat.postMessage")) == 1

    slack.installations["xoxb-acme"] = Installation("T1", "B1")
    for id in ("q", "s"):
        let_time_pass(connection, id)
    async with pod(store, slack):
        await until(lambda: len(messages(slack)) == 3)


async def test_a_deleted_card_ends_the_duty_to_edit_it(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    await pod_a.bridge.ask(QUESTION, event_id="e")
    # Or a look that finds the card due may edit it as well.
    await until(lambda: row(connection, "card is not null") == (True,))
    (card,) = slack.messages()
    slack.channels["C1"].messages.clear()

    assert (await pod_a.press(card, 0)).kind is ReplyKind.ANSWERED
    await pod_a.bridge.close()

    assert row(connection, "card_due_at") == (None,)
    assert len(slack.called("chat.update")) == 1


async def test_a_withdrawn_question_loses_its_buttons(
    pod_a: SlackPod, store: PendingStore, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    await pod_a.bridge.ask(QUESTION, event_id="e")
    await until(lambda: row(connection, "card is not null") == (True,))
    (message,) = messages(slack)

    await store.withdraw("q", SCOPE)
    await until(lambda: "edited" in messages(slack)[0])

    (message,) = messages(slack)
    assert buttons(message) == []
    assert "Withdrawn (<!date^" in message["text"]


async def test_a_channel_that_is_limited_keeps_no_other_waiting(
    pod_a: SlackPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    busy = Fault(error="ratelimited", status=429, retry_after="120")
    slack.fail("chat.postMessage", *[busy] * 3, channel="C1")

    outcomes = await asyncio.gather(
        *(pod_a.bridge.ask(replace(QUESTION, id=f"q{n}"), event_id=f"{n}") for n in range(3)),
        pod_a.bridge.ask(replace(QUESTION, id="other", conversation_id="C2"), event_id="e"),
    )

    assert outcomes == [AskOutcome.NOT_POSTED] * 3 + [AskOutcome.POSTED]
    (wait,) = row(connection, "extract(epoch from post_due_at - now())", "q0")
    assert 100 < float(str(wait)) <= 120
