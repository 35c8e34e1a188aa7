"""While the database is away nobody is sent away: clients wait, and hear comments."""

from __future__ import annotations

from contextlib import AsyncExitStack

import psycopg
import pytest

from pendingctl.sse import clients as clients_module
from tests.events.writers import append
from tests.outages import away
from tests.sse.conftest import Pod
from tests.sse.event_source import reading, until


async def test_whoever_comes_and_whoever_stays_waits_for_the_database(
    pod: Pod, connection: psycopg.Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "COMMENT_SECONDS", 0.3)
    monkeypatch.setattr(clients_module, "LOOK_SECONDS", 0.1)
    cursor = append(connection, "one")
    async with AsyncExitStack() as stack:
        stayed = await stack.enter_async_context(reading(pod.url()))
        await stayed.events(1)
        with away(dsn):
            came = await stack.enter_async_context(reading(pod.url("other")))
            returned = await stack.enter_async_context(reading(pod.url(), last_event_id=str(cursor)))
            comments = stayed.comments
            await until(lambda: came.comments > 1 and returned.comments > 1 and stayed.comments > comments + 1)
            assert came.response.status_code == returned.response.status_code == 200
            append(connection, "two")
            assert [each.is_ended for each in (stayed, came, returned)] == [False] * 3
        await until(lambda: len(stayed.dispatched) == 2 and len(returned.dispatched) == 1)
    assert [event.data for event in stayed.dispatched] == ["one", "two"]
