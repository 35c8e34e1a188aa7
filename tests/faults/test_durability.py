"""An accepted answer is never lost: not with the server's memory, and not with the columns that hold it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore, open_pool
from pendingctl.embedded import throwaway_server
from pendingctl.errors import DatabaseFailed, MigrationFailed
from pendingctl.schema import migrations
from tests.deliveries import LEASE, until
from tests.locks import waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, click

# Commits are reported before they are written, and nothing else writes them meanwhile.
ASYNCHRONOUS = {
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "bgwriter_lru_maxpages": "0",
    "autovacuum": "off",
}


pytestmark = pytest.mark.usefixtures("patient")


@pytest.mark.once
async def test_a_claim_that_has_returned_outlives_a_crash_whatever_the_servers_default() -> None:
    with throwaway_server(settings=ASYNCHRONOUS) as server:
        await asyncio.to_thread(migrations.apply, server.dsn)
        # More than one, since the server's own writer comes by every ten seconds.
        ids = {"q-1", "q-2", "q-3"}
        async with open_pool(server.dsn) as pool:
            store = PendingStore(pool)
            await store.create_organization("acme")
            for id in ids:
                await store.put(id, SCOPE, PAYLOAD)
        for id in ids:
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                connection.execute("checkpoint")
            async with open_pool(server.dsn) as pool:
                await PendingStore(pool).claim(click(id), lease=LEASE)
                await asyncio.to_thread(server.restart)
        with psycopg.connect(server.dsn) as connection:
            kept = connection.execute("select id from pending_interactions where answer = 'yes'").fetchall()

    assert {id for (id,) in kept} == ids


async def test_a_rollback_drops_no_answer_that_was_accepted_while_it_waited(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    applied = migrations.status(dsn).applied
    count = len(applied) - applied.index("0003_answer") - 1
    claim = None
    with psycopg.connect(dsn) as sweeper:
        sweeper.execute("update sweep_cycle set pod = 'pod-1'")
        rolling_back = asyncio.create_task(
            asyncio.to_thread(migrations.rollback, dsn, count, lock_timeout=timedelta(seconds=60))
        )
        await until(lambda: waiting_for_a_lock(connection) == 1, 60)
        claiming = asyncio.create_task(store.claim(click(), lease=LEASE))
        # It may as well have to wait for the rollback.
        await asyncio.wait([claiming], timeout=2)
    with suppress(MigrationFailed):
        await rolling_back
    with suppress(DatabaseFailed):
        claim = await claiming
    columns = connection.execute(
        "select column_name from information_schema.columns where table_name = 'pending_interactions'"
    ).fetchall()

    assert not isinstance(claim, Claim) or ("delivery_due_at",) in columns
