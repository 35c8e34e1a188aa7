"""Stores that fail at what happens to questions in time, and are known to be broken (see `controls`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta
from typing import Unpack

from psycopg.rows import scalar_row

from ...leased import LeasedEvents, LeasedPost
from ...model import Due, Scope, Stored
from ...payload import JsonObject
from ...postgres.connections import Borrowed, Connection, ConnectionSource
from ...store import PendingStore, PutOptions, ending_statements, event_statements, post_statements
from ...store.leased_rows import LEASED_POST_ROW
from ...store.leases import Leases

# How long before its deadline a timer is set for a question.
_AHEAD = timedelta(milliseconds=300)


class ExpireBySelectThenUpdate(PendingStore):
    """Sets a timer for each question that is about to expire, and ends it then, whatever became of it meanwhile."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _Timers(source, application, pod=self._pod)


class _Timers(Leases):
    def __init__(self, source: ConnectionSource, application: str, *, pod: str) -> None:
        super().__init__(source, application, pod=pod)
        self._set = set[str]()
        self._running = set[asyncio.Task[None]]()

    async def due(self, connections: Collection[tuple[str, str]] = ()) -> Due:
        """Look at deadlines each time."""
        return replace(await super().due(connections), deadlines=True)

    async def expire(self, *, limit: int) -> int:
        """Select the open questions that have no timer yet, and set it."""
        soon = {"application": self._application, "limit": limit, "ahead": _AHEAD, "set": list(self._set)}
        async with Borrowed(self._source) as borrowed:
            ids: list[str] = await (
                await borrowed.cursor(row_factory=scalar_row).execute(_SELECT_ABOUT_TO_EXPIRE, soon)
            ).fetchall()
        if ids:
            self._set.update(ids)
            timer = asyncio.create_task(_expire_later(self._source, ids, self._pod))
            self._running.add(timer)
            timer.add_done_callback(self._running.discard)
        return 0


async def _expire_later(source: ConnectionSource, ids: list[str], pod: str) -> None:
    await asyncio.sleep(_AHEAD.total_seconds())
    ended = {"ids": ids, "pod": pod, "awaited_by": None, "lock_timeout": None}
    async with Borrowed(source) as borrowed:
        await borrowed.execute(_EXPIRE_THESE, ended)


class ExpireWithoutDelivery(PendingStore):
    """Ends questions at their deadline, and has nobody hear of it."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _ToldToNobody(source, application, pod=self._pod)


class _ToldToNobody(Leases):
    async def expire(self, *, limit: int) -> int:
        """Expire, and queue nothing for delivery."""
        ended = {
            "application": self._application,
            "limit": limit,
            "pod": self._pod,
            "awaited_by": None,
            "lock_timeout": None,
        }
        async with Borrowed(self._source) as borrowed, borrowed.transaction():
            ids: list[str] = await (
                await borrowed.cursor(row_factory=scalar_row).execute(ending_statements.EXPIRE, ended)
            ).fetchall()
            await borrowed.execute(_QUEUE_NOTHING, {"ids": ids})
            return len(ids)


class PostFromMemory(PendingStore):
    """Leaves the card to the pod that asks, which remembers to post it: nothing in the row asks any other to do so."""

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        connection: Connection | None = None,
        **options: Unpack[PutOptions],
    ) -> Stored:
        """Put, and make the card no duty of the row."""
        async with Borrowed(self._source, connection) as borrowed, borrowed.transaction():
            stored = await super().put(id, scope, payload, connection=borrowed, **options)
            await borrowed.execute(_NO_DUTY, {"id": id})
        return stored


class RemindWithoutLease(PendingStore):
    """Looks for what is to be posted beside a card, posts it, and notes that afterwards."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _NotedAfterwards(source, application, pod=self._pod)


class _NotedAfterwards(Leases):
    def __init__(self, source: ConnectionSource, application: str, *, pod: str) -> None:
        super().__init__(source, application, pod=pod)
        self._posted: list[LeasedPost] = []

    async def lease_posts(
        self,
        connections: Collection[tuple[str, str]],
        *,
        lease: timedelta,
        limit: int,
        most_attempts: int,
        most_doubts: int,
    ) -> list[LeasedPost]:
        """Lease cards alone; note the reminders of the look before, and return those that are due."""
        parameters = {
            "application": self._application,
            "organization_ids": [organization for organization, _ in connections],
            "connection_ids": [connection for _, connection in connections],
            "lease": lease,
            "limit": limit,
            "most_attempts": most_attempts,
            "most_doubts": most_doubts,
            "pod": self._pod,
            "lock_timeout": None,
        }
        posted = [each.question_id for each in self._posted]
        async with Borrowed(self._source) as borrowed:
            await borrowed.execute(_NOTE_REMINDED, {"ids": posted})
            cursor = borrowed.cursor(row_factory=LEASED_POST_ROW)
            leased = await (await cursor.execute(_LEASE_CARDS_ALONE.encode(), parameters)).fetchall()
            due = await (await cursor.execute(_SELECT_REMINDERS, parameters)).fetchall()
        # Its time is consumed at the next look.
        self._posted = [each for each in due if each is not None]
        return [*(each for each in leased if each is not None), *self._posted]


class AppendBesideTheMark(PendingStore):
    """Appends to a question's stream, and then marks that: a pod that dies between the two leaves it to be repeated."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _MarkedAfterwards(source, application, pod=self._pod)


class _MarkedAfterwards(Leases):
    async def append_events(
        self, leased: LeasedEvents, append: Callable[[Connection], Awaitable[object]], *, error: str | None = None
    ) -> bool:
        """Append outside of a transaction, and mark afterwards."""
        async with Borrowed(self._source) as borrowed:
            await append(borrowed)
            marked = {"id": leased.question_id, "asking": leased.asking, "error": error, "lock_timeout": None}
            return await (await borrowed.execute(event_statements.MARK_APPENDED, marked)).fetchone() is not None


def _replaced(statement: str, part: str, other: str) -> str:
    assert statement.count(part) == 1, part
    return statement.replace(part, other)


_SELECT_ABOUT_TO_EXPIRE = """
    select id
    from pending_interactions
    where application = %(application)s and claimed_at is null and expires_at <= now() + %(ahead)s::interval
      and id <> all (%(set)s)
    order by expires_at
    limit %(limit)s
"""

_ENDS, _WHICH, _REST = ending_statements.EXPIRE.partition("where id = any (array(")
_, _LOCKED, _LEAVES_ITS_TRAIL = _REST.partition("for no key update skip locked\n        ))")
assert _WHICH
assert _LOCKED
_EXPIRE_THESE = f"""{_ENDS}
        where id = any (%(ids)s) and (outcome is null or outcome not in ('expired', 'defaulted')){_LEAVES_ITS_TRAIL}"""

_QUEUE_NOTHING = """
    update pending_interactions
    set ending_due_at = null
    where id = any (%(ids)s)
"""

_NO_DUTY = """
    update pending_interactions
    set post_due_at = null
    where id = %(id)s and posted_at is null
"""

_LEASE_CARDS_ALONE = _replaced(
    post_statements.LEASE_POSTS,
    "where pending.post_due_at <= now() and",
    "where pending.posted_at is null and pending.post_due_at <= now() and",
)

_SELECT_REMINDERS = """
    select id as question_id, ask_number, organization_id, connection_id, expected_user_id as user_id,
           jsonb_build_object('question', entry_payload -> 'question')::text as payload,
           case when escalated_at is null and escalate_at <= now() then 'escalation'
                when reminders_left > 0 then 'reminder'
                else 'nothing' end as what,
           card::text as card, post_attempts as attempt, false as is_in_doubt,
           case when escalate_at <= now() then escalate_to end as escalated_to, expires_at
    from pending_interactions
    where application = %(application)s and posted_at is not null and claimed_at is null and post_due_at <= now()
"""

_NOTE_REMINDED = """
    update pending_interactions
    set reminders_left = greatest(reminders_left - 1, 0),
        escalated_at = case when escalate_at <= now() then now() end,
        post_due_at = case when reminders_left > 1 then now() + remind_every
                           when escalate_at > now() then escalate_at end
    where id = any (%(ids)s)
"""
