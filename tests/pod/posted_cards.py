"""A card that was posted, and what the row says of it."""

from __future__ import annotations

import psycopg

from pendingctl import PendingStore
from pendingctl.inspected import CardState
from pendingctl.store import Filters
from tests.pods import QUESTION, Pod


async def posted(store: PendingStore) -> Pod:
    """A pod that has posted the question's card and is gone."""
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()
    return pod


async def due(connection: psycopg.Connection) -> list[object]:
    return [bool(at) for (at,) in connection.execute("select card_due_at from pending_interactions").fetchall()]


async def cards(store: PendingStore, card: CardState) -> list[str]:
    return [row.id for row in await store.inspection.find(Filters(card=card))]
