"""What the person on call reads of the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg.rows import dict_row, scalar_row

from ..counts import Counts, OrganizationCounts
from ..errors import UnreadablePayload
from ..inspected import CardState, PendingInteraction, PendingSummary, State, Unposted
from ..model import ENDINGS_KEPT
from ..payload import JsonObject, check_id, check_positive, check_text, read_json, read_payload
from ..postgres.connections import Borrowed, Connection, ConnectionSource
from ..schedule import MAX_AGE
from . import ending_statements, lease_statements, read_statements

READ_TIMEOUT = timedelta(seconds=30)
REMAINING_CAP = 10_000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows `find` returns; None takes all."""

    organization_id: str | None = None
    connection_id: str | None = None
    expected_user_id: str | None = None
    state: State | None = None
    older_than: timedelta | None = None
    card: CardState | None = None
    application: str | None = None
    due_within: timedelta | None = None
    """Open questions whose deadline has passed or comes so soon."""


class Inspection:
    """Reads for the person on call: in transactions that cannot write, and for half a minute at most."""

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source

    async def get(
        self, id: str, *, max_age: timedelta = MAX_AGE, connection: Connection | None = None
    ) -> PendingInteraction | None:
        """Return one whole row, or None."""
        check_id(id, "question id")
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(read_statements.GET, {"id": id, "max_age": max_age})
            row = await cursor.fetchone()
        if row is None:
            return None
        return PendingInteraction(**{**_typed(row), "payload": _payload(row), "card": read_json(row["card"])})

    async def find(
        self,
        filters: Filters = Filters(),
        *,
        limit: int = 100,
        max_age: timedelta = MAX_AGE,
        connection: Connection | None = None,
    ) -> list[PendingSummary]:
        """Return at most `limit` rows that pass the filters, the oldest first."""
        check_positive(limit, "limit")
        for text in (filters.organization_id, filters.connection_id, filters.expected_user_id, filters.application):
            check_text(text or "", "a filter")
        parameters = {
            "application": filters.application,
            "organization_id": filters.organization_id,
            "connection_id": filters.connection_id,
            "expected_user_id": filters.expected_user_id,
            "state": filters.state,
            "older_than": filters.older_than,
            "card": filters.card,
            "due_within": filters.due_within,
            "limit": limit,
            "max_age": max_age,
        }
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(read_statements.FIND, parameters)
            return [PendingSummary(**_typed(row)) for row in await cursor.fetchall()]

    async def counts(
        self, *, application: str | None = None, max_age: timedelta = MAX_AGE, connection: Connection | None = None
    ) -> Counts:
        """Return how many rows are in each state, in all and for each organization; None counts all applications."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(read_statements.COUNT, {"max_age": max_age, "application": application})
            total, *organizations = await cursor.fetchall()
        return Counts(
            pending=total["pending"],
            claimed=total["claimed"],
            withdrawn=total["withdrawn"],
            expired=total["expired"],
            defaulted=total["defaulted"],
            endings_to_tell=total["endings_to_tell"],
            due_within_the_hour=total["due_within_the_hour"],
            cards_to_post=total["cards_to_post"],
            cards_never_posted=total["cards_never_posted"],
            stale=total["stale"],
            undelivered=total["undelivered"],
            stuck=total["stuck"],
            oldest_pending_seconds=total["oldest_pending"],
            oldest_undelivered_seconds=total["oldest_undelivered"],
            organizations=tuple(
                OrganizationCounts(
                    organization_id=row["organization_id"],
                    pending=row["pending"],
                    stale=row["stale"],
                    undelivered=row["undelivered"],
                    stuck=row["stuck"],
                )
                for row in organizations
            ),
        )

    async def stuck(self, *, application: str = "") -> list[str]:
        """Return the ids of an application's answers that wait for a person, the oldest first."""
        async with self._reading(None) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(lease_statements.STUCK, {"application": application})
            return await cursor.fetchall()

    async def count_stale(
        self,
        *,
        max_age: timedelta = MAX_AGE,
        cap: int | None = REMAINING_CAP,
        include_undelivered: bool = False,
        connection: Connection | None = None,
    ) -> int:
        """Return how many rows a sweep would take, counted to `cap` at most, which keeps it quick (None: all)."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            parameters = {
                "max_age": max_age,
                "cap": cap,
                "endings_kept": ENDINGS_KEPT,
                "include_undelivered": include_undelivered,
            }
            await cursor.execute(ending_statements.COUNT_STALE, parameters)
            counted = await cursor.fetchone()
        return int(counted or 0)

    async def count_stale_undelivered(self, *, max_age: timedelta = MAX_AGE) -> int:
        """Return how many undelivered and stuck answers a sweep leaves alone."""
        async with self._reading(None) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(ending_statements.COUNT_STALE_UNDELIVERED, {"max_age": max_age})
            return int(await cursor.fetchone() or 0)

    @asynccontextmanager
    async def _reading(self, connection: Connection | None) -> AsyncIterator[Connection]:
        """Reading never writes, and never runs for ever; a caller's own transaction stays as the caller made it."""
        if connection is not None:
            yield connection
            return
        async with Borrowed(self._source) as borrowed, borrowed.transaction():
            timeout = int(READ_TIMEOUT.total_seconds() * 1000)
            await borrowed.execute(f"set transaction read only; set local statement_timeout = {timeout}")
            yield borrowed


def _payload(row: dict[str, Any]) -> JsonObject:
    try:
        return read_payload(row["payload"])
    except UnreadablePayload:
        return {}


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    unposted = None if row["unposted"] is None else Unposted(row["unposted"])
    return {**row, "state": State(row["state"]), "unposted": unposted}
