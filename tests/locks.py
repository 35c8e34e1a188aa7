"""Sessions that wait for a lock, as tests of races look for them before they let one go on."""

from __future__ import annotations

import asyncio
import time

import psycopg


def waiting_for_a_lock(connection: psycopg.Connection) -> int:
    """How many sessions of this database wait for a lock."""
    # By the locks: one that wakes up to look for a deadlock, or for its client, waits for no event at that moment.
    row = connection.execute(
        "select count(*) from pg_locks where not granted "
        "and pid in (select pid from pg_stat_activity where datname = current_database())"
    ).fetchone()
    assert row is not None
    return int(row[0])


async def until_waiting_for_a_lock(connection: psycopg.Connection, sessions: int = 1) -> None:
    for _ in range(6_000):
        if waiting_for_a_lock(connection) >= sessions:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"{waiting_for_a_lock(connection)} of {sessions} sessions wait for a lock")


async def until_the_clock_waits(connection: psycopg.Connection) -> None:
    """Wait until a session waits for its row's lock before it reads the clock.

    A claim does so in its second statement: the first one has looked at the clock, and waits for a millisecond.
    """
    waiting = (
        "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() "
        "and query like '%with held as materialized%'"
    )
    for _ in range(6_000):
        if connection.execute(waiting).fetchone() is not None:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("nobody waits for a lock before it reads the clock")


def until_one_waits_for_a_lock(connection: psycopg.Connection) -> None:
    """For a command in a process of its own, and a test without an event loop."""
    for _ in range(6_000):
        if waiting_for_a_lock(connection):
            return
        time.sleep(0.01)
    raise TimeoutError("nobody waits for a lock")


async def changes(locking: psycopg.AsyncConnection) -> None:
    """Hold the row by a change of it: whoever waits looks at it again if that is committed."""
    await locking.execute("update pending_interactions set card_attempts = 1 where id = 'q'")


async def only_locks(locking: psycopg.AsyncConnection) -> None:
    """Hold the row and leave it as it is."""
    await locking.execute("select from pending_interactions where id = 'q' for update")
