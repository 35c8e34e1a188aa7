"""Parts of a pool: what one purpose lacks, another one has not taken."""

from __future__ import annotations

import asyncio

from .connections import Connection, ConnectionSource


class Share:
    """Lends at most `at_once` of a source's connections at a time, so that other shares find some."""

    def __init__(self, source: ConnectionSource, at_once: int) -> None:
        self._source = source
        self._free = asyncio.Semaphore(at_once)

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
