"""Asking and waiting for the answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, Delivery, PendingStore, Question, State, Withdrawal, client
from pendingctl.errors import Refused
from tests.deliveries import LEASE, Worker, run_out, state_of, until_state
from tests.questions import SCOPE, click

QUESTION = Question("q", SCOPE, "Deploy?", ("yes", "no"), "C1")
LONG = timedelta(seconds=20)


async def stored(store: PendingStore) -> None:
    for _ in range(500):
        if await store.get("q") is not None:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_who_asks_reads_the_answer_and_no_pod_delivers_it(store: PendingStore) -> None:
    asking = asyncio.create_task(client.ask(store, QUESTION, timeout=LONG))
    await stored(store)

    claim = await store.claim(click(), lease=LEASE)
    answer = await asking

    assert isinstance(claim, Claim)
    assert claim.lease_token is None
    assert answer is not None
    assert (answer.value, answer.user_id, answer.conversation_id) == ("yes", "U1", "C1")
    assert await state_of(store) is State.CLAIMED


async def test_nobody_answers_in_time_and_it_is_withdrawn(store: PendingStore) -> None:
    assert await client.ask(store, QUESTION, timeout=timedelta(seconds=0.3)) is None
    assert await state_of(store) is State.WITHDRAWN


async def test_a_withdrawn_question_has_no_answer(store: PendingStore) -> None:
    asking = asyncio.create_task(client.ask(store, QUESTION, timeout=LONG))
    await stored(store)
    assert await store.withdraw("q", "acme", "slack") is Withdrawal.WITHDRAWN

    assert await asking is None


async def test_a_question_whose_asker_is_cancelled_is_withdrawn(store: PendingStore) -> None:
    asking = asyncio.create_task(client.ask(store, QUESTION, timeout=LONG))
    await stored(store)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await state_of(store) is State.WITHDRAWN


async def test_the_answer_to_an_asker_that_died_is_delivered_by_a_pod(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, QUESTION.payload(), awaited_for=LONG)
    await store.claim(click(), lease=LEASE)
    worker = Worker()
    async with Delivery(store, worker):
        assert not (await store.due()).answers
        run_out(connection)
        await until_state(store, State.CLAIMED)

    assert worker.ids == ["q"]


async def test_what_was_answered_before_is_not_asked(store: PendingStore) -> None:
    await store.put("q", SCOPE, QUESTION.payload())
    await store.claim(click())

    with pytest.raises(Refused, match="answered before"):
        await client.ask(store, QUESTION, timeout=LONG)
