"""What a pod asks the database for while there is nothing to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pendingctl import PendingStore, open_pool
from pendingctl.postgres.time_limits import Purpose
from tests.cards_to_post import noted_card
from tests.deliveries import until
from tests.faults.moments import came_true
from tests.patience import be_patient
from tests.pod.idling import statements_a_second
from tests.pods import QUESTION, Pod

HOUR = timedelta(hours=1)


@pytest.fixture
async def store(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PendingStore]:
    """Over a pool that has all of its connections, each of which costs statements, and that loses none."""
    be_patient(monkeypatch, Purpose.LOOP)
    async with open_pool(dsn, min_size=4, max_size=4) as pool:
        await pool.wait()
        yield PendingStore(pool)


async def test_an_idle_pod_asks_one_statement_a_second_whatever_lies_ahead(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = Pod(store)
    execute = psycopg.AsyncCursor.execute
    statements: list[str] = []

    async def recorded(cursor: psycopg.AsyncCursor[Any], query: Any, *given: Any, **named: Any) -> Any:
        statements.append(str(query))
        return await execute(cursor, query, *given, **named)

    scheduled = replace(QUESTION, remind_every=HOUR, escalate_after=2 * HOUR, escalate_to="U2", expires_in=3 * HOUR)
    await pod.bridge.ask(scheduled, event_id="e")
    # The card of one is to be posted again later, and that of another waits for a person.
    for id, due in (("later", "now() + interval '1 hour'"), ("given up", "'infinity'")):
        await store.put(id, QUESTION.scope, QUESTION.payload(), show=True)
        connection.execute(f"update pending_interactions set post_due_at = {due} where id = %s".encode(), [id])
    # What became of a third one is to be appended to its stream later.
    await store.put("said later", QUESTION.scope, QUESTION.payload(), stream="talk")
    connection.execute(
        "update pending_interactions set claimed_at = now(), stream_due_at = now() + interval '1 hour' "
        "where id = 'said later'"
    )
    async with pod.bridge:
        assert await came_true(lambda: noted_card(connection) is not None)
        await asyncio.sleep(0.2)
        monkeypatch.setattr(psycopg.AsyncCursor, "execute", recorded)
        began = time.monotonic()
        await until(lambda: len(statements) >= 4)
        assert len(statements) <= time.monotonic() - began + 1, statements

    assert pod.platform.reminders == []


async def test_a_pod_that_reads_streams_asks_two_statements_a_second(dsn: str) -> None:
    # Of each duty one look may fall into the first moment, and one into the last.
    assert await statements_a_second(dsn, is_listening=True) <= 2.5
