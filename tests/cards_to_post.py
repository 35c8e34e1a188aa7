"""Cards and reminders that are to be posted, as tests arrange their time and read what became of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import psycopg

from pendingctl import AskOutcome, PendingStore, Scope
from pendingctl.errors import DatabaseUnreachable
from pendingctl.inspected import CardState
from pendingctl.leased import PostedCard
from pendingctl.postgres.connections import Pool
from pendingctl.schedule import MAX_AGE
from pendingctl.store import Filters
from pendingctl.store.leases import Leases
from tests.deliveries import until
from tests.pods import QUESTION, Pod, RecordingPlatform

LEASE = timedelta(seconds=30)


def let_time_pass(connection: psycopg.Connection, id: str = "q") -> None:
    """Let the lease of a post run out, and every pause before the next one pass."""
    connection.execute(
        "update pending_interactions set post_due_at = now(), posting_until = least(posting_until, now()) "
        "where id = %s and isfinite(post_due_at)",
        [id],
    )


def due_at(connection: psycopg.Connection, id: str = "q") -> datetime | float | None:
    """When something is to be posted next; `inf` if a person has to look first."""
    row = connection.execute(
        "select case when isfinite(post_due_at) then post_due_at end, post_due_at = 'infinity' "
        "from pending_interactions where id = %s",
        [id],
    ).fetchone()
    assert row is not None
    return float("inf") if row[1] else row[0]


def pause(connection: psycopg.Connection, id: str = "q") -> float:
    """In how many seconds something is to be posted, counted from the last attempt, or from what came of it."""
    row = connection.execute(
        "select extract(epoch from post_due_at - at) from pending_interactions as pending, pending_trail as step "
        "where pending.id = %s and step.question_id = pending.id and step.step in ('asked', 'posting', 'not_posted') "
        "order by step.id desc limit 1",
        [id],
    ).fetchone()
    assert row is not None
    return float(row[0])


def attempts(connection: psycopg.Connection, id: str = "q") -> int:
    """How many attempts to post the card have begun."""
    row = connection.execute("select post_attempts from pending_interactions where id = %s", [id]).fetchone()
    assert row is not None
    return int(row[0])


def failed_attempts(connection: psycopg.Connection, id: str = "q") -> int | None:
    """How many attempts to post the card have failed; None while one is under way."""
    row = connection.execute(
        "select case when posting_until is null then post_attempts end from pending_interactions where id = %s", [id]
    ).fetchone()
    assert row is not None
    return None if row[0] is None else int(row[0])


async def until_failed(connection: psycopg.Connection, attempt: int) -> None:
    """Wait until that is noted of an attempt, and nobody holds the lease any more."""
    await until(lambda: (failed_attempts(connection) or 0) >= attempt)


def noted_card(connection: psycopg.Connection, id: str = "q") -> object:
    """The reference of the card that the row knows of."""
    row = connection.execute("select card from pending_interactions where id = %s", [id]).fetchone()
    assert row is not None
    return row[0]


async def never_posted(store: PendingStore) -> list[str]:
    return [row.id for row in await store.inspection.find(Filters(card=CardState.NEVER_POSTED))]


async def put(store: PendingStore, id: str = "q", scope: Scope = QUESTION.scope) -> int:
    """Store a question that some pod is to show, and return its ask number."""
    return (await store.put(id, scope, QUESTION.payload(), show=True)).ask_number


async def begun_by_a_pod_that_died(store: PendingStore) -> int:
    """Store the question as a pod does that is about to post its card, and return its ask number."""
    stored = await store.put(
        "q", QUESTION.scope, QUESTION.payload(), show=True, posting=LEASE, request_key="e", if_answered="keep"
    )
    return stored.ask_number


class Mute(Leases):
    """The leases of a pod that dies, or loses the database, before it notes which cards it has posted."""

    async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
        raise DatabaseUnreachable(f"the database cannot be reached: {len(posted)} cards, {max_age}")


def mute(pool: Pool) -> PendingStore:
    store = PendingStore(pool)
    store.leases = Mute(pool)
    return store


async def posted_by_a_pod_that_died(pool: Pool, platform: RecordingPlatform) -> int:
    """Ask the question by a pod that posts its card and dies before that is noted, and return its ask number."""
    pod = Pod(mute(pool), platform=platform)
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
    await pod.bridge.close(within=timedelta())
    return platform.cards[0].ask_number
