"""Claims that are known to be broken, each in the way in which such code is usually written (see `controls`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from ...errors import DatabaseUnreachable
from ...model import Claim, Click, Refusal, RefusalReason
from ...postgres.connections import Borrowed, ConnectionSource
from ...postgres.time_limits import Purpose
from ...store import PendingStore, statements
from ...store.claims import CLAIM_ROW, claim_parameters

# The time in which another pod can come in between; slow code breaks more often.
BETWEEN_SECONDS = 0.02


def _claim_without(condition: str) -> str:
    """Return the claim's statement without one of its conditions."""
    assert statements.CLAIM.count(condition) == 1, condition
    return statements.CLAIM.replace(condition, "")


class _BrokenClaim(PendingStore):
    """Claims by a statement of its own; a click that gets no row goes to the correct claim, which then refuses it."""

    statement: str
    limits: Mapping[str, object] = MappingProxyType({})

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim by the broken statement."""
        parameters = claim_parameters(
            click, lease, pod=self._pod, application=self._application, lease_token=lease_token
        )
        won = await _claimed(self._source, self.statement, {**parameters, **self.limits})
        return won or await super().claim(click, lease=lease, lease_token=lease_token)


class SelectThenUpdate(PendingStore):
    """Selects the row first and then updates it: between the two, other pods have selected it as well."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim in two statements."""
        parameters = claim_parameters(
            click, lease, pod=self._pod, application=self._application, lease_token=lease_token
        )
        async with Borrowed(self._source) as connection:
            seen = await (await connection.execute(_SELECT_UNCLAIMED, parameters)).fetchone()
        if seen is not None:
            await asyncio.sleep(BETWEEN_SECONDS)
            if (won := await _claimed(self._source, _UPDATE_WITHOUT_LOOKING_AGAIN, parameters)) is not None:
                return won
        return await super().claim(click, lease=lease, lease_token=lease_token)


class NoOrganization(_BrokenClaim):
    """Forgets the tenant in the claim's condition."""

    statement = _claim_without("and organization_id = %(organization_id)s")


class NoUser(_BrokenClaim):
    """Forgets the user in the claim's condition."""

    statement = _claim_without(f"and {statements.MAY_ANSWER}")


class NoApplication(_BrokenClaim):
    """Forgets the application in the claim's condition."""

    statement = _claim_without("and application = %(application)s")


class ClaimThenAuthorize(PendingStore):
    """Claims the row and only then checks the user: the question is used up by whoever comes first."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim for anybody, then refuse all but the expected user."""
        parameters = claim_parameters(
            click, lease, pod=self._pod, application=self._application, lease_token=lease_token
        )
        won = await _claimed(self._source, NoUser.statement, parameters)
        if won is None:
            return await super().claim(click, lease=lease, lease_token=lease_token)
        row = await self.inspection.get(click.question_id)
        if row is not None and row.expected_user_id != click.user_id:
            return Refusal(click.question_id, RefusalReason.NOT_YOURS)
        return won


class NoTimeLimit(_BrokenClaim):
    """Waits for a row as long as somebody holds it, and keeps the connection for so long."""

    statement = statements.CLAIM
    limits = MappingProxyType({"lock_timeout": None})


class ClaimIgnoresDeadline(_BrokenClaim):
    """Forgets the deadline in the claim's condition: until some pod ends the question, it can still be won."""

    statement = _claim_without("and (expires_at is null or expires_at > clock_timestamp())")


class TrailBesideTheClaim(PendingStore):
    """Commits the claim, and then writes into the trail that it has won: a pod that dies between the two never does."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim, and write the trail afterwards."""
        parameters = claim_parameters(
            click, lease, pod=self._pod, application=self._application, lease_token=lease_token
        )
        patient = {**parameters, "lock_timeout": Purpose.CLAIM.lock_timeout}
        won = await _claimed(self._source, _CLAIM_WITHOUT_A_TRAIL, patient)
        if won is None:
            return await super().claim(click, lease=lease, lease_token=lease_token)
        async with Borrowed(self._source) as connection:
            written = {**parameters, "ask_number": won.ask_number, "is_leased": won.lease_token is not None}
            await connection.execute(_WRITE_AFTERWARDS, written)
        return won


class RetryWithNewKey(PendingStore):
    """Takes a claim whose reply was lost for one that failed, and presses anew."""

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim again under another delivery key when the connection was lost."""
        try:
            return await super().claim(click, lease=lease, lease_token=lease_token)
        except DatabaseUnreachable:
            anew = replace(click, delivery_key=f"{click.delivery_key}-again")
            return await super().claim(anew, lease=lease)


_SELECT_UNCLAIMED = """
    select 1
    from pending_interactions
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(user_id)s
      and claimed_at is null
"""

_UPDATE_WITHOUT_LOOKING_AGAIN = _claim_without("and claimed_at is null")


_, _FOUND, _TRAIL_AND_MORE = statements.CLAIM.partition(",\n    trail as (")
_CLAIM_WITHOUT_A_TRAIL = _claim_without(_FOUND + _TRAIL_AND_MORE.partition("\n    select ")[0])

_WRITE_AFTERWARDS = """
    insert into pending_trail (question_id, ask_number, organization_id, pod, step, user_id, attempt)
    values (%(id)s, %(ask_number)s, %(organization_id)s, %(pod)s, 'answered', %(user_id)s,
            case when %(is_leased)s then 1 end)
"""


async def _claimed(source: ConnectionSource, statement: str, parameters: Mapping[str, object]) -> Claim | None:
    async with Borrowed(source) as connection:
        cursor = connection.cursor(row_factory=CLAIM_ROW)
        return await (await cursor.execute(statement.encode(), parameters)).fetchone()
