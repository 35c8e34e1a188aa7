"""Puts, sweeps and leases that are known to be broken (see `controls`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Unpack
from uuid import UUID, uuid4

from psycopg.rows import kwargs_row, scalar_row

from ...inspected import State
from ...leased import LeasedAnswer, Unreadable
from ...model import BATCH_SIZE, ENDINGS_KEPT, SWEEP_LIMIT, Claim, Click, Outcome, PutOutcome, Refusal, Scope, Stored
from ...payload import JsonObject, encode_payload
from ...postgres.connections import Borrowed, Connection, ConnectionSource
from ...schedule import MAX_AGE
from ...store import PendingStore, PutOptions, ending_statements, lease_statements
from ...store.leases import Leases
from .broken_claims import BETWEEN_SECONDS


class PutTakesOver(PendingStore):
    """Stores an id again for any scope: a guessed id moves a question to another tenant."""

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        connection: Connection | None = None,
        **options: Unpack[PutOptions],
    ) -> Stored:
        """Overwrite the row of another scope."""
        row = {
            "id": id,
            "organization_id": scope.organization_id,
            "connection_id": scope.connection_id,
            "expected_user_id": scope.expected_user_id,
            "payload": encode_payload(payload),
            "application": self._application,
        }
        async with Borrowed(self._source, connection) as borrowed:
            cursor = borrowed.cursor(row_factory=kwargs_row(partial(Stored, id, PutOutcome.REFRESHED)))
            if (taken := await (await cursor.execute(_TAKE_OVER, row)).fetchone()) is not None:
                return taken
            return await super().put(id, scope, payload, connection=borrowed, **options)


class SweepSelectThenDelete(PendingStore):
    """Selects the stale rows, and a little later deletes whatever rows have these ids by then."""

    async def sweep(
        self,
        *,
        max_age: timedelta = MAX_AGE,
        limit: int | None = SWEEP_LIMIT,
        batch_size: int = BATCH_SIZE,
        include_undelivered: bool = False,
    ) -> AsyncGenerator[list[str], None]:
        """Delete the rows that were stale when they were selected."""
        async with Borrowed(self._source) as connection:
            selecting = connection.cursor(row_factory=scalar_row)
            parameters = {
                "max_age": max_age,
                "limit": min(limit or batch_size, batch_size),
                "include_undelivered": include_undelivered,
            }
            await selecting.execute(_SELECT_STALE, parameters)
            ids: list[str] = await selecting.fetchall()
            await asyncio.sleep(BETWEEN_SECONDS)
            deleting = connection.cursor(row_factory=scalar_row)
            await deleting.execute("delete from pending_interactions where id = any (%s) returning id", (ids,))
            yield await deleting.fetchall()


class PodClock(PendingStore):
    """Decides by the pod's own clock which rows are stale."""

    async def sweep(
        self,
        *,
        max_age: timedelta = MAX_AGE,
        limit: int | None = SWEEP_LIMIT,
        batch_size: int = BATCH_SIZE,
        include_undelivered: bool = False,
    ) -> AsyncGenerator[list[str], None]:
        """Delete the rows that are too old by the pod's clock."""
        swept = {
            "older_than": (datetime.now(UTC) - max_age).isoformat(),
            "max_age": max_age,
            "endings_kept": ENDINGS_KEPT,
            "batch_size": min(limit or batch_size, batch_size),
            "include_undelivered": include_undelivered,
            "awaited_by": None,
            "pod": self._pod,
        }
        async with Borrowed(self._source) as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            await cursor.execute(_SWEEP_BY_THE_PODS_CLOCK, swept)
            yield await cursor.fetchall()


class DeliverFromMemory(PendingStore):
    """Claims as if that delivered the answer: only the pod that claimed has it, in its memory."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _NothingToMark(source, application, pod=self._pod)

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim without a lease, and let the pod deliver all the same."""
        result = await super().claim(click, lease_token=lease_token)
        is_ours = isinstance(result, Claim) and not result.repeated and lease is not None
        return replace(result, lease_token=uuid4()) if is_ours and isinstance(result, Claim) else result


class _NothingToMark(Leases):
    """Leaves the row of an answer alone: neither a delivery nor a failure is noted. Nobody remembers other endings."""

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        if leased.answer.outcome is Outcome.ANSWERED:
            return True
        return await super().mark_delivered(leased, connection=connection)

    async def mark_failed(
        self,
        leased: LeasedAnswer | Unreadable,
        error: str,
        *,
        retry_in: timedelta,
        most_attempts: int,
        permanent: bool = False,
    ) -> State | None:
        if isinstance(leased, LeasedAnswer) and leased.answer.outcome is Outcome.ANSWERED:
            return None
        # What cannot be read is no answer that a memory could hold.
        return await super().mark_failed(
            leased, error, retry_in=retry_in, most_attempts=most_attempts, permanent=permanent
        )


class NoLeaseToken(PendingStore):
    """Marks whatever asking has the id: a late mark overrides what another pod does meanwhile."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _MarkedByTheId(source, application, pod=self._pod)


class _MarkedByTheId(Leases):
    """Marks and gives back by the id alone."""

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        async with Borrowed(self._source, connection) as borrowed:
            marked = {"id": leased.answer.question_id, "pod": self._pod, "lock_timeout": None}
            return await (await borrowed.execute(_MARK_DELIVERED_BY_ID, marked)).fetchone() is not None

    async def mark_failed(
        self,
        leased: LeasedAnswer | Unreadable,
        error: str,
        *,
        retry_in: timedelta,
        most_attempts: int,
        permanent: bool = False,
    ) -> State | None:
        failed = {
            "id": leased.answer.question_id if isinstance(leased, LeasedAnswer) else leased.question_id,
            "lock_timeout": None,
            "error": error,
            "retry_in": retry_in,
            "most_attempts": most_attempts,
            "permanent": permanent,
            "pod": self._pod,
        }
        async with Borrowed(self._source) as borrowed:
            row = await (await borrowed.execute(_MARK_FAILED_BY_ID, failed)).fetchone()
        return None if row is None else State.UNDELIVERED


_WITH_TOKEN = " and ask_number = %(ask_number)s and lease_token = %(lease_token)s"
_MARK_DELIVERED_BY_ID = lease_statements.MARK_DELIVERED.replace(_WITH_TOKEN, "")
_MARK_FAILED_BY_ID = lease_statements.MARK_FAILED.replace(_WITH_TOKEN, " and claimed_at is not null")


_TAKE_OVER = """
    update pending_interactions
    set organization_id = %(organization_id)s, connection_id = %(connection_id)s,
        expected_user_id = %(expected_user_id)s, entry_payload = %(payload)s::jsonb
    where id = %(id)s
      and (organization_id, connection_id, expected_user_id)
          is distinct from (%(organization_id)s, %(connection_id)s, %(expected_user_id)s)
    returning ask_number, created_at, xmin::text as row_version
"""


_SELECT_STALE = """
    select id
    from pending_interactions
    where coalesce(claimed_at, created_at) < now() - %(max_age)s::interval
      and (%(include_undelivered)s or delivery_due_at is null)
    order by coalesce(claimed_at, created_at)
    limit %(limit)s
"""


_SWEEP_BY_THE_PODS_CLOCK = ending_statements.SWEEP.replace(
    "< now() - %(max_age)s::interval\n", "< %(older_than)s::timestamptz\n"
)
