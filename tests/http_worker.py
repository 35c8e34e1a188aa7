"""A worker behind a URL on the loopback, which replies as the test wants, down to the bytes on its socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.listener import Listener

# Writes a reply to the request with this number, counted from 1 over all connections; returns whether more may follow.
Reply: TypeAlias = Callable[[asyncio.StreamWriter, int], Awaitable[bool]]


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass
class HttpWorker:
    """Takes requests on any number of connections."""

    reply: Reply
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                while True:
                    request = await _request(reader, writer.get_extra_info("peername"))
                    self.requests.append(request)
                    if not await self.reply(writer, len(self.requests)):
                        return
            finally:
                writer.close()

    def peers(self) -> int:
        """How many connections carried requests."""
        return len({request.peer for request in self.requests})


async def _request(reader: asyncio.StreamReader, peer: tuple[str, int]) -> Request:
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields if each)}
    return Request(line, headers, await reader.readexactly(int(headers["content-length"])), peer)


@asynccontextmanager
async def working_by(reply: Reply) -> AsyncIterator[HttpWorker]:
    """A worker that replies by a function."""
    worker = HttpWorker(reply)
    listener = Listener(worker.serve)
    worker.url = f"http://127.0.0.1:{await listener.start()}/answers"
    try:
        yield worker
    finally:
        await listener.stop()


@asynccontextmanager
async def working(*heads: str) -> AsyncIterator[HttpWorker]:
    """A worker that replies with the heads, one after the other, then with 204; it hangs at an empty one."""
    left = list(heads)

    async def reply(writer: asyncio.StreamWriter, number: int) -> bool:
        del number
        head = left.pop(0) if left else "204 No Content"
        if head:
            writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1"))
            await writer.drain()
        else:
            await asyncio.sleep(5)
        return False

    async with working_by(reply) as worker:
        yield worker
