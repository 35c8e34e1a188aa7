"""Parts of a pool: what one purpose lacks, another one has not taken."""

from __future__ import annotations

import asyncio

from ..errors import PendingctlError
from .connections import Connection, ConnectionSource, WatchfulSource


class Share:
    """Lends at most `at_once` of a source's connections at a time, so that other shares find some."""

    def __init__(self, source: ConnectionSource, at_once: int) -> None:
        self._source = source
        self._free = asyncio.Semaphore(at_once)

    @property
    def trouble(self) -> PendingctlError | None:
        """Why the source has no connection, where it knows."""
        return self._source.trouble if isinstance(self._source, WatchfulSource) else None

    def suspect(self, since: float) -> None:
        """A connection has been silent since then (of `time.monotonic`); the source lends none as old."""
        if isinstance(self._source, WatchfulSource):
            self._source.suspect(since)

    async def getconn(self) -> Connection:
        """Lend a connection of the source, when one of this share is free."""
        await self._free.acquire()
        try:
            return await self._source.getconn()
        except BaseException:
            self._free.release()
            raise

    async def putconn(self, conn: Connection, /) -> None:
        """Take it back."""
        try:
            await self._source.putconn(conn)
        finally:
            self._free.release()


def shares(source: ConnectionSource) -> tuple[ConnectionSource, ConnectionSource, ConnectionSource]:
    """Return the parts of a pool for requests, the pod's loop and sinks, each with connections that the others leave.

    A source that lends one connection, or says nothing of its size, is all three.
    """
    size = getattr(source, "max_size", None)
    if not isinstance(size, int) or size < 3:
        return source, source, source
    third = size // 3
    return Share(source, size - 2), Share(source, third), Share(source, third)
