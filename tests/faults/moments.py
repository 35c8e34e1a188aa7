"""Moments that the tests of faults wait for; what does not come in time is an answer, not an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg


async def came_true(condition: Callable[[], bool], seconds: float = 4) -> bool:
    """Whether this is so within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    return True


def lock_waiters(connection: psycopg.Connection) -> int:
    """How many sessions of this database wait for a lock."""
    row = connection.execute(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])
