"""A load balancer as teams have one before their pods: round robin over those that are ready, by /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count

import aiohttp

LOOK_SECONDS = 0.1
_LOOK_WITHIN = aiohttp.ClientTimeout(total=2.0)
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """A pod on loopback: the port that takes connections, and the address that says whether it wants any."""

    port: int
    ready_url: str


class Balancer:
    """Passes connections on to the `targets`, which may change at any time, in turn."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = list(targets)
        self.origin = ""
        self._ready: list[Target] = []
        self._turns = count()
        self._passing: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Look which pods are ready, for ever."""
        async with aiohttp.ClientSession(timeout=_LOOK_WITHIN) as client:
            while True:
                targets = list(self.targets)
                are_ready = await asyncio.gather(*(_is_ready(client, target) for target in targets))
                self._ready = [target for target, is_ready in zip(targets, are_ready, strict=True) if is_ready]
                await asyncio.sleep(LOOK_SECONDS)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on, until either side ends it."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)

    async def close(self) -> None:
        """Drop all connections."""
        passing = list(self._passing)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on; where a pod cannot be reached the next one has it."""
        try:
            # Not another turn each time: others take turns meanwhile, and it could be the same pod's again and again.
            first = next(self._turns)
            for turn in range(first, first + len(self.targets) + 1):
                targets = self._ready or self.targets
                target = targets[turn % len(targets)]
                try:
                    replies, requests = await asyncio.open_connection("127.0.0.1", target.port)
                except OSError:
                    continue
                try:
                    await asyncio.gather(_pass(reader, requests), _pass(replies, writer))
                finally:
                    requests.close()
                return
        finally:
            writer.close()


async def _is_ready(client: aiohttp.ClientSession, target: Target) -> bool:
    try:
        async with client.get(target.ready_url) as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def balanced(*targets: Target) -> AsyncIterator[Balancer]:
    """A balancer before these pods, at its `origin`."""
    balancer = Balancer(targets)
    looking = asyncio.create_task(balancer.look(), name="which pods are ready")
    server = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
    balancer.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield balancer
    finally:
        looking.cancel()
        server.close()
        await balancer.close()
        await asyncio.gather(looking, return_exceptions=True)
