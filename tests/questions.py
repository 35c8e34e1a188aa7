"""Questions, clicks and time, as the tests of the store arrange them."""

from __future__ import annotations

from datetime import timedelta

import psycopg

from pendingctl import Click, PendingStore, Scope
from pendingctl.payload import question_payload

SCOPE = Scope("acme", "slack", "U1")
PAYLOAD = question_payload("Deploy?", ["yes", "no"], {"conversation_id": "C1"})


def click(
    question_id: str = "q",
    organization_id: str = "acme",
    connection_id: str = "slack",
    user_id: str = "U1",
    delivery_key: str = "key",
    value: str | None = "yes",
    ask_number: int | None = None,
) -> Click:
    return Click(
        question_id=question_id,
        organization_id=organization_id,
        connection_id=connection_id,
        user_id=user_id,
        delivery_key=delivery_key,
        value=value,
        ask_number=ask_number,
    )


def age(connection: psycopg.Connection, hours: float, id: str | None = None) -> None:
    """Let time pass: rows, and their ends, are older than they were."""
    connection.execute(
        "update pending_interactions set created_at = created_at - %(passed)s, claimed_at = claimed_at - %(passed)s "
        "where %(id)s::text is null or id = %(id)s",
        {"passed": timedelta(hours=hours), "id": id},
    )


async def swept(store: PendingStore, limit: int | None = 1_000, batch_size: int = 1_000) -> list[str]:
    return [id async for batch in store.sweep(limit=limit, batch_size=batch_size) for id in batch]
