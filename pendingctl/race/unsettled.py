"""What is left to do for the pods after the last click, and their leases and pauses, which a race does not wait for."""

from __future__ import annotations

from collections.abc import Sequence

from ..postgres.connections import Connection
from ..postgres.driver_errors import translated_errors
from .rows import Arrangement

_SHOWS_LESS = "(card_due_at is not null and (claimed_at is not null or retired_cards is not null))"

_IS_UNPOSTED = "(post_due_at < 'infinity' and posted_at is null and claimed_at is null)"

_IS_UNAPPENDED = """(former_endings is not null or stream is not null and stream_appended
           < case when claimed_at is not null then 2 when posted_at is not null then 1 else 0 end)"""

_COUNT_UNSETTLED = f"""
    select count(*)
    from pending_interactions
    where id = any (%(ids)s)
          and (delivery_due_at is not null or ending_due_at is not null or {_SHOWS_LESS} or {_IS_UNPOSTED}
               or {_IS_UNAPPENDED} or expires_at is not null and claimed_at is null)
       or id = any (%(poisoned)s) and delivery_due_at < 'infinity'
"""

# In each of these a row that a pod has locked is left to the next time: it may have been stopped in its transaction.

# A pod that was killed has taken its lease on a card with it.
_RUN_OUT_OF_CARDS = f"""
    update pending_interactions
    set card_due_at = now()
    where id = any (array(
        select id
        from pending_interactions
        where id = any (%(ids)s) and {_SHOWS_LESS} and card_due_at > now()
        for update skip locked
    ))
"""

# The pause after an attempt to post a card, or also the lease of one that was begun.
_RUN_OUT_OF_POSTS = f"""
    update pending_interactions
    set post_due_at = now(), posting_until = null
    where id = any (array(
        select id
        from pending_interactions
        where id = any (%(ids)s) and {_IS_UNPOSTED} and post_due_at > now() and (%(leases)s or posting_until is null)
        for update skip locked
    ))
"""

# The pause after an attempt to append, or the lease of one: two that append at once are no harm.
_RUN_OUT_OF_APPENDS = f"""
    update pending_interactions
    set stream_due_at = now()
    where id = any (array(
        select id
        from pending_interactions
        where id = any (%(ids)s) and {_IS_UNAPPENDED} and stream_due_at > now()
        for update skip locked
    ))
"""


async def count_unsettled(connection: Connection, arrangement: Arrangement) -> int:
    """Return of how many questions of the run something is left to do for the pods.

    Their ending is not delivered yet, their deadline is to come, their card is to be posted or to be edited, or
    something is to be appended to their stream.
    """
    ids = {"ids": arrangement.ids, "poisoned": arrangement.poisoned}
    with translated_errors():
        counted = await (await connection.execute(_COUNT_UNSETTLED, ids)).fetchone()
    return int(counted[0]) if counted else 0


async def run_out_of_cards(connection: Connection, arrangement: Arrangement) -> None:
    """Let the pods' leases on the run's cards run out now."""
    with translated_errors():
        await connection.execute(_RUN_OUT_OF_CARDS, {"ids": arrangement.ids})


async def run_out_of_posts(connection: Connection, ids: Sequence[str], *, leases: bool) -> None:
    """Let the pauses of the pods end that wait to post cards once more, and their `leases` on cards, if told so."""
    with translated_errors():
        await connection.execute(_RUN_OUT_OF_POSTS, {"ids": list(ids), "leases": leases})


async def run_out_of_appends(connection: Connection, ids: Sequence[str]) -> None:
    """Let the pods' leases on what is to be appended run out now, and their pauses after an attempt."""
    with translated_errors():
        await connection.execute(_RUN_OUT_OF_APPENDS, {"ids": list(ids)})
