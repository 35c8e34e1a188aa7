"""Appends to several streams at once: what befalls one of them, or the database, costs the others little."""

from __future__ import annotations

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.embedded import throwaway_server
from pendingctl.errors import DatabaseFailed, NotConnected
from pendingctl.events import appending
from pendingctl.events.model import Appended, StreamName
from pendingctl.events.streams import Streams
from pendingctl.postgres.time_limits import Purpose
from pendingctl.schema import migrations
from tests.events.streaming import TALK, said, texts

OTHER = StreamName("acme", "other")


async def test_a_constraint_that_one_streams_events_break_holds_up_none_of_those_beside_it(
    streams: Streams, connection: psycopg.Connection
) -> None:
    await streams.append_many({TALK: said("a"), OTHER: said("a")})
    connection.execute("alter table pending_stream_event add constraint short check (length(data) < 10)")

    results = await streams.append_many({TALK: said("longer than that"), OTHER: said("b")})

    assert isinstance(results[TALK], DatabaseFailed)
    assert "violates check constraint" in str(results[TALK])
    assert isinstance(results[OTHER], Appended)
    assert await texts(streams, OTHER) == ["a", "b"]


async def test_a_database_that_is_away_is_not_waited_for_by_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    together = appending._append_together
    new = [StreamName("acme", f"new-{number}") for number in range(4)]
    with throwaway_server() as server:
        migrations.apply(server.dsn)

        async def and_then_it_stops(*arguments: object) -> object:
            done = await together(*arguments)  # type: ignore[arg-type]
            server.stop()
            return done

        monkeypatch.setattr(appending, "_append_together", and_then_it_stops)
        monkeypatch.setattr(Purpose.APPEND, "lock_seconds", 0.1)
        async with open_pool(server.dsn, timeout=0.2) as pool:
            # So long nobody waits for the first connection on a busy machine.
            await pool.wait()
            results = await Streams(pool).append_many({stream: said("a") for stream in new})

    assert [type(result) for result in results.values()] == [NotConnected] * 4
    assert ["was away" in str(result) for result in results.values()] == [False, True, True, True]
