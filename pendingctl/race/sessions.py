"""The sessions of a race's pods, which outlast a pod that is killed: the server carries out what it has sent."""

from __future__ import annotations

import asyncio
import time

from ..postgres.connections import Connection
from ..postgres.driver_errors import translated_errors

ENDED_SECONDS = 5.0
POLL_SECONDS = 0.02

# A pooler keeps its sessions for others; what one is idle in has nothing under way.
_COUNT = """
    select count(*)
    from pg_stat_activity
    where datname = current_database() and application_name = %(application)s
      and not (%(is_pooled)s and state = 'idle')
"""


async def until_sessions_end(connection: Connection, application: str) -> list[str]:
    """Wait until no session of this name is left, for 5 seconds, and return the reason to doubt where some are."""
    parameters = {"application": application, "is_pooled": connection.prepare_threshold is None}
    deadline = time.monotonic() + ENDED_SECONDS
    while True:
        with translated_errors():
            (left,) = await (await connection.execute(_COUNT, parameters)).fetchone() or (0,)
            # Within a transaction the view would stay as it is.
            await connection.commit()
        if not left:
            return []
        if time.monotonic() > deadline:
            return [f"{left} sessions of its pods were still there after {ENDED_SECONDS:g} s"]
        await asyncio.sleep(POLL_SECONDS)
