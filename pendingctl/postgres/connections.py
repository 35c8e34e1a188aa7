"""Connections that keep the store's promises: one, a pool of them, or one that is borrowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from .driver_errors import translate, translated_errors
from .dsn import connect_parameters

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]
Pool: TypeAlias = "AsyncConnectionPool[Connection]"

# A pooler tells its clients a process number of its own making, for cancel requests that it forwards.
SESSION = "select current_setting('transaction_isolation'), pg_backend_pid()"


class ConnectionSource(Protocol):
    """Where connections are taken from: a psycopg pool, or one of the sources below."""

    async def getconn(self) -> Connection:
        """Lend a connection."""
        ...

    async def putconn(self, conn: Connection, /) -> None:
        """Take it back."""
        ...


async def connect(dsn: str, *, application: str) -> Connection:
    """Open one connection that keeps the store's promises: see `prepare_connection`.

    Raises InvalidInput for a malformed string and DatabaseUnreachable when no server answers.
    """
    added = connect_parameters(dsn, application)
    with translated_errors():
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, **added)  # type: ignore[arg-type]
        await prepare_connection(connection)
    return connection


async def prepare_connection(connection: Connection) -> None:
    """Make a connection fit for the store: each statement commits by itself, under read committed.

    Under repeatable read the loser of a race gets error 40001 instead of an answer (PostgreSQL manual, section
    13.2). Where a role or a database has another default, each statement gets a transaction of its own that
    names the level, which also holds behind a pooler in transaction mode, where a session setting would not.

    Behind a pooler nothing is prepared: in transaction mode the next statement may run in another session
    (pgbouncer.org, "Features").
    """
    await connection.set_autocommit(True)
    row = await (await connection.execute(SESSION)).fetchone()
    assert row is not None
    isolation, backend_pid = row
    if backend_pid != connection.info.backend_pid:
        connection.prepare_threshold = None
    if isolation != "read committed":
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await connection.set_autocommit(False)


def open_pool(
    dsn: str,
    *,
    application: str = "pendingctl",
    min_size: int = 1,
    max_size: int = 10,
    timeout: float = 5.0,
    configure: Callable[[Connection], Awaitable[None]] | None = None,
) -> Pool:
    """Return a pool of connections fit for the store, to be entered with `async with`.

    `timeout` is how many seconds a caller waits for a free connection; `configure` is called with each new
    connection. Raises InvalidInput for a malformed string; a server that does not answer shows itself at the first
    use, as DatabaseUnreachable.
    """
    from psycopg_pool import AsyncConnectionPool

    async def prepare(connection: Connection) -> None:
        await prepare_connection(connection)
        if configure is not None:
            await configure(connection)

    return AsyncConnectionPool(
        dsn,
        kwargs={"autocommit": True, **connect_parameters(dsn, application)},
        min_size=min_size,
        max_size=max_size,
        timeout=timeout,
        configure=prepare,
        open=False,
        name=application,
    )


class SingleConnection:
    """One connection lent again and again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def getconn(self) -> Connection:
        """Lend the connection."""
        return self._connection

    async def putconn(self, conn: Connection, /) -> None:
        """Keep it for the next time."""


class CommandConnection:
    """One connection, opened on first use and reopened if lost: what a command needs, without a pool's tasks."""

    def __init__(self, dsn: str, *, application: str) -> None:
        self._dsn = dsn
        self._application = application
        self._connection: Connection | None = None

    async def getconn(self) -> Connection:
        """Lend the connection. Raises as `connect` does."""
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._dsn, application=self._application)
        return self._connection

    async def putconn(self, conn: Connection, /) -> None:
        """Keep it for the next time."""

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.close()


class Borrowed:
    """A connection for as long as the block: the caller's own if `given`, else one of the source.

    At the end of the block what a borrowed connection did is committed, or rolled back after an error; a given one
    stays as the caller has it. The driver's errors are raised as pendingctl's own. (A class, and not the pool's own
    context manager within others: that makes a claim cost a pod an eighth less.)
    """

    __slots__ = ("_borrowed", "_given", "_source")

    def __init__(self, source: ConnectionSource, given: Connection | None = None) -> None:
        self._source = source
        self._given = given
        self._borrowed: Connection | None = None

    async def __aenter__(self) -> Connection:
        if self._given is not None:
            return self._given
        task = asyncio.current_task()
        cancellations = task.cancelling() if task is not None else 0
        try:
            connection = await self._source.getconn()
        except psycopg.Error as error:
            raise translate(error) from error
        # Before Python 3.12 asyncio.wait_for, with which a pool waits for a connection, forgets a cancellation that
        # comes when the connection does (github.com/python/cpython/issues/86296); a loop that is closed would go on
        # for ever.
        if task is not None and task.cancelling() > cancellations:
            await self._source.putconn(connection)
            raise asyncio.CancelledError
        self._borrowed = connection
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._borrowed is not None:
            try:
                if self._borrowed.pgconn.transaction_status != TransactionStatus.IDLE:
                    await _end_transaction(self._borrowed, error)
            finally:
                await self._source.putconn(self._borrowed)
        if isinstance(error, psycopg.Error):
            raise translate(error) from error


async def _end_transaction(connection: Connection, error: BaseException | None) -> None:
    if error is None:
        with translated_errors():
            await connection.commit()
    else:
        # The error of the block is the one to raise, not one that it has led to.
        with suppress(psycopg.Error):
            await connection.rollback()


@asynccontextmanager
async def in_transaction(source: ConnectionSource) -> AsyncIterator[Connection]:
    """Lend a connection in a transaction that ends with the block."""
    async with Borrowed(source) as borrowed, borrowed.transaction():
        yield borrowed
