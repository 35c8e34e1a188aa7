"""A question that is escalated, and the time of that."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from pendingctl import PendingStore
from tests.endings import HOUR
from tests.questions import PAYLOAD, SCOPE


async def put(store: PendingStore, *, after: timedelta = HOUR, expires_in: timedelta | None = None) -> int:
    """A question of U1 that is escalated to U2; its ask number."""
    stored = await store.put(
        "q", SCOPE, PAYLOAD, show=True, escalate_after=after, escalate_to="U2", expires_in=expires_in
    )
    return stored.ask_number


def escalate(connection: psycopg.Connection) -> None:
    """Let its time come."""
    connection.execute("update pending_interactions set escalate_at = clock_timestamp() - interval '1 ms'")
