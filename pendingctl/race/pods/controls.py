"""Stores that are known to be broken, with which the checker is seen to fail. Nothing but a race uses them.

Each breaks one law in the way in which such code is usually written, and names the check that must find it. A test
sees that a raced pod goes through every method that they override.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from psycopg.rows import kwargs_row, scalar_row

from ...errors import DatabaseUnreachable
from ...model import (
    BATCH_SIZE,
    MAX_AGE,
    SWEEP_LIMIT,
    Claim,
    Click,
    LeasedAnswer,
    PutOutcome,
    Refusal,
    RefusalReason,
    Scope,
    State,
    Stored,
    Unreadable,
)
from ...payload import JsonObject, encode_payload
from ...postgres.connections import Borrowed, Connection, ConnectionSource
from ...store import IfAnswered, PendingStore, lease_statements, statements
from ...store.leases import Leases
from ...store.store import CLAIM_ROW, claim_parameters
from ..plan.settings import IMPLEMENTATIONS

# The time in which another pod can come in between; slow code breaks more often.
_BETWEEN_SECONDS = 0.02


class _BrokenClaim(PendingStore):
    """Claims by a statement of its own; a click that gets no row goes to the correct claim, which then refuses it."""

    statement: str

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
        pod: str | None = None,
    ) -> Claim | Refusal:
        """Claim by the broken statement."""
        parameters = claim_parameters(click, lease, pod, application=self._application, lease_token=lease_token)
        won = await _claimed(self._source, self.statement, parameters)
        return won or await super().claim(click, lease=lease, lease_token=lease_token, pod=pod)


class SelectThenUpdate(PendingStore):
    """Selects the row first and then updates it: between the two, other pods have selected it as well."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
        pod: str | None = None,
    ) -> Claim | Refusal:
        """Claim in two statements."""
        parameters = claim_parameters(click, lease, pod, application=self._application, lease_token=lease_token)
        async with Borrowed(self._source) as connection:
            seen = await (await connection.execute(_SELECT_UNCLAIMED, parameters)).fetchone()
        won = None if seen is None else await _claimed(self._source, _UPDATE_WITHOUT_LOOKING_AGAIN, parameters)
        return won or await super().claim(click, lease=lease, lease_token=lease_token, pod=pod)


class NoOrganization(_BrokenClaim):
    """Forgets the tenant in the claim's condition."""

    statement = statements.CLAIM.replace("and organization_id = %(organization_id)s", "")


class NoUser(_BrokenClaim):
    """Forgets the user in the claim's condition."""

    statement = statements.CLAIM.replace("and expected_user_id = %(expected_user_id)s", "")


class ClaimThenAuthorize(PendingStore):
    """Claims the row and only then checks the user: the question is used up by whoever comes first."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
        pod: str | None = None,
    ) -> Claim | Refusal:
        """Claim for anybody, then refuse all but the expected user."""
        parameters = claim_parameters(click, lease, pod, application=self._application, lease_token=lease_token)
        won = await _claimed(self._source, NoUser.statement, parameters)
        if won is None:
            return await super().claim(click, lease=lease, lease_token=lease_token, pod=pod)
        row = await self.inspection.get(click.question_id)
        if row is not None and row.expected_user_id != click.user_id:
            return Refusal(click.question_id, RefusalReason.NOT_YOURS)
        return won


class RetryWithNewKey(PendingStore):
    """Takes a claim whose reply was lost for one that failed, and presses anew."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
        pod: str | None = None,
    ) -> Claim | Refusal:
        """Claim again under another delivery key when the connection was lost."""
        try:
            return await super().claim(click, lease=lease, lease_token=lease_token, pod=pod)
        except DatabaseUnreachable:
            anew = replace(click, delivery_key=f"{click.delivery_key}-again")
            return await super().claim(anew, lease=lease, pod=pod)


class PutTakesOver(PendingStore):
    """Stores an id again for any scope: a guessed id moves a question to another tenant."""

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        request_key: str | None = None,
        if_answered: IfAnswered = "reopen",
        awaited_by: UUID | None = None,
        posting: timedelta | None = None,
        connection: Connection | None = None,
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
            return await super().put(
                id,
                scope,
                payload,
                request_key=request_key,
                if_answered=if_answered,
                awaited_by=awaited_by,
                posting=posting,
                connection=borrowed,
            )


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
            await asyncio.sleep(_BETWEEN_SECONDS)
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
            "batch_size": min(limit or batch_size, batch_size),
            "include_undelivered": include_undelivered,
        }
        async with Borrowed(self._source) as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            await cursor.execute(_SWEEP_BY_THE_PODS_CLOCK, swept)
            yield await cursor.fetchall()


class DeliverFromMemory(PendingStore):
    """Claims as if that delivered the answer: only the pod that claimed has it, in its memory."""

    def __init__(self, source: ConnectionSource, *, application: str = "") -> None:
        super().__init__(source, application=application)
        self.leases = _NothingToMark(source, application)

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
        pod: str | None = None,
    ) -> Claim | Refusal:
        """Claim without a lease, and let the pod deliver all the same."""
        result = await super().claim(click, lease_token=lease_token, pod=pod)
        is_ours = isinstance(result, Claim) and not result.repeated and lease is not None
        return replace(result, lease_token=uuid4()) if is_ours and isinstance(result, Claim) else result


class _NothingToMark(Leases):
    """Leaves the row alone: neither a delivery nor a failure is noted."""

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        return True

    async def mark_failed(
        self,
        leased: LeasedAnswer | Unreadable,
        error: str,
        *,
        retry_in: timedelta,
        most_attempts: int,
        permanent: bool = False,
    ) -> State | None:
        return None


class NoLeaseToken(PendingStore):
    """Marks whatever asking has the id: a late mark overrides what another pod does meanwhile."""

    def __init__(self, source: ConnectionSource, *, application: str = "") -> None:
        super().__init__(source, application=application)
        self.leases = _MarkedByTheId(source, application)


class _MarkedByTheId(Leases):
    """Marks and gives back by the id alone."""

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        async with Borrowed(self._source, connection) as borrowed:
            marked = {"id": leased.answer.question_id, "lock_timeout": None}
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
        }
        async with Borrowed(self._source) as borrowed:
            row = await (await borrowed.execute(_MARK_FAILED_BY_ID, failed)).fetchone()
        return None if row is None else State.UNDELIVERED


_WITH_TOKEN = " and ask_number = %(ask_number)s and lease_token = %(lease_token)s"
_MARK_DELIVERED_BY_ID = lease_statements.MARK_DELIVERED.replace(_WITH_TOKEN, "")
_MARK_FAILED_BY_ID = lease_statements.MARK_FAILED.replace(_WITH_TOKEN, " and claimed_at is not null")

_SELECT_UNCLAIMED = """
    select 1
    from pending_interactions
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
"""

_UPDATE_WITHOUT_LOOKING_AGAIN = statements.CLAIM.replace("and claimed_at is null", "")

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

_SWEEP_BY_THE_PODS_CLOCK = statements.SWEEP.replace(
    "< now() - %(max_age)s::interval\n", "< %(older_than)s::timestamptz\n"
)

# The check by which each control must be found.
EXPECTED_CHECKS: Mapping[str, str] = {
    "select-then-update": "single_winner",
    "no-organization": "scope",
    "no-user": "scope",
    "claim-then-authorize": "wrong_clicks_cost_nothing",
    "retry-with-new-key": "loser_was_told_the_truth",
    "put-takes-over": "scope",
    "sweep-select-then-delete": "sweep_took_only_stale_rows",
    "pod-clock": "sweep_took_only_stale_rows",
    "deliver-from-memory": "every_answer_delivered",
    "mark-before-deliver": "every_answer_delivered",
    "no-lease-token": "linearizable",
}

_STORES: Mapping[str, type[PendingStore]] = {
    "select-then-update": SelectThenUpdate,
    "no-organization": NoOrganization,
    "no-user": NoUser,
    "claim-then-authorize": ClaimThenAuthorize,
    "retry-with-new-key": RetryWithNewKey,
    "put-takes-over": PutTakesOver,
    "sweep-select-then-delete": SweepSelectThenDelete,
    "pod-clock": PodClock,
    "deliver-from-memory": DeliverFromMemory,
    "no-lease-token": NoLeaseToken,
}

assert set(EXPECTED_CHECKS) == set(IMPLEMENTATIONS[1:])


def store_for(implementation: str, source: ConnectionSource, *, application: str = "") -> PendingStore:
    """Return the store of an implementation that `IMPLEMENTATIONS` names."""
    return _STORES.get(implementation, PendingStore)(source, application=application)


def marks_before_it_delivers(implementation: str) -> bool:
    """Whether a pod marks an answer as delivered before it hands it over, as the control `mark-before-deliver` does."""
    return implementation == "mark-before-deliver"


async def _claimed(source: ConnectionSource, statement: str, parameters: Mapping[str, object]) -> Claim | None:
    async with Borrowed(source) as connection:
        cursor = connection.cursor(row_factory=CLAIM_ROW)
        return await (await cursor.execute(statement.encode(), parameters)).fetchone()
