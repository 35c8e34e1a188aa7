"""A listener on loopback for a test, and a client that sends bytes as they are."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from starlette.types import ASGIApp

from pendingctl.serve.configuration import Listener, Tls
from pendingctl.serve.connections import Limits
from pendingctl.serve.listeners import LIMITS, Listening, listen

# Above what any test waits for, so that a hang fails it.
PATIENCE = 20.0


def listener(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    base_path: str = "",
    trusted_proxies: tuple[str, ...] = (),
    tls: Tls | None = None,
) -> Listener:
    return Listener(host=host, port=port, base_path=base_path, trusted_proxies=trusted_proxies, tls=tls)


@asynccontextmanager
async def listening_for(
    app: ASGIApp, configured: Listener | None = None, *, limits: Limits = LIMITS
) -> AsyncIterator[Listening]:
    """Serve an application on loopback for the block."""
    listening = await listen(app, configured or listener(), limits=limits)
    try:
        yield listening
    finally:
        await listening.close(within=0)


class RawClient:
    """One connection to a listener. What is sent `first`, without TLS, is there before the listener has a turn."""

    def __init__(
        self, port: int, *, tls: ssl.SSLContext | None = None, reads_at_most: int = 2**16, first: bytes = b""
    ) -> None:
        self._port = port
        self._tls = tls
        self._reads_at_most = reads_at_most
        self._first = first

    async def __aenter__(self) -> Self:
        if self._first:
            connected = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
            connected.sendall(self._first)
            self.reader, self.writer = await asyncio.open_connection(sock=connected, limit=self._reads_at_most)
        else:
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self._port, ssl=self._tls, limit=self._reads_at_most
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> bytes:
        """Return the next response, of which the length is stated."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length")
                ),
                0,
            )
            return head + await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Return all that comes until the server closes the connection."""
        received = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(2**16):
                    received += data
            except ConnectionError:
                pass
        return received


async def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes on a connection of their own, and return all that comes until the server closes it."""
    async with RawClient(port) as client:
        client.send(sent)
        return await client.rest()


def status_of(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])
