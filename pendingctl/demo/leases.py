"""What killed pods have left: no other one posts that card or delivers that answer until their lease ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

_LOOK_SECONDS = 0.5

LEASED = """
    select pending.id as question_id, what, until,
           (
               select pod from pending_trail
               where question_id collate "C" = pending.id and step = any (lease.steps::text[])
               order by id desc
               limit 1
           ) as pod,
           ceil(extract(epoch from until - clock_timestamp()))::int as seconds
    from pending_interactions as pending
    cross join lateral (
        values ('question', posting_until, claimed_at is null and posted_at is null, '{asked,posting}'),
               ('answer', delivery_due_at, lease_token is not null, '{answered,leased}')
    ) as lease (what, until, is_held, steps)
    where is_held and until > clock_timestamp() and until < 'infinity'
    order by until
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A question whose card is to be posted, or an answer that is to be delivered, by this pod alone until then."""

    question_id: str
    what: str
    pod: str
    until: datetime
    seconds: int


class LeftLeases:
    """Looks which leases pods have left that were killed; `first` is the one that ends first.

    `is_serving` says of a pod whether it serves now.
    """

    def __init__(self, is_serving: Callable[[str], bool]) -> None:
        self._is_serving = is_serving
        self._left: dict[tuple[str, str, datetime], Lease] = {}

    @property
    def first(self) -> Lease | None:
        return next(iter(self._left.values()), None)

    async def look(self, dsn: str) -> None:
        """Look for ever. Raises an error of psycopg where the database is away."""
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            cursor = connection.cursor(row_factory=class_row(Lease))
            while True:
                await cursor.execute(LEASED)
                leases = {(each.question_id, each.what, each.until): each for each in await cursor.fetchall()}
                # A pod that serves again has nothing of what it had before.
                self._left = {
                    key: each for key, each in leases.items() if key in self._left or not self._is_serving(each.pod)
                }
                await asyncio.sleep(_LOOK_SECONDS)
