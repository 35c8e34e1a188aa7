"""Stores that mix askings or applications up, and are known to be broken (see `controls`)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Unpack
from uuid import UUID

from psycopg.rows import class_row

from ...leased import LeasedAnswer, Unreadable
from ...model import NEW_ASKINGS, Claim, Click, Due, PutOutcome, Refusal, Scope, Stored
from ...payload import JsonObject, encode_payload, option_at
from ...postgres.connections import Borrowed, Connection, ConnectionSource
from ...store import PendingStore, PutOptions, lease_statements
from ...store.leased_rows import LEASED_ROW
from ...store.leases import Leases


class RefreshUnderACard(PendingStore):
    """Takes whatever is put under an open id for a retry: the card shows one text, and its button answers another."""

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        connection: Connection | None = None,
        **options: Unpack[PutOptions],
    ) -> Stored:
        """Refresh an open question of the same scope, whatever it asks."""
        row = {
            "id": id,
            "organization_id": scope.organization_id,
            "connection_id": scope.connection_id,
            "expected_user_id": scope.expected_user_id,
            "payload": encode_payload(payload),
        }
        async with Borrowed(self._source, connection) as borrowed:
            refreshed = await (await borrowed.execute(_REFRESH, row)).fetchone()
            if refreshed is not None:
                return Stored(id, PutOutcome.REFRESHED, *refreshed)
            return await super().put(id, scope, payload, connection=borrowed, **options)


class OptionsFromMemory(PendingStore):
    """Looks up a button's place among the options that a pod remembers of the id: those of the first asking it saw."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self._remembered: dict[str, JsonObject] = {}

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        connection: Connection | None = None,
        **options: Unpack[PutOptions],
    ) -> Stored:
        """Put, and remember the first question of this id."""
        stored = await super().put(id, scope, payload, connection=connection, **options)
        self._remembered.setdefault(id, payload)
        return stored

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim by the value that is remembered at this place."""
        remembered = self._remembered.get(click.question_id)
        if remembered is not None and click.option is not None:
            click = replace(click, value=option_at(remembered, click.option), option=None)
        return await super().claim(click, lease=lease, lease_token=lease_token)


class AskNumberRestarts(PendingStore):
    """Counts the askings of each id: one that was deleted begins again with its first number."""

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        connection: Connection | None = None,
        **options: Unpack[PutOptions],
    ) -> Stored:
        """Give a row that was created the number 1."""
        async with Borrowed(self._source, connection) as borrowed, borrowed.transaction():
            stored = await super().put(id, scope, payload, connection=borrowed, **options)
            if stored.outcome is not PutOutcome.CREATED:
                return stored
            numbered = await (await borrowed.execute(_NUMBER_FROM_ONE, {"id": id})).fetchone()
            assert numbered is not None
            number, created_at, version = numbered
            return Stored(id, stored.outcome, number, created_at, version, stored.is_to_be_posted)


class ForgetOldCards(PendingStore):
    """Asks anew in the row of the question before, and forgets that its card is still there."""

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        connection: Connection | None = None,
        **options: Unpack[PutOptions],
    ) -> Stored:
        """Forget the cards of former askings."""
        async with Borrowed(self._source, connection) as borrowed, borrowed.transaction():
            stored = await super().put(id, scope, payload, connection=borrowed, **options)
            if stored.outcome in NEW_ASKINGS:
                await borrowed.execute(_FORGET_OLD_CARDS, {"id": id})
        return stored


class LeaseEverything(PendingStore):
    """Delivers whatever answer is due, whichever application it is of."""

    def __init__(self, source: ConnectionSource, *, application: str = "", pod: str | None = None) -> None:
        super().__init__(source, application=application, pod=pod)
        self.leases = _OfAllApplications(source, application, pod=self._pod)


class _OfAllApplications(Leases):
    async def due(self, connections: Collection[tuple[str, str]] = ()) -> Due:
        """Look at the answers of all applications."""
        parameters = {
            "after": "",
            "organization_ids": [organization for organization, _ in connections],
            "connection_ids": [connection for _, connection in connections],
        }
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(Due))
            due = await (await cursor.execute(_of_all(lease_statements.DUE), parameters)).fetchone()
        assert due is not None
        return due

    async def lease(
        self,
        *,
        lease: timedelta,
        limit: int,
        most_attempts: int,
        after: str = "",
        busy: Collection[str] = (),
        endings: bool = False,
    ) -> list[LeasedAnswer | Unreadable]:
        """Lease the answers of all applications."""
        if endings:
            return await super().lease(
                lease=lease, limit=limit, most_attempts=most_attempts, after=after, busy=busy, endings=True
            )
        parameters = {
            "lease": lease,
            "limit": limit,
            "most_tenants": limit,
            "most_attempts": most_attempts,
            "after": after,
            "busy": list(busy),
            "pod": self._pod,
        }
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=LEASED_ROW)
            leased = await (await cursor.execute(_of_all(lease_statements.LEASE), parameters)).fetchall()
        return [each for each in leased if each is not None]


def _of_all(statement: str) -> bytes:
    return statement.replace("application = %(application)s and ", "").encode()


_REFRESH = """
    update pending_interactions
    set entry_payload = %(payload)s::jsonb
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
    returning ask_number, created_at, xmin::text
"""

_FORGET_OLD_CARDS = """
    update pending_interactions
    set retired_cards = null, card_due_at = null
    where id = %(id)s
"""

_NUMBER_FROM_ONE = """
    update pending_interactions
    set ask_number = 1
    where id = %(id)s
    returning ask_number, created_at, xmin::text
"""
