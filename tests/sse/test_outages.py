"""While the database is away nobody is sent away: clients wait, and hear comments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from pendingctl.sse import clients as clients_module
from tests.events.writers import append
from tests.sse.conftest import Pod
from tests.sse.event_source import reading, until

REFUSE = "alter database {} allow_connections {}"
END = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


async def test_whoever_comes_and_whoever_stays_waits_for_the_database(
    pod: Pod, connection: psycopg.Connection, server_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "COMMENT_SECONDS", 0.3)
    monkeypatch.setattr(clients_module, "LOOK_SECONDS", 0.1)
    name = connection.info.dbname
    cursor = append(connection, "one")
    async with _connected(server_dsn) as elsewhere, reading(pod.url()) as stayed:
        await stayed.events(1)
        elsewhere.execute(REFUSE.format(name, "false").encode())
        assert connection.execute(END).fetchall()
        async with reading(pod.url("other")) as came, reading(pod.url(), last_event_id=str(cursor)) as returned:
            comments = stayed.comments
            await until(lambda: came.comments > 1 and returned.comments > 1 and stayed.comments > comments + 1)
            assert came.response.status_code == returned.response.status_code == 200
            append(connection, "two")
            assert [each.is_ended for each in (stayed, came, returned)] == [False] * 3
            elsewhere.execute(REFUSE.format(name, "true").encode())
            await until(lambda: len(stayed.dispatched) == 2 and len(returned.dispatched) == 1, within=10)
    assert [event.data for event in stayed.dispatched] == ["one", "two"]
