"""Puts of one request that meet: a platform delivers an event to two pods at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from pendingctl import PendingStore, PutOutcome
from tests.locks import until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, click


@pytest.mark.law(3)
async def test_of_two_puts_of_one_request_that_ask_again_at_once_one_is_a_retry(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    with psycopg.connect(dsn) as holder:
        holder.execute("select from pending_interactions where id = 'q' for update")
        puts = [asyncio.create_task(store.put("q", SCOPE, PAYLOAD, request_key="event")) for _ in range(2)]
        await until_waiting_for_a_lock(connection, 2)
        holder.commit()
    one, other = await asyncio.gather(*puts)

    assert {one.outcome, other.outcome} == {PutOutcome.REOPENED, PutOutcome.REFRESHED}
    assert one.ask_number == other.ask_number


@pytest.mark.law(3)
async def test_a_put_that_meets_an_asker_of_the_same_question_is_no_second_asker(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    with psycopg.connect(dsn) as holder:
        holder.execute("select from pending_interactions where id = 'q' for update")
        asker = asyncio.create_task(store.put("q", SCOPE, PAYLOAD, awaited_by=uuid4()))
        await until_waiting_for_a_lock(connection)
        bridge = asyncio.create_task(store.put("q", SCOPE, PAYLOAD, posting=timedelta(seconds=30)))
        await until_waiting_for_a_lock(connection, 2)
        holder.commit()
    asked, posted = await asyncio.gather(asker, bridge)

    assert (asked.outcome, posted.outcome) == (PutOutcome.REOPENED, PutOutcome.REFRESHED)
    assert asked.ask_number == posted.ask_number
