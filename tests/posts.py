"""What is to be posted, as tests lease it, note it, and let its time come."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString

import psycopg

from pendingctl import PendingStore
from pendingctl.leased import LeasedPost, PostedCard
from tests.deliveries import LEASE

SERVED = [("acme", "slack")]
MOST_ATTEMPTS, MOST_DOUBTS = 5, 2
HALF_AN_HOUR = timedelta(minutes=30)


async def posts(
    store: PendingStore, *, connections: list[tuple[str, str]] = SERVED, limit: int = 10, lease: timedelta = LEASE
) -> list[LeasedPost]:
    """What a pod takes over."""
    return await store.leases.lease_posts(
        connections, lease=lease, limit=limit, most_attempts=MOST_ATTEMPTS, most_doubts=MOST_DOUBTS
    )


async def fails(
    store: PendingStore,
    post: LeasedPost,
    *,
    is_sure: bool = True,
    permanent: bool = False,
    retry_in: timedelta = timedelta(),
) -> bool | None:
    """Whether its card is given up after this failure."""
    return await store.leases.mark_not_posted(
        post.question_id,
        post.ask_number,
        "the platform is down",
        attempt=post.attempt,
        is_sure=is_sure,
        retry_in=retry_in,
        most_attempts=MOST_ATTEMPTS,
        most_doubts=MOST_DOUBTS,
        permanent=permanent,
    )


async def note(store: PendingStore, post: LeasedPost, card: str = '"card"') -> None:
    """Its card was posted."""
    posted = PostedCard(question_id=post.question_id, ask_number=post.ask_number, card=card)
    assert await store.leases.mark_posted([posted]) == set()


async def show(store: PendingStore, card: str = '"card"') -> LeasedPost:
    """Post the one card that is due."""
    (post,) = await posts(store)
    await note(store, post, card)
    return post


def let_pass(connection: psycopg.Connection, id: str = "q") -> None:
    """Let the time pass until something is to be posted."""
    connection.execute(
        """
        update pending_interactions
        set post_due_at = now(), posting_until = posting_until - passed, escalate_at = escalate_at - passed
        from (select greatest(post_due_at - now(), '0') as passed from pending_interactions
              where id = %(id)s and post_due_at < 'infinity') as time
        where id = %(id)s
        """,
        {"id": id},
    )


def row(connection: psycopg.Connection, columns: LiteralString, id: str = "q") -> tuple[object, ...]:
    """These columns of the row, or expressions over them."""
    found = connection.execute(f"select {columns} from pending_interactions where id = %s", [id]).fetchone()
    assert found is not None
    return tuple(found)
