"""A listener has no more connections than its limit allows, whatever those do that it has."""

from __future__ import annotations

import asyncio
import socket

from starlette.types import Receive, Scope, Send

from pendingctl.serve.connections import Limits
from tests.serve.clients import PATIENCE, RawClient, listening_for

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Sized:
    """An application that sends so many bytes, and counts the responses that it has ended."""

    def __init__(self, size: int) -> None:
        self.ended = asyncio.Semaphore(0)
        self._size = size

    async def __call__(self, _: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * self._size})
        self.ended.release()


async def test_a_connection_that_has_begun_its_next_request_with_its_last_is_not_idle() -> None:
    app = Sized(5)
    async with listening_for(app, limits=Limits(connections=1)) as listening, RawClient(listening.port) as client:
        client.send(GET + GET[:5])
        async with asyncio.timeout(PATIENCE):
            await client.reader.readuntil(b"\r\n0\r\n\r\n")
        async with RawClient(listening.port) as refused:
            assert await refused.rest() == b""
        client.send(GET[5:])
        async with asyncio.timeout(PATIENCE):
            assert await client.reader.readuntil(b"\r\n0\r\n\r\n")


async def test_a_connection_is_idle_once_its_client_has_taken_its_response() -> None:
    app = Sized(8 * 2**20)
    async with listening_for(app, limits=Limits(connections=1)) as listening:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect(("127.0.0.1", listening.port))
            slow.setblocking(False)
            slow.sendall(GET)
            async with asyncio.timeout(PATIENCE):
                await app.ended.acquire()
            async with RawClient(listening.port) as refused:
                assert await refused.rest() == b""

            end = b""
            async with asyncio.timeout(PATIENCE):
                while not end.endswith(b"\r\n0\r\n\r\n"):
                    end = end[-9:] + await asyncio.get_running_loop().sock_recv(slow, 2**20)
            async with RawClient(listening.port) as replacing:
                replacing.send(GET)
                async with asyncio.timeout(PATIENCE):
                    assert (await replacing.reader.readline()).startswith(b"HTTP/1.1 200")
