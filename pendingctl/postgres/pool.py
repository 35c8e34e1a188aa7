"""A pool that lends no connection of which it could know that it is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from ..errors import InvalidInput, PendingctlError
from .driver_errors import translate
from .dsn import connect_parameters
from .sessions import Connection, is_alive, prepare_connection, within
from .time_limits import BORROW_SECONDS, CHECK_SECONDS, POD_CONNECT_SECONDS, PREPARE_SECONDS, RECONNECT_SECONDS

# The least time in which a pool takes notice that it is asked.
_ASK_SECONDS = 0.001


class _PooledConnection(psycopg.AsyncConnection[TupleRow]):
    """A connection of which is known when the server was last heard on it, by `time.monotonic`.

    Why one could not be made is reported to `on_failure`, where a pool only logs it.
    """

    heard_at = 0.0

    @classmethod
    async def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, on_failure: Callable[[Exception], None], **parameters: Any
    ) -> Self:
        """Connect, as the driver does."""
        try:
            return await super().connect(conninfo, **parameters)
        except Exception as error:
            on_failure(error)
            raise


class StorePool(AsyncConnectionPool[Connection]):
    """Connections fit for the store. `trouble` is why none could be made; None after one could.

    Before a connection is lent it is looked at: one that the other end has closed is replaced, without a round trip.
    One that has fallen silent looks like any other; whoever has waited on one in vain reports it with `suspect`, and
    those that have not replied since are replaced instead of costing a further wait each.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application: str,
        min_size: int,
        max_size: int,
        timeout: float = BORROW_SECONDS,
        configure: Callable[[Connection], Awaitable[None]] | None,
    ) -> None:
        self.trouble: PendingctlError | None = None
        self._further = configure
        self._silent_since = 0.0
        self._process = os.getpid()
        super().__init__(
            dsn,
            connection_class=_PooledConnection,
            kwargs={
                "autocommit": True,
                "on_failure": self._note_trouble,
                **connect_parameters(dsn, application, POD_CONNECT_SECONDS),
            },
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            configure=self._make_fit,
            reconnect_timeout=RECONNECT_SECONDS,
            open=False,
            name=application,
        )

    async def getconn(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 (the pool's own)
        """Lend a connection that is not known to be lost. Raises InvalidInput in a forked process."""
        if self._process != os.getpid():
            # Over a connection that two processes share each reads the replies to the other.
            raise InvalidInput("the pool was opened before this process was forked; open one in each process")
        while True:
            connection = await super().getconn(timeout)
            assert isinstance(connection, _PooledConnection)
            if connection.heard_at >= self._silent_since and is_alive(connection):
                return connection
            connection.pgconn.finish()
            await super().putconn(connection)

    async def putconn(self, conn: Connection) -> None:
        """Take a connection back; one that is broken is replaced."""
        assert isinstance(conn, _PooledConnection)
        conn.heard_at = time.monotonic()
        await super().putconn(conn)

    async def reconnect_failed(self) -> None:
        """Go on trying for those who wait: a pool that has given up tries again when somebody asks, and they have."""
        await super().reconnect_failed()
        if self.get_stats()["requests_waiting"]:
            with suppress(PoolTimeout, PoolClosed):
                await super().putconn(await super().getconn(_ASK_SECONDS))

    def suspect(self, since: float) -> None:
        """A connection has been silent since then (of `time.monotonic`); lend none that was not heard of later."""
        self._silent_since = max(self._silent_since, since)

    @staticmethod
    async def check_connection(conn: Connection) -> None:
        """Raise unless the connection replies in time."""
        with within(conn, CHECK_SECONDS):
            await AsyncConnectionPool.check_connection(conn)

    async def _make_fit(self, connection: Connection) -> None:
        assert isinstance(connection, _PooledConnection)
        try:
            await prepare_connection(connection)
            if self._further is not None:
                with within(connection, PREPARE_SECONDS):
                    await self._further(connection)
        except Exception as error:
            self._note_trouble(error)
            # The pool forgets it without closing it.
            connection.pgconn.finish()
            raise
        self.trouble = None
        connection.heard_at = time.monotonic()

    def _note_trouble(self, error: Exception) -> None:
        self.trouble = error if isinstance(error, PendingctlError) else translate(error)
