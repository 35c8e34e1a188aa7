"""What a bridge makes of a click, between a platform and a real store. The fake is the platform alone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from pendingctl import (
    Click,
    PendingStore,
    Question,
    ReplyKind,
    Scope,
    Shows,
    State,
    open_pool,
)
from pendingctl.errors import DatabaseUnreachable
from pendingctl.model import Claim, Refusal
from tests.deliveries import until_state
from tests.pods import QUESTION, SCOPE, Pod, failing


@pytest.fixture
def pod(store: PendingStore) -> Pod:
    return Pod(store)


# Clicking.


async def test_the_winning_click_is_answered_handed_over_and_shown(pod: Pod) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")

    reply = await pod.bridge.click(
        Click(
            question_id="q",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key="key",
            value="yes",
            ask_number=pod.platform.cards[0].ask_number,
        )
    )
    await pod.bridge.close()

    assert (reply.kind, reply.text) == (ReplyKind.ANSWERED, "You answered: yes")
    (answer,) = pod.answers
    assert (answer.value, answer.user_id, answer.conversation_id) == ("yes", "U1", "C1")
    assert (answer.question_id, answer.payload) == ("q", QUESTION.payload())
    assert answer.ask_number == pod.platform.cards[0].ask_number
    ((connection_id, handle, card),) = pod.platform.edits
    assert (connection_id, handle, card.shows, card.options) == ("slack", "slack-1", Shows.ANSWERED, ())
    assert pod.platform.shown[0].startswith("Deploy?\nAnswered by U1: yes (20")


@pytest.mark.law(7, 11)
async def test_a_press_of_an_option_is_answered_handed_over_and_shown_by_its_text(pod: Pod) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")
    pressed = Click(
        question_id="q",
        organization_id="acme",
        connection_id="slack",
        user_id="U1",
        delivery_key="key",
        ask_number=pod.platform.cards[0].ask_number,
        option=1,
    )

    refused = await pod.bridge.click(replace(pressed, option=2))
    replies = [await pod.bridge.click(pressed) for _ in range(2)]
    await pod.bridge.close()

    assert (refused.kind, refused.said.options) == (ReplyKind.INVALID_ANSWER, ("yes", "no"))
    assert [reply.text for reply in replies] == ["You answered: no"] * 2
    assert [answer.value for answer in pod.answers] == ["no"]
    assert pod.platform.shown[0].startswith("Deploy?\nAnswered by U1: no (20")


async def test_any_pod_takes_the_click(pod: Pod, store: PendingStore) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()
    other = Pod(store)

    assert await other.click() is ReplyKind.ANSWERED
    await other.bridge.close()

    assert [answer.conversation_id for answer in other.answers] == ["C1"]
    assert [handle for _, handle, _ in other.platform.edits] == ["slack-1"]
    assert other.platform.shown[0].startswith("Deploy?\nAnswered by U1: yes (20")


@pytest.mark.law(7)
async def test_every_loser_learns_why(pod: Pod) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")
    assert await pod.click(user="U2") is ReplyKind.NOT_YOURS
    await pod.click("first", value="no")

    reply = await pod.bridge.click(
        Click(
            question_id="q",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key="second",
            value="yes",
        )
    )
    unknown = await pod.bridge.click(
        Click(
            question_id="nowhere",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key="k",
            value="yes",
        )
    )

    assert reply.kind is ReplyKind.ALREADY_ANSWERED
    assert reply.text.startswith("Already answered by U1: no (20")
    assert unknown.kind is ReplyKind.UNKNOWN_OR_EXPIRED
    assert await pod.click(user="U2") is ReplyKind.NOT_YOURS


@pytest.mark.law(1)
async def test_of_many_clicks_on_many_pods_one_is_handed_over(store: PendingStore) -> None:
    pods = [Pod(store) for _ in range(5)]
    await pods[0].bridge.ask(QUESTION, event_id="e")

    replies = await asyncio.gather(*(pod.click(f"key-{number}") for number, pod in enumerate(pods)))
    await asyncio.gather(*(pod.bridge.close() for pod in pods))

    assert sorted(replies) == [ReplyKind.ALREADY_ANSWERED] * 4 + [ReplyKind.ANSWERED]
    assert len([answer for pod in pods for answer in pod.answers]) == 1


@pytest.mark.law(7)
async def test_the_same_press_again_is_answered_and_not_handed_over_again(pod: Pod) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")

    assert [await pod.click("press"), await pod.click("press")] == [ReplyKind.ANSWERED] * 2
    await pod.bridge.close()

    assert len(pod.answers) == 1


@pytest.mark.law(5)
async def test_a_pod_looks_before_it_claims(pod: Pod, store: PendingStore) -> None:
    await store.put("q", SCOPE, QUESTION.payload())
    pod.bridge.unregister("acme", "slack")

    assert await pod.click() is ReplyKind.CANNOT_SERVE

    row = await store.inspection.get("q")
    assert row is not None
    assert row.state is State.PENDING
    assert await Pod(store).click() is ReplyKind.ANSWERED


@pytest.mark.law(7)
async def test_a_late_click_of_an_older_card_is_refused(pod: Pod, store: PendingStore) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.click("first")
    await until_state(store, State.CLAIMED)
    await store.put("q", SCOPE, QUESTION.payload())

    late = await pod.bridge.click(
        Click(
            question_id="q",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key="late",
            value="yes",
            ask_number=pod.platform.cards[0].ask_number,
        )
    )

    assert late.kind is ReplyKind.ALREADY_ANSWERED
    assert late.text.startswith("Already answered by U1: yes (20")


@pytest.mark.law(6, 7)
async def test_a_slow_claim_is_answered_in_time_and_still_handed_over(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    async def take_a_while() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    pod = Pod(store, reply_within=timedelta(seconds=0.2))
    pod.before_answer = take_a_while
    await pod.bridge.ask(QUESTION, event_id="e")
    with psycopg.connect(dsn) as blocking:
        blocking.execute("select from pending_interactions where id = 'q' for update")
        async with asyncio.timeout(20):
            assert await pod.click("press") is ReplyKind.CANNOT_SERVE
        assert pod.answers == []
        closing = asyncio.create_task(pod.bridge.close())
        await asyncio.sleep(0)
    await closing

    assert [answer.value for answer in pod.answers] == ["yes"]
    assert connection.execute("select answer from pending_interactions").fetchone() == ("yes",)
    assert await Pod(store).click("press") is ReplyKind.ANSWERED


@pytest.mark.law(7)
async def test_a_database_that_is_gone_asks_to_try_again(caplog: pytest.LogCaptureFixture) -> None:
    class Gone(PendingStore):
        async def claim(
            self,
            click: Click,
            *,
            lease: timedelta | None = None,
            lease_token: UUID | None = None,
        ) -> Claim | Refusal:
            raise DatabaseUnreachable(
                f"no server for {click.question_id} within {lease}, asked by {pod!r} for {lease_token}"
            )

    async with open_pool("host=/nowhere", min_size=0) as pool:
        assert await Pod(Gone(pool), reply_within=timedelta(seconds=0.2)).click() is ReplyKind.CANNOT_SERVE
    assert "no server for q" in caplog.text


# The application's and the platform's errors.


@pytest.mark.law(6)
async def test_a_handler_that_fails_is_logged_and_the_card_is_still_edited(
    pod: Pod, store: PendingStore, caplog: pytest.LogCaptureFixture
) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")
    pod.before_answer = failing(RuntimeError("worker is down"))

    assert await pod.click() is ReplyKind.ANSWERED
    await pod.bridge.close()

    assert len(pod.platform.edits) == 1
    levels = [record.levelno for record in caplog.records if record.name.startswith("pendingctl.")]
    assert levels == [logging.WARNING]
    assert "worker is down" in caplog.text
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.delivery_error) == (State.UNDELIVERED, "RuntimeError: worker is down")


async def test_a_card_that_cannot_be_edited_keeps_nothing_up(pod: Pod, caplog: pytest.LogCaptureFixture) -> None:
    await pod.bridge.ask(QUESTION, event_id="e")
    pod.platform.before_edit = failing(TimeoutError())

    assert await pod.click() is ReplyKind.ANSWERED
    await pod.bridge.close()

    assert len(pod.answers) == 1
    assert "could not be edited" in caplog.text


async def test_the_reply_does_not_wait_for_the_handler(pod: Pod) -> None:
    release = asyncio.Event()

    async def wait() -> None:
        await release.wait()

    await pod.bridge.ask(QUESTION, event_id="e")
    pod.before_answer = wait

    assert await pod.click() is ReplyKind.ANSWERED
    assert pod.answers == []
    release.set()
    await pod.bridge.close()
    assert len(pod.answers) == 1


# What a pod remembers is bounded, and forgotten.


@pytest.mark.law(9)
async def test_a_reference_that_is_no_json_is_remembered_for_a_day(pod: Pod) -> None:
    class Message:
        """What a platform's own library might give back."""

    pod.platform.handle = Message()
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.ask(Question("q2", SCOPE, "?", ("yes",), "C1"), event_id="e2")

    assert await pod.click() is ReplyKind.ANSWERED
    pod.now = 24 * 3600 + 1.0
    await pod.bridge.click(
        Click(
            question_id="q2",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key="key",
            value="yes",
        )
    )
    await pod.bridge.close()

    assert [handle for _, handle, _ in pod.platform.edits] == [pod.platform.handle]


@pytest.mark.law(9)
async def test_unregistering_forgets_the_connections_own(pod: Pod) -> None:
    pod.platform.handle = object()
    pod.bridge.register("acme", "teams")
    teams = Question("q2", Scope("acme", "teams", "U1"), "?", ("yes",), "C1")
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.ask(teams, event_id="e")
    pod.bridge.unregister("acme", "slack")
    pod.bridge.register("acme", "slack")

    await pod.click()
    await pod.bridge.click(
        Click(
            question_id="q2",
            organization_id="acme",
            connection_id="teams",
            user_id="U1",
            delivery_key="key",
            value="yes",
        )
    )
    await pod.bridge.close()

    assert [connection for connection, _, _ in pod.platform.edits] == ["teams"]


@pytest.mark.law(5)
async def test_a_closed_bridge_serves_nothing(pod: Pod) -> None:
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")

    assert await pod.click() is ReplyKind.CANNOT_SERVE
