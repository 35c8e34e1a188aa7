"""Deadlines and endings, as tests arrange and read them."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from pendingctl import LeasedAnswer, PendingStore, State
from pendingctl.model import Outcome
from tests.deliveries import LEASE

HOUR = timedelta(hours=1)
EVERYTHING = frozenset(Outcome)


def pass_the_deadline(connection: psycopg.Connection, id: str = "q") -> None:
    connection.execute(
        "update pending_interactions set expires_at = clock_timestamp() - interval '1 ms' where id = %s", [id]
    )


def show_its_card(connection: psycopg.Connection) -> None:
    connection.execute("update pending_interactions set posted_at = now()")


async def endings(store: PendingStore) -> list[LeasedAnswer]:
    leased = await store.leases.lease(lease=LEASE, limit=10, most_attempts=20, endings=True)
    return [each for each in leased if isinstance(each, LeasedAnswer)]


async def state_of(store: PendingStore, id: str = "q") -> State | None:
    row = await store.inspection.get(id)
    return None if row is None else row.state
