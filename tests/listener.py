"""A TCP server of a test, which leaves no connection behind: one would be reported at whatever test runs then."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]

# An accepted connection reaches its server a few turns of the loop later.
_TURNS = 5


class Listener:
    """Serves each connection on loopback by a coroutine, and closes it afterwards."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Accept connections from now on, and return the port, which may be a reserved one."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, reuse_port=bool(port))
        return int(self._server.sockets[0].getsockname()[1])

    async def hang_up(self) -> None:
        """Close all present connections, so that whoever waits on one learns that it is gone."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def stop(self) -> None:
        """Refuse connections from now on, and close those that are there."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            await self.hang_up()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        # Also of one that is cancelled before it has begun.
        task.add_done_callback(lambda _: writer.close())


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of loopback that refuses connections, and that nobody is given while no listener is there."""
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holding.bind(("127.0.0.1", 0))
        yield int(holding.getsockname()[1])
