"""Readers that come back whenever their connection ends, as browsers do, and what they have seen by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from tests.sse.event_source import EventSource


@dataclass
class Follower(EventSource):
    """A browser that comes back to one pod after another; `statuses` are those of its responses.

    It leaves each response so many seconds after its head, unless that is None.
    """

    statuses: list[int] = field(default_factory=list)
    leaves_after: float | None = None

    async def follow(self, ports: list[int], path: str) -> None:
        for turn in count():
            # Whoever finds nobody tries again, as a browser does.
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._read(ports[turn % len(ports)], path)
            self.forget_what_was_cut_off()
            await asyncio.sleep(0.05)

    async def _read(self, port: int, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            # By HTTP/1.0 the body comes without chunks.
            writer.write(f"GET {path} HTTP/1.0\r\nLast-Event-ID: {self.last_event_id}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            self.statuses.append(int(head.split(b" ", 2)[1]))
            async with asyncio.timeout(self.leaves_after):
                while line := await reader.readline():
                    self.take(line)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def following(
    ports: list[int], path: str, number: int, *, after: str = "", leaves_after: float | None = None
) -> AsyncIterator[list[Follower]]:
    """So many followers for the block, all behind one event; each goes from port to port, of which more may come."""
    followers = [Follower(last_event_id=after, leaves_after=leaves_after) for _ in range(number)]
    tasks = [asyncio.create_task(each.follow(ports, path)) for each in followers]
    try:
        yield followers
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


def in_order(followers: list[Follower], last: int) -> bool:
    """Whether each has got each event, once and in order, and no status but 200."""
    expected = [str(number) for number in range(1, last + 1)]
    wrong = [each for each in followers if [event.data for event in each.dispatched] != expected]
    assert not wrong, [event.data for event in wrong[0].dispatched]
    return {status for each in followers for status in each.statuses} == {200}
