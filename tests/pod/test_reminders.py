"""Reminders and escalations: at most once in the cluster, in the card's thread, and true to whoever may answer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore, Question, Reminder, ReplyKind, Scope, Shows, Wording
from pendingctl.platforms import MessageHandle
from pendingctl.pod import posts
from tests.cards_to_post import due_at, let_time_pass, noted_card
from tests.deliveries import until
from tests.faults.moments import came_true
from tests.pods import QUESTION, Pod, RecordingPlatform, failing, hang, nothing
from tests.questions import click

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
REMINDING = replace(QUESTION, remind_every=MINUTE, remind_at_most=3)
ESCALATING = replace(QUESTION, escalate_after=HOUR, escalate_to="U2")


async def shown(store: PendingStore, question: Question = REMINDING) -> RecordingPlatform:
    """A question whose card was posted by a pod that is gone, on this platform."""
    pod = Pod(store)
    await pod.bridge.ask(question, event_id="e")
    await pod.bridge.close()
    return pod.platform


def reminders_left(connection: psycopg.Connection) -> int | None:
    row = connection.execute("select reminders_left from pending_interactions").fetchone()
    assert row is not None
    return None if row[0] is None else int(row[0])


def let_the_escalation_come(connection: psycopg.Connection) -> None:
    connection.execute("update pending_interactions set escalate_at = now() - interval '1 second', post_due_at = now()")


async def posted_reminders(platform: RecordingPlatform, count: int) -> bool:
    return await came_true(lambda: len(platform.reminders) == count)


async def test_a_reminder_comes_in_its_time_into_the_thread_of_the_card(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = await shown(store, replace(REMINDING, expires_in=2 * HOUR))
    row = connection.execute(
        "select post_due_at - posted_at, expires_at from pending_interactions where posted_at is not null"
    ).fetchone()
    assert row is not None
    assert row[0] == MINUTE
    async with Pod(store, platform=platform).bridge:
        let_time_pass(connection)
        assert await posted_reminders(platform, 1)

    ((connection_id, handle, reminder),) = platform.reminders
    assert (connection_id, handle, reminder.conversation_id) == ("slack", "slack-1", "C1")
    assert (reminder.user_id, reminder.is_escalation) == ("U1", False)
    assert (reminder.said.to, reminder.said.at, reminder.said.question) == ("U1", row[1], "Deploy?")
    assert reminder.said.text().startswith("U1, this question waits for your answer until 20")


async def test_a_reminder_of_a_card_whose_reference_is_no_json_finds_it_in_the_memory_of_its_pod(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    pod.platform.handle = object()
    async with pod.bridge:
        await pod.bridge.ask(REMINDING, event_id="e")
        await until(lambda: connection.execute("select posted_at from pending_interactions").fetchone() != (None,))
        let_time_pass(connection)
        assert await posted_reminders(pod.platform, 1)
    assert [handle for _, handle, _ in pod.platform.reminders] == [pod.platform.handle]


async def test_many_pods_remind_once(store: PendingStore, connection: psycopg.Connection) -> None:
    platform = await shown(store)
    pods = [Pod(store, platform=platform) for _ in range(6)]
    let_time_pass(connection)
    for pod in pods:
        pod.bridge._posts.catch_up()
    assert await posted_reminders(platform, 1)
    for pod in pods:
        await pod.bridge.close()
    assert len(platform.reminders) == 1
    assert reminders_left(connection) == 2


async def test_a_question_reminds_so_often_and_no_more(store: PendingStore, connection: psycopg.Connection) -> None:
    platform = await shown(store)
    pod = Pod(store, platform=platform)
    for count in (1, 2, 3):
        let_time_pass(connection)
        pod.bridge._posts.catch_up()
        assert await posted_reminders(platform, count)
        await until(lambda: pod.bridge._posts._due._task is not None and pod.bridge._posts._due._task.done())
    assert (due_at(connection), reminders_left(connection)) == (None, 0)
    await pod.bridge.close()


async def test_reminders_that_nobody_posted_in_time_become_one(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """No pod has run for an hour, in which twenty reminders were due."""
    platform = await shown(store, replace(REMINDING, remind_every=3 * MINUTE, remind_at_most=50))
    connection.execute("update pending_interactions set post_due_at = now() - interval '1 hour'")
    async with Pod(store, platform=platform).bridge:
        assert await posted_reminders(platform, 1)
        await asyncio.sleep(1.2)
    assert len(platform.reminders) == 1
    row = connection.execute("select post_due_at > now() + interval '2 minutes' from pending_interactions").fetchone()
    assert row == (True,)


@pytest.mark.parametrize("trouble", ["it fails", "it hangs"])
@pytest.mark.law(16)
async def test_a_reminder_that_may_have_been_posted_is_not_repeated(
    store: PendingStore,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    monkeypatch.setattr(posts, "POST_SECONDS", 0.1)
    platform = await shown(store)
    platform.before_reminder = failing(ConnectionResetError("lost")) if trouble == "it fails" else hang
    async with Pod(store, platform=platform).bridge:
        let_time_pass(connection)
        assert await came_true(lambda: "the reminder of question 'q' was not posted" in caplog.text)
        platform.before_reminder = nothing
        await asyncio.sleep(1.2)
        assert platform.reminders == []
        # The next one comes in its time.
        let_time_pass(connection)
        assert await posted_reminders(platform, 1)
    assert reminders_left(connection) == 1


async def test_a_reminder_of_a_pod_that_died_over_it_is_not_repeated(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = await shown(store)
    let_time_pass(connection)
    (leased,) = await store.leases.lease_posts(
        [("acme", "slack")], lease=timedelta(seconds=30), limit=5, most_attempts=20, most_doubts=2
    )
    assert leased.duty == "reminder"
    async with Pod(store, platform=platform).bridge:
        await asyncio.sleep(1.2)
    assert platform.reminders == []


async def test_a_question_that_was_not_shown_reminds_nobody(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """First its card is posted, and the interval counts from then."""
    await store.put("q", REMINDING.scope, REMINDING.payload(), show=True, **REMINDING.schedule())
    connection.execute("update pending_interactions set post_due_at = now() - interval '1 hour'")
    pod = Pod(store)
    async with pod.bridge:
        assert await came_true(lambda: noted_card(connection) is not None)
        await asyncio.sleep(1.2)
    assert (len(pod.platform.cards), pod.platform.reminders) == (1, [])


@pytest.mark.parametrize("how", [Shows.ANSWERED, Shows.WITHDRAWN, Shows.EXPIRED])
async def test_a_question_that_has_ended_reminds_nobody_and_is_not_escalated(
    store: PendingStore, connection: psycopg.Connection, how: Shows
) -> None:
    platform = await shown(store, replace(REMINDING, escalate_after=HOUR, escalate_to="U2"))
    if how is Shows.ANSWERED:
        await store.claim(click(), lease=timedelta())
    elif how is Shows.WITHDRAWN:
        await store.withdraw("q", QUESTION.scope)
    else:
        connection.execute("update pending_interactions set expires_at = now()")
    let_the_escalation_come(connection)
    async with Pod(store, platform=platform).bridge:
        assert await came_true(lambda: bool(platform.edits))
        await asyncio.sleep(1.2)
    assert platform.reminders == []
    assert [card.shows for _, _, card in platform.edits] == [how]


async def test_a_question_that_is_asked_anew_reminds_as_the_new_one_says(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = await shown(store)
    pod = Pod(store, platform=platform)
    await pod.bridge.ask(replace(QUESTION, text="Deploy now?"), event_id="e-2")
    async with pod.bridge:
        assert await came_true(lambda: noted_card(connection) == "slack-2")
        assert (due_at(connection), reminders_left(connection)) == (None, None)
    assert platform.reminders == []


# Escalation.


async def test_an_escalation_calls_the_other_user_once_and_in_the_thread_of_the_card(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = await shown(store, ESCALATING)
    pods = [Pod(store, platform=platform) for _ in range(6)]
    let_the_escalation_come(connection)
    for pod in pods:
        pod.bridge.start()
        pod.bridge._posts.catch_up()
    assert await posted_reminders(platform, 1)
    await asyncio.sleep(1.2)
    for pod in pods:
        await pod.bridge.close()

    ((connection_id, handle, call),) = platform.reminders
    assert (connection_id, handle, call.user_id, call.is_escalation) == ("slack", "slack-1", "U2", True)
    assert call.said.text() == "U2, U1 has not answered; please answer instead: Deploy?"
    assert due_at(connection) is None


async def test_before_the_escalation_the_other_user_is_refused(store: PendingStore) -> None:
    platform = await shown(store, ESCALATING)
    pod = Pod(store, platform=platform)
    assert await pod.click(user="U2") is ReplyKind.NOT_YOURS
    assert await pod.click(user="U1") is ReplyKind.ANSWERED
    await pod.bridge.close()


@pytest.mark.law(7)
@pytest.mark.parametrize(("first", "second"), [("U1", "U2"), ("U2", "U1")])
async def test_from_the_escalation_on_both_may_answer_over_any_pod_and_both_learn_who_has(
    store: PendingStore, connection: psycopg.Connection, first: str, second: str
) -> None:
    platform = await shown(store, ESCALATING)
    let_the_escalation_come(connection)
    one, other = Pod(store, platform=platform), Pod(store, platform=platform)
    assert await one.click("stranger", user="U3") is ReplyKind.NOT_YOURS
    assert await one.click("first", "no", user=first) is ReplyKind.ANSWERED
    reply = await other.bridge.click(click(delivery_key="second", user_id=second))
    stranger = await other.bridge.click(click(delivery_key="stranger", user_id="U3"))
    for pod in (one, other):
        await pod.bridge.close()

    assert reply.kind is ReplyKind.ALREADY_ANSWERED
    assert reply.text.startswith(f"Already answered by {first}: no (20")
    assert stranger.kind is ReplyKind.NOT_YOURS
    assert platform.shown[-1].startswith(f"Deploy?\nAnswered by {first}: no (20")
    (answer,) = one.answers
    assert (answer.user_id, answer.answered_by) == ("U1", first)


async def test_the_card_that_another_pod_edits_names_the_user_who_answered_instead(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = await shown(store, ESCALATING)
    let_the_escalation_come(connection)
    await store.claim(click(user_id="U2"))
    connection.execute("update pending_interactions set card_due_at = now()")
    async with Pod(store, platform=platform).bridge:
        assert await came_true(lambda: bool(platform.edits))
    assert platform.shown[0].startswith("Deploy?\nAnswered by U2: yes")


async def test_a_reminder_after_the_escalation_is_for_the_user_who_was_called(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = await shown(store, replace(REMINDING, escalate_after=HOUR, escalate_to="U2"))
    async with Pod(store, platform=platform).bridge:
        let_time_pass(connection)
        assert await posted_reminders(platform, 1)
        let_the_escalation_come(connection)
        assert await posted_reminders(platform, 2)
        let_time_pass(connection)
        assert await posted_reminders(platform, 3)
    assert [(each.user_id, each.is_escalation) for _, _, each in platform.reminders] == [
        ("U1", False),
        ("U2", True),
        ("U2", False),
    ]


async def test_an_escalation_that_was_due_before_the_card_was_posted_comes_after_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", ESCALATING.scope, ESCALATING.payload(), show=True, **ESCALATING.schedule())
    let_the_escalation_come(connection)
    pod = Pod(store)
    async with pod.bridge:
        assert await posted_reminders(pod.platform, 1)
    ((_, handle, call),) = pod.platform.reminders
    assert (handle, call.user_id, len(pod.platform.cards)) == ("slack-1", "U2", 1)


async def test_the_words_of_reminders_and_escalations_can_be_replaced(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    wording = Wording(
        reminder="{to}: bitte antworten[ bis {at}][ – {question}]", escalation="{to}, {by} schweigt[: {question}]"
    )
    platform = await shown(store, replace(REMINDING, escalate_after=HOUR, escalate_to="U2"))
    async with Pod(store, platform=platform, wording=wording).bridge:
        let_time_pass(connection)
        assert await posted_reminders(platform, 1)
        let_the_escalation_come(connection)
        assert await posted_reminders(platform, 2)
    assert [each.said.text() for _, _, each in platform.reminders] == [
        "U1: bitte antworten – Deploy?",
        "U2, U1 schweigt: Deploy?",
    ]


class HangingForATenant(RecordingPlatform):
    """Posts no reminder to a user of acme."""

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        if reminder.user_id == "U1":
            await hang()
        await super().post_reminder(connection_id, handle, reminder)


@pytest.mark.law(16)
async def test_a_platform_that_hangs_for_one_tenant_keeps_no_reminder_of_another_waiting(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    schedule = REMINDING.schedule()
    platform = HangingForATenant()
    pod = Pod(store, platform=platform)
    pod.bridge.register("globex", "slack")
    for number in range(20):
        await store.put(f"q{number}", QUESTION.scope, QUESTION.payload(), show=True, **schedule)
    due = "update pending_interactions set posted_at = now(), post_due_at = now() where organization_id = %s"
    connection.execute(due, ["acme"])
    pod.bridge.start()
    begun = "select count(*) >= 7 from pending_interactions where reminders_left < 3"
    assert await came_true(lambda: connection.execute(begun).fetchone() == (True,))
    async with store.transaction() as application:
        other = Scope("globex", "slack", "U9")
        await store.put("other", other, QUESTION.payload(), show=True, connection=application, **schedule)
        await application.execute(due, ["globex"])
    assert await came_true(lambda: [each.question_id for _, _, each in platform.reminders] == ["other"])
    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.1))


async def test_no_trouble_of_a_reminder_is_an_error(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has to do anything about it."""
    platform = await shown(store)
    platform.before_reminder = failing(RuntimeError("no\nthread"))
    async with Pod(store, platform=platform).bridge:
        let_time_pass(connection)
        assert await came_true(lambda: "was not posted" in caplog.text)
    ours = [record for record in caplog.records if record.name.startswith("pendingctl.")]
    assert {record.levelno for record in ours} == {logging.WARNING}
    assert "no\nthread" not in caplog.text
