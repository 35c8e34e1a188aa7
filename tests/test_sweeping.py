"""The cluster's sweepers: each cycle is one's, whatever becomes of the database between two of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore, open_pool, sweeping
from pendingctl.errors import DatabaseFailed, DatabaseUnreachable, NotMigrated
from pendingctl.events.model import NewEvent, StreamName
from pendingctl.events.ring import Ring, Turn
from pendingctl.events.streams import Streams
from pendingctl.limits import RateLimiter
from pendingctl.model import SweepTurn
from pendingctl.postgres.connections import Pool
from pendingctl.sweeping import (
    Left,
    Sweep,
    Swept,
    SweptDatabase,
    foresee,
    keep_swept,
    sweep_each_cycle,
    sweep_once,
)
from tests.deliveries import until
from tests.questions import PAYLOAD, SCOPE, age

HOUR = timedelta(hours=1)
SWEPT = "swept 1 rows and 0 entries of the trail"

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture(autouse=True)
def stale(connection: psycopg.Connection) -> None:
    """A cycle may begin."""
    connection.execute("update sweep_cycle set began_at = now() - interval '1 day'")


def _of(pool: Pool) -> SweptDatabase:
    return SweptDatabase(PendingStore(pool), Ring(pool, pod="pod-1"), RateLimiter(pool, if_unreachable="raise"))


@pytest.fixture
def swept(pool: Pool) -> SweptDatabase:
    return _of(pool)


async def _put_stale(store: PendingStore, connection: psycopg.Connection, number: int) -> None:
    await store.put_many((f"q-{each}", SCOPE, PAYLOAD) for each in range(number))
    age(connection, hours=25)


def _rows(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from pending_interactions").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_sweep_says_what_it_did_and_what_is_left(
    swept: SweptDatabase, store: PendingStore, connection: psycopg.Connection
) -> None:
    await _put_stale(store, connection, 5)
    connection.execute("update pending_trail set at = at - interval '31 days'")
    connection.execute("insert into pending_rate_limit values ('acme', 'free', '-infinity'), ('acme', 'used', now())")
    sweep = Sweep(limit=3, batch_size=2)

    assert (await foresee(store.inspection, sweep, ring=swept.ring)).would_delete == 3
    done = await sweep_once(swept, sweep, keep_ids=True)

    assert done.ids is not None
    assert len(done.ids) == 3
    assert done == Swept(3, 2, 5, Left(2, False, 0), done.ids, turn=Turn.NOT_DUE, limits_deleted=1)


async def test_a_sweep_takes_idle_streams_and_turns_their_ring(
    swept: SweptDatabase, pool: Pool, connection: psycopg.Connection
) -> None:
    streams = Streams(pool)
    for number in range(5):
        await streams.append(StreamName("acme", f"idle-{number}"), [NewEvent("said", "a")])
    connection.execute("update pending_stream set last_at = now() - interval '33 hours'")
    await streams.append(StreamName("acme", "fresh"), [NewEvent("said", "a")])
    connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")

    assert (await foresee(swept.store.inspection, Sweep(limit=3), ring=swept.ring)).would_delete_streams == 3
    first = await sweep_once(swept, Sweep(limit=3))
    second = await sweep_once(swept, Sweep(limit=3), turn=False)

    assert [(each.streams_deleted, each.turn) for each in (first, second)] == [(3, Turn.TURNED), (2, None)]
    assert [stream.name.name for stream in await streams.list()] == ["fresh"]


async def test_a_ring_that_lacks_a_table_is_reported_and_all_else_is_swept(
    swept: SweptDatabase, connection: psycopg.Connection
) -> None:
    await _put_stale(swept.store, connection, 2)
    connection.execute("insert into pending_rate_limit values ('acme', 'free', '-infinity')")
    connection.execute("drop table pending_stream_event_1")
    connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")

    with pytest.raises(DatabaseFailed, match=r"the ring cannot turn: .*pending_stream_event_1") as raised:
        await sweep_once(swept, Sweep())

    assert not isinstance(raised.value, NotMigrated)
    assert _rows(connection) == 0
    assert connection.execute("select count(*) from pending_rate_limit").fetchone() == (0,)
    assert connection.execute("select slot from pending_stream_ring").fetchone() == (0,)


@pytest.mark.parametrize("kept", ["pending_interactions", "pending_trail", "pending_rate_limit", "pending_stream"])
async def test_what_cannot_be_deleted_keeps_nothing_else_from_being_swept(
    swept: SweptDatabase, pool: Pool, connection: psycopg.Connection, kept: str
) -> None:
    await Streams(pool).append(StreamName("acme", "idle"), [NewEvent("said", "a")])
    await _put_stale(swept.store, connection, 1)
    connection.execute("update pending_trail set at = at - interval '31 days'")
    connection.execute("insert into pending_rate_limit values ('acme', 'free', '-infinity')")
    connection.execute("update pending_stream set last_at = now() - interval '33 hours'")
    connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")
    connection.execute(
        "create function keep() returns trigger language plpgsql as $$ begin raise 'kept'; end $$;"
        f"create trigger keep before delete on {kept} for each row execute function keep()".encode()
    )

    with pytest.raises(DatabaseFailed, match="kept"):
        await sweep_once(swept, Sweep())

    tables = ["pending_interactions", "pending_rate_limit", "pending_stream"]
    left = [table for table in tables if connection.execute(f"select from {table}".encode()).fetchone() is not None]
    assert left == [table for table in tables if table == kept]
    assert connection.execute("select slot from pending_stream_ring").fetchone() == (1,)


async def test_a_ring_that_is_held_is_tried_again_after_a_while(
    swept: SweptDatabase, dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")
    cycles = sweep_each_cycle(lambda: nullcontext(swept), timedelta(milliseconds=1), Sweep(), report=pytest.fail)
    with psycopg.connect(dsn) as backup:
        backup.execute("lock table pending_stream_event_1 in access share mode")
        assert [(await anext(cycles)).turn for _ in range(3)] == [Turn.BLOCKED, None, None]
    await cycles.aclose()


@pytest.mark.law(8)
async def test_of_two_sweepers_on_one_database_each_cycle_is_swept_by_one(
    dsn: str,
    store: PendingStore,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pendingctl.sweeping")
    turns: list[SweepTurn] = []

    class Watched(PendingStore):
        async def begin_sweep(self, every: timedelta) -> SweepTurn:
            turns.append(await super().begin_sweep(every))
            return turns[-1]

    def of(pool: Pool) -> SweptDatabase:
        return replace(_of(pool), store=Watched(pool))

    await _put_stale(store, connection, 4)
    async with open_pool(dsn) as first, open_pool(dsn) as second:
        for cycle in range(1, 3):
            sweepers = [asyncio.create_task(keep_swept(of(each), HOUR, Sweep(limit=1))) for each in (first, second)]
            # The other one has had its turn by then, and lost it.
            await until(
                lambda cycle=cycle: len(turns) == 2 * cycle and caplog.messages.count(SWEPT) == cycle  # type: ignore[misc]
            )
            for each in sweepers:
                each.cancel()
            await asyncio.wait(sweepers)
            assert all(each.cancelled() for each in sweepers)
            connection.execute("update sweep_cycle set began_at = now() - interval '2 hours'")

    assert _rows(connection) == 2
    assert caplog.messages.count(SWEPT) == 2


async def test_an_outage_between_two_cycles_is_outlived_and_logged_once(
    swept: SweptDatabase,
    store: PendingStore,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.05)
    await _put_stale(store, connection, 2)
    every = timedelta(milliseconds=200)
    keeping = asyncio.create_task(keep_swept(swept, every, Sweep(limit=1)))
    await until(lambda: _rows(connection) == 1)
    connection.execute("alter table sweep_cycle rename to gone")
    await until(lambda: "no cycle could start" in caplog.text)
    await asyncio.sleep(0.3)
    connection.execute("alter table gone rename to sweep_cycle")
    await until(lambda: _rows(connection) == 0)
    connection.execute("alter table pending_interactions rename to gone")
    await until(lambda: "this cycle failed" in caplog.text)
    connection.execute("alter table gone rename to pending_interactions")
    keeping.cancel()
    await asyncio.wait([keeping])

    said = [message.split(":")[1].strip() for message in caplog.messages if "the sweeper waits" in message]
    assert said[0] == "no cycle could start"
    # Each cycle that fails is reported.
    assert set(said[1:]) == {"this cycle failed"}


async def test_a_sweeper_begins_although_the_database_is_away_at_first(
    swept: SweptDatabase,
    store: PendingStore,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.05)
    await _put_stale(store, connection, 1)
    connection.execute("alter table sweep_cycle rename to gone")
    keeping = asyncio.create_task(keep_swept(swept, HOUR, Sweep()))
    await until(lambda: "no cycle could start" in caplog.text)
    connection.execute("alter table gone rename to sweep_cycle")
    await until(lambda: _rows(connection) == 0)
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_sweeper_outlives_what_nobody_expected(
    pool: Pool, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.05)
    turns: list[timedelta] = []

    class Broken(PendingStore):
        async def begin_sweep(self, every: timedelta) -> SweepTurn:
            turns.append(every)
            if len(turns) == 1:
                raise ValueError("nobody expected this")
            return await super().begin_sweep(every)

    store = Broken(pool)
    swept = SweptDatabase(store, Ring(pool, pod="pod-1"), RateLimiter(pool, if_unreachable="raise"))
    await _put_stale(store, connection, 1)
    keeping = asyncio.create_task(keep_swept(swept, HOUR, Sweep()))
    await until(lambda: _rows(connection) == 0)
    keeping.cancel()
    await asyncio.wait([keeping])

    assert "the sweeper has failed, and begins anew" in caplog.text


async def test_a_command_learns_at_once_that_there_is_no_database_and_later_waits_for_it(
    swept: SweptDatabase, store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.01)
    said: list[str] = []
    lent = 0

    @asynccontextmanager
    async def lend() -> AsyncIterator[SweptDatabase]:
        nonlocal lent
        lent += 1
        if lent in (2, 3):
            raise DatabaseUnreachable("it is away")
        yield swept

    await _put_stale(store, connection, 2)
    cycles = sweep_each_cycle(lend, timedelta(milliseconds=1), Sweep(limit=1), report=said.append)
    assert [(await anext(cycles)).deleted for _ in range(2)] == [1, 1]
    await cycles.aclose()
    assert (lent, said) == (4, ["no cycle could start: it is away"])

    connection.execute("alter table sweep_cycle rename to gone")
    with pytest.raises(DatabaseFailed):
        await anext(sweep_each_cycle(lambda: nullcontext(swept), HOUR, Sweep(), report=said.append))
