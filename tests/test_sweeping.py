"""The cluster's sweepers: each cycle is one's, whatever becomes of the database between two of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore, open_pool, sweeping
from pendingctl.errors import DatabaseFailed, DatabaseUnreachable
from pendingctl.model import SweepTurn
from pendingctl.postgres.connections import Pool
from pendingctl.sweeping import Left, Sweep, Swept, foresee, keep_swept, sweep_each_cycle, sweep_once
from tests.deliveries import until
from tests.questions import PAYLOAD, SCOPE, age

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def stale(connection: psycopg.Connection) -> None:
    """A cycle may begin."""
    connection.execute("update sweep_cycle set began_at = now() - interval '1 day'")


async def _put_stale(store: PendingStore, connection: psycopg.Connection, number: int) -> None:
    await store.put_many((f"q-{each}", SCOPE, PAYLOAD) for each in range(number))
    age(connection, hours=25)


def _rows(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from pending_interactions").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_sweep_says_what_it_did_and_what_is_left(store: PendingStore, connection: psycopg.Connection) -> None:
    await _put_stale(store, connection, 5)
    connection.execute("update pending_trail set at = at - interval '31 days'")
    connection.execute("insert into pending_rate_limit values ('acme', 'free', '-infinity'), ('acme', 'used', now())")
    sweep = Sweep(limit=3, batch_size=2)

    assert (await foresee(store.inspection, sweep)).would_delete == 3
    swept = await sweep_once(store, sweep, keep_ids=True)

    assert swept.ids is not None
    assert len(swept.ids) == 3
    assert swept == Swept(3, 2, 5, Left(2, False, 0), swept.ids, limits_deleted=1)


@pytest.mark.law(8)
async def test_of_two_sweepers_on_one_database_each_cycle_is_swept_by_one(
    dsn: str, store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pendingctl.sweeping")
    await _put_stale(store, connection, 4)
    async with open_pool(dsn) as first, open_pool(dsn) as second:
        for cycle in range(1, 3):
            sweepers = [
                asyncio.create_task(keep_swept(PendingStore(each), HOUR, Sweep(limit=1))) for each in (first, second)
            ]
            await until(lambda left=4 - cycle: _rows(connection) == left)  # type: ignore[misc]
            # The other one has had its turn by then, and lost it.
            await asyncio.sleep(0.2)
            for each in sweepers:
                each.cancel()
            await asyncio.wait(sweepers)
            assert all(each.cancelled() for each in sweepers)
            connection.execute("update sweep_cycle set began_at = now() - interval '2 hours'")

    assert _rows(connection) == 2
    assert caplog.messages.count("swept 1 rows and 0 entries of the trail") == 2


async def test_an_outage_between_two_cycles_is_outlived_and_logged_once(
    store: PendingStore,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.05)
    await _put_stale(store, connection, 2)
    every = timedelta(milliseconds=200)
    keeping = asyncio.create_task(keep_swept(store, every, Sweep(limit=1)))
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
    store: PendingStore,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.05)
    await _put_stale(store, connection, 1)
    connection.execute("alter table sweep_cycle rename to gone")
    keeping = asyncio.create_task(keep_swept(store, HOUR, Sweep()))
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
    await _put_stale(store, connection, 1)
    keeping = asyncio.create_task(keep_swept(store, HOUR, Sweep()))
    await until(lambda: _rows(connection) == 0)
    keeping.cancel()
    await asyncio.wait([keeping])

    assert "the sweeper has failed, and begins anew" in caplog.text


async def test_a_command_learns_at_once_that_there_is_no_database_and_later_waits_for_it(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "TROUBLE_SECONDS", 0.01)
    said: list[str] = []
    lent = 0

    @asynccontextmanager
    async def lend() -> AsyncIterator[PendingStore]:
        nonlocal lent
        lent += 1
        if lent in (2, 3):
            raise DatabaseUnreachable("it is away")
        yield store

    await _put_stale(store, connection, 2)
    cycles = sweep_each_cycle(lend, timedelta(milliseconds=1), Sweep(limit=1), report=said.append)
    assert [(await anext(cycles)).deleted for _ in range(2)] == [1, 1]
    await cycles.aclose()
    assert (lent, said) == (4, ["no cycle could start: it is away"])

    connection.execute("alter table sweep_cycle rename to gone")
    with pytest.raises(DatabaseFailed):
        await anext(sweep_each_cycle(lambda: nullcontext(store), HOUR, Sweep(), report=said.append))
