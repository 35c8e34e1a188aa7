"""Pools of which a test knows how often they lend a connection."""

from __future__ import annotations

from pendingctl.errors import NotConnected
from pendingctl.postgres.connections import Connection, Pool


class Watched:
    """A pool of which each loan is counted, or that lends nothing."""

    def __init__(self, pool: Pool | None) -> None:
        self._pool = pool
        self.loans = 0

    async def getconn(self) -> Connection:
        self.loans += 1
        if self._pool is None:
            raise NotConnected("the database is away")
        return await self._pool.getconn()

    async def putconn(self, conn: Connection, /) -> None:
        assert self._pool is not None
        await self._pool.putconn(conn)
