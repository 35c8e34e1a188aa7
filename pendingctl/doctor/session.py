"""The connection of doctor: what it reads it reads in short transactions that cannot write."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import copy
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row, scalar_row

from ..diagnosis.server import PoolMode, RoundTrip
from ..errors import DatabaseUnreachable, PendingctlError
from ..postgres.connections import Connection
from ..postgres.driver_errors import translated_errors
from ..postgres.dsn import connect_parameters, describe
from ..postgres.sessions import within
from . import statements

APPLICATION = "pendingctl doctor"

# For one statement, and for its wait for a lock: whoever holds a table exclusively is found by other means.
STATEMENT_SECONDS = 5.0
LOCK_SECONDS = 0.5
# For all of a transaction on the client's side, of which the server reports no limit.
REPLY_SECONDS = 15.0
# A pooler in transaction mode has a session free at once, the one that this connection has just had.
OTHER_SECONDS = 2.0

_LIMITS = (
    "set transaction isolation level read committed, read only; "
    f"set local lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'; set local statement_timeout = '{STATEMENT_SECONDS:g}s'"
)
_ROUND_TRIPS = 5

Parameters = Mapping[str, object]
Row = TypeVar("Row")


class Session:
    """One connection that is not made fit for the store, since doctor is to look at it as it is.

    A failed statement may end it (`exit_on_error`); it is opened again then, unless that has failed before.
    """

    def __init__(self, dsn: str, *, reply_seconds: float = REPLY_SECONDS) -> None:
        self._dsn = dsn
        self._reply_seconds = reply_seconds
        self._connection: Connection | None = None
        self._trouble: PendingctlError | None = None

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()

    async def rows(self, statement: str, row: type[Row], parameters: Parameters | None = None) -> tuple[Row, ...]:
        """Return what a statement returns, each row as the fields of a dataclass. Raises as `reading` does."""
        async with self.reading() as connection:
            cursor = connection.cursor(row_factory=class_row(row))
            await cursor.execute(statement.encode(), parameters)
            return tuple(await cursor.fetchall())

    async def one(self, statement: str, row: type[Row], parameters: Parameters | None = None) -> Row | None:
        """Return the only row of a statement, or None. Raises as `reading` does."""
        return next(iter(await self.rows(statement, row, parameters)), None)

    async def value(self, statement: str, parameters: Parameters | None = None) -> Any:
        """Return the only value of a statement, None without a row. Raises as `reading` does."""
        async with self.reading() as connection:
            cursor = connection.cursor(row_factory=scalar_row)
            await cursor.execute(statement.encode(), parameters)
            return await cursor.fetchone()

    async def plan(self, statement: str, parameters: Parameters) -> Mapping[str, Any]:
        """Return the top of a statement's plan, as JSON; nothing of it is run. Raises as `reading` does."""
        explained = await self.value(f"explain (format json) {statement}", parameters)
        plan: Mapping[str, Any] = explained[0]["Plan"]
        return plan

    async def round_trip(self) -> RoundTrip:
        """Measure the way to the server and back, and its clock. Raises the errors of a connection."""
        connection = await self._open()
        trips: list[tuple[float, float]] = []
        with translated_errors(), within(connection, self._reply_seconds):
            for _ in range(_ROUND_TRIPS):
                cursor = connection.cursor(row_factory=scalar_row)
                sent, began = time.time(), time.perf_counter()
                await cursor.execute(statements.CLOCK)
                seconds = time.perf_counter() - began
                trips.append((seconds, float(await cursor.fetchone() or 0) - sent - seconds / 2))
        seconds, ahead = min(trips)
        return RoundTrip(describe(self._dsn), seconds, ahead)

    async def pool_mode(self) -> PoolMode:
        """Look for a pooler, and whether it lends this session's place to others between two transactions.

        A pooler tells its clients a process number of its own making. In transaction mode it lends the session that it
        has used last, so that another connection gets the one that this connection has just had.
        """
        try:
            ours = await self.value("select pg_backend_pid()")
        except PendingctlError as error:
            # PgBouncer's own words; it hangs up over them.
            if "statement pooling mode" in str(error):
                return PoolMode.STATEMENT
            raise
        connection = await self._open()
        if ours == connection.info.backend_pid:
            return PoolMode.NONE
        other = Session(self._dsn, reply_seconds=OTHER_SECONDS)
        try:
            theirs = await other.value("select pg_backend_pid()")
        except DatabaseUnreachable:
            # The pooler has no further one, and this connection keeps its own.
            return PoolMode.SESSION_OR_UNSEEN
        finally:
            await other.close()
        if theirs == ours or await self.value("select pg_backend_pid()") != ours:
            return PoolMode.TRANSACTION
        return PoolMode.SESSION_OR_UNSEEN

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """Lend the connection in a transaction that cannot write and is rolled back. Raises PendingctlError."""
        connection = await self._open()
        with translated_errors(), within(connection, self._reply_seconds):
            async with connection.transaction(force_rollback=True):
                await connection.execute(_LIMITS)
                yield connection

    async def _open(self) -> Connection:
        if self._trouble is not None:
            raise copy(self._trouble)
        if self._connection is None or self._connection.closed:
            try:
                self._connection = await _connected(self._dsn)
            except PendingctlError as error:
                self._trouble = error
                raise
        return self._connection


async def _connected(dsn: str) -> Connection:
    added: dict[str, Any] = {**connect_parameters(dsn, APPLICATION), "autocommit": True, "prepare_threshold": None}
    with translated_errors():
        return await psycopg.AsyncConnection.connect(dsn, **added)
