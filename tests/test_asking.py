"""Asking and waiting for the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from pendingctl import Answer, Claim, Delivery, NoAnswer, PendingStore, Question, Scope, State, Withdrawal
from pendingctl.embedded import throwaway_server
from pendingctl.errors import InvalidInput, Refused
from pendingctl.inspected import Unposted
from pendingctl.model import Outcome
from pendingctl.postgres.connections import CommandConnection
from pendingctl.schema import migrations
from tests.askers import answer_to, until_stored
from tests.deliveries import LEASE, Worker, run_out, state_of, until_state
from tests.pods import Pod
from tests.questions import SCOPE, click

QUESTION = Question("q", SCOPE, "Deploy?", ("yes", "no"), "C1")
LONG = timedelta(seconds=60)

pytestmark = pytest.mark.usefixtures("patient")


async def test_whoever_asks_reads_the_answer_and_no_pod_delivers_it(store: PendingStore) -> None:
    asking = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await until_stored(store)

    claim = await store.claim(click(), lease=LEASE)
    answer = await asking

    assert isinstance(claim, Claim)
    assert claim.lease_token is None
    assert isinstance(answer, Answer)
    assert (answer.value, answer.user_id, answer.conversation_id) == ("yes", "U1", "C1")
    assert await state_of(store) is State.CLAIMED


async def test_nobody_answers_in_time_and_it_expires(store: PendingStore) -> None:
    assert await answer_to(store, QUESTION, within=timedelta(seconds=0.3)) is NoAnswer.EXPIRED
    assert await state_of(store) is State.EXPIRED


async def test_of_what_expires_its_asker_hears_and_no_worker(store: PendingStore) -> None:
    await store.leases.hear(frozenset(Outcome))

    assert await answer_to(store, QUESTION, within=timedelta(seconds=0.3)) is NoAnswer.EXPIRED
    assert not (await store.leases.due()).endings
    assert (await store.statistics.counts()).total.endings_to_tell == 0


@pytest.mark.parametrize(("conversation", "unposted"), [("C1", Unposted.TO_BE_POSTED), ("", Unposted.BY_CALLER)])
async def test_a_pod_is_to_show_what_is_asked_in_a_conversation(
    store: PendingStore, conversation: str, unposted: Unposted
) -> None:
    asking = asyncio.create_task(answer_to(store, replace(QUESTION, conversation_id=conversation), within=LONG))
    await until_stored(store)
    row = await store.inspection.get("q")
    asking.cancel()
    await asyncio.wait([asking])

    assert row is not None
    assert row.unposted is unposted


async def test_an_asker_has_its_whole_schedule_and_the_earlier_deadline(store: PendingStore) -> None:
    question = replace(
        QUESTION,
        expires_in=timedelta(hours=1),
        default="no",
        remind_every=timedelta(minutes=1),
        remind_at_most=3,
        escalate_after=timedelta(seconds=10),
        escalate_to="U2",
    )
    asking = asyncio.create_task(answer_to(store, question, within=LONG))
    await until_stored(store)
    row = await store.inspection.get("q")
    asking.cancel()
    await asyncio.wait([asking])

    assert row is not None
    assert row.expires_at == row.created_at + LONG
    assert row.escalate_at == row.created_at + timedelta(seconds=10)
    assert (row.escalate_to, row.remind_every, row.reminders_left) == ("U2", timedelta(minutes=1), 3)
    with pytest.raises(InvalidInput, match="escalate sooner"):
        await answer_to(store, replace(question, id="later"), within=timedelta(seconds=5))


async def test_a_withdrawn_question_has_no_answer(store: PendingStore) -> None:
    asking = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await until_stored(store)
    assert await store.withdraw("q", SCOPE) is Withdrawal.WITHDRAWN

    assert await asking is NoAnswer.WITHDRAWN


async def test_a_question_whose_asker_is_cancelled_is_withdrawn(store: PendingStore) -> None:
    asking = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await until_stored(store)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await state_of(store) is State.WITHDRAWN


@pytest.mark.law(6)
async def test_the_answer_to_an_asker_that_died_is_delivered_by_a_pod(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, QUESTION.payload(), awaited_by=uuid4())
    await store.claim(click(), lease=LEASE)
    worker = Worker()
    async with Delivery(store, worker):
        assert not (await store.leases.due()).answers
        run_out(connection)
        await until_state(store, State.CLAIMED)

    assert worker.ids == ["q"]


async def test_whoever_waits_has_the_answer_also_when_a_pod_posts_the_card(store: PendingStore) -> None:
    asking = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await until_stored(store)
    pod = Pod(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        await pod.click()
        answer = await asking

    assert isinstance(answer, Answer)
    assert pod.answers == []
    assert await state_of(store) is State.CLAIMED


async def test_a_database_that_is_restarted_does_not_end_the_waiting() -> None:
    with throwaway_server() as server:
        await asyncio.to_thread(migrations.apply, server.dsn)
        source = CommandConnection(server.dsn, application="test")
        waiting = asyncio.Event()

        class Watched(PendingStore):
            async def read_answer(self, id: str, scope: Scope, ask_number: int) -> NoAnswer | None:
                waiting.set()
                return await super().read_answer(id, scope, ask_number)

        store = Watched(source)
        await store.create_organization("acme")
        asking = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
        await waiting.wait()
        await asyncio.to_thread(server.restart)
        other = CommandConnection(server.dsn, application="test")
        await PendingStore(other).claim(click(), lease=LEASE)
        answer = await asking
        for each in (source, other):
            await each.close()

    assert isinstance(answer, Answer)
    assert answer.value == "yes"


async def test_what_was_answered_before_is_not_asked(store: PendingStore) -> None:
    await store.put("q", SCOPE, QUESTION.payload())
    await store.claim(click())

    with pytest.raises(Refused, match="answered before"):
        await answer_to(store, QUESTION, within=LONG)
