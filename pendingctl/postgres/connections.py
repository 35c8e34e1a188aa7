"""Connections that keep the store's promises: one, a pool of them, or one that is borrowed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import psycopg
from psycopg.pq import TransactionStatus

from .. import __version__
from ..errors import NotConnected, PendingctlError
from .driver_errors import is_the_drivers, translate, translated_errors
from .dsn import connect_parameters
from .sessions import Connection, Deadline, is_alive, no_reply, prepare_connection
from .time_limits import BORROW_SECONDS, Purpose

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

Pool: TypeAlias = "AsyncConnectionPool[Connection]"

__all__ = [
    "Borrowed",
    "CommandConnection",
    "Connection",
    "ConnectionSource",
    "Pool",
    "SingleConnection",
    "connect",
    "in_transaction",
    "open_pool",
    "prepare_connection",
]


class ConnectionSource(Protocol):
    """Where connections are taken from: a psycopg pool, or one of the sources below."""

    async def getconn(self) -> Connection:
        """Lend a connection."""
        ...

    async def putconn(self, conn: Connection, /) -> None:
        """Take it back; one that is closed is replaced."""
        ...


@runtime_checkable
class WatchfulSource(Protocol):
    """A source that knows why it has no connection, and takes a warning: `pool.StorePool`."""

    trouble: PendingctlError | None

    def suspect(self, since: float) -> None:
        """A connection has been silent since then (of `time.monotonic`); lend none that was not heard of later."""
        ...


async def connect(dsn: str, *, application: str) -> Connection:
    """Open one connection that keeps the store's promises: see `prepare_connection`.

    Raises InvalidInput for a malformed string, NotConnected when no server answers, and UnfitSetting.
    """
    added = connect_parameters(dsn, application)
    with translated_errors():
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, **added)  # type: ignore[arg-type]
        try:
            await prepare_connection(connection)
        except BaseException:
            await connection.close()
            raise
    return connection


def open_pool(
    dsn: str,
    *,
    application: str | None = None,
    min_size: int = 1,
    max_size: int = 10,
    timeout: float = BORROW_SECONDS,
    configure: Callable[[Connection], Awaitable[None]] | None = None,
) -> Pool:
    """Return a pool of connections fit for the store, to be entered with `async with`.

    `timeout` is how many seconds a caller waits for a free connection; `configure` is called with each new
    connection. `application` names the sessions, unless the connection string does; by default they are named after
    the version and the host, by which `pendingctl doctor` knows a pod.

    It is for the process that opens it: in one that was forked later, its use raises InvalidInput.

    Raises InvalidInput for a malformed string; a server that does not answer, or that has a setting with which
    pendingctl cannot work, shows itself at the first use, as NotConnected or UnfitSetting.
    """
    from .pool import StorePool

    if application is None:
        application = f"pendingctl pod {__version__} {socket.gethostname()}"
    return StorePool(
        dsn, application=application, min_size=min_size, max_size=max_size, timeout=timeout, configure=configure
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
        # Of two tasks that are the first one connects.
        self._connecting = asyncio.Lock()

    async def getconn(self) -> Connection:
        """Lend the connection. Raises as `connect` does."""
        async with self._connecting:
            if self._connection is None or not is_alive(self._connection):
                await self.close()
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
    stays as the caller has it. The driver's errors are raised as pendingctl's own.

    All of it, the wait for a connection and COMMIT included, ends within the purpose's limit: then the connection is
    hung up, and DatabaseUnreachable raised. It is not cancelled: a cancelled wait for a synchronous standby
    acknowledges what is not replicated (PostgreSQL manual, section 26.2.8.3), and on a silent connection a cancellation
    waits as well. A given connection has the limit of whoever borrowed it.

    (A class, and not the pool's own context manager within others: that makes a claim cost a pod an eighth less.)
    """

    __slots__ = ("_borrowed", "_deadline", "_given", "_lent_at", "_seconds", "_source")

    def __init__(
        self, source: ConnectionSource, given: Connection | None = None, *, purpose: Purpose = Purpose.READ
    ) -> None:
        self._source = source
        self._given = given
        self._seconds = purpose.seconds
        self._borrowed: Connection | None = None
        self._deadline: Deadline | None = None
        self._lent_at = 0.0

    async def __aenter__(self) -> Connection:
        if self._given is not None:
            return self._given
        if isinstance(self._source, CommandConnection):
            # It connects at its first use, which has a limit of its own.
            connection = await self._source.getconn()
            self._deadline = self._from_now(connection)
        else:
            self._deadline = self._from_now()
            connection = await self._lent(self._deadline)
        self._borrowed = connection
        self._lent_at = time.monotonic()
        return connection

    def _from_now(self, connection: Connection | None = None) -> Deadline:
        return Deadline(self._seconds, connection)

    async def _lent(self, deadline: Deadline) -> Connection:
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        connection: Connection | None = None
        try:
            connection = await self._source.getconn()
            if task.cancelling() > cancellations:
                raise asyncio.CancelledError
        except BaseException as error:
            deadline.call_off()
            if connection is not None:
                await self._source.putconn(connection)
            # Before Python 3.12 asyncio.wait_for, with which a pool waits for a connection, forgets a cancellation that
            # comes when the connection does, or the end of the pool (github.com/python/cpython/issues/86296); a loop
            # that is closed would go on for ever.
            was_cancelled = isinstance(error, asyncio.CancelledError) or task.cancelling() > cancellations
            if was_cancelled and deadline.has_passed and task.uncancel() <= cancellations:
                raise self._trouble() or NotConnected(
                    f"no connection of the pool was free within {self._seconds:g} s; try again, or give the pool more"
                ) from error
            if was_cancelled and not isinstance(error, asyncio.CancelledError):
                raise asyncio.CancelledError from error
            if is_the_drivers(error):
                raise self._trouble() or translate(error) from error
            raise
        deadline.watch(connection)
        return connection

    def _trouble(self) -> PendingctlError | None:
        """Why the source has no connection, where it knows: the same each time, so a copy."""
        trouble = self._source.trouble if isinstance(self._source, WatchfulSource) else None
        return trouble and copy(trouble)

    def go_on(self) -> None:
        """Begin the limit anew: what was sent is done, and more of the same follows in this transaction."""
        if self._borrowed is not None and self._deadline is not None and not self._deadline.has_passed:
            self._deadline.call_off()
            self._deadline = self._from_now(self._borrowed)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._borrowed is not None:
            try:
                if self._borrowed.pgconn.transaction_status != TransactionStatus.IDLE:
                    await self._end_transaction(self._borrowed, error)
            finally:
                await self._give_back(self._borrowed)
        if error is not None and is_the_drivers(error):
            raise self._translated(error) from error

    async def _end_transaction(self, connection: Connection, error: BaseException | None) -> None:
        try:
            if error is None:
                await connection.commit()
            else:
                await connection.rollback()
        except psycopg.Error as trouble:
            # The error of the block is the one to raise, not one that it has led to.
            if error is None:
                raise self._translated(trouble) from trouble

    async def _give_back(self, connection: Connection) -> None:
        assert self._deadline is not None
        self._deadline.call_off()
        if self._deadline.has_passed and isinstance(self._source, WatchfulSource):
            self._source.suspect(self._lent_at)
        await self._source.putconn(connection)

    def _translated(self, error: BaseException) -> PendingctlError:
        has_passed = self._deadline is not None and self._deadline.has_passed
        if has_passed and isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            return no_reply(self._seconds)
        return translate(error)


@asynccontextmanager
async def in_transaction(source: ConnectionSource, *, purpose: Purpose = Purpose.SINK) -> AsyncIterator[Connection]:
    """Lend a connection in a transaction that ends with the block."""
    async with Borrowed(source, purpose=purpose) as borrowed, borrowed.transaction():
        yield borrowed
