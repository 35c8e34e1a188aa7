"""Delivery into a table of the application's own, in the same database."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from pendingctl import (
    PendingStore,
    PostgresSink,
    State,
)
from pendingctl.sinks import DeliveryFailed
from tests.deliveries import claimed, lease, run_out, state_of

INSERT = "insert into approval (question, answer) values (%(question_id)s, %(value)s)"


@pytest.mark.law(6)
async def test_into_the_same_database_it_is_exactly_once(store: PendingStore, connection: psycopg.Connection) -> None:
    connection.execute("create table approval (question text, answer text)")
    sink = PostgresSink(INSERT)
    first = await claimed(store)
    run_out(connection)
    (second,) = await lease(store)

    delivered = await asyncio.gather(*(sink.deliver(each, store.leases) for each in (first, second, second)))

    assert sorted(delivered) == [False, False, True]
    assert connection.execute("select * from approval").fetchall() == [("q", "yes")]
    assert await state_of(store) is State.CLAIMED


@pytest.mark.law(6)
async def test_what_the_application_refuses_is_not_marked(store: PendingStore, connection: psycopg.Connection) -> None:
    connection.execute("create table approval (question text, answer text check (answer <> 'yes'))")

    with pytest.raises(DeliveryFailed, match="approval"):
        await PostgresSink(INSERT).deliver(await claimed(store), store.leases)

    assert await state_of(store) is State.UNDELIVERED
