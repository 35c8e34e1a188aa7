"""Hundreds of readers while their pod is stopped, or the database is away: each gets each event once, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest

from pendingctl.embedded import throwaway_server
from pendingctl.schema import migrations
from tests.hanging_server import paused
from tests.sse.event_source import EventSource, until

from .applications import bearer
from .pods import TOKEN, ServedPod, configuration, served
from .test_streams import STREAMS

pytestmark = pytest.mark.once

READERS = 200
REFUSE = "alter database {} allow_connections {}"
END = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"


@dataclass
class Follower(EventSource):
    """A browser that comes back to one pod after another; `statuses` are those of its responses."""

    statuses: list[int] = field(default_factory=list)

    async def follow(self, ports: list[int], path: str) -> None:
        for turn in count():
            # Whoever finds nobody tries again, as a browser does.
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._read(ports[turn % len(ports)], path)
            await asyncio.sleep(0.05)

    async def _read(self, port: int, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            # By HTTP/1.0 the body comes without chunks.
            writer.write(f"GET {path} HTTP/1.0\r\nLast-Event-ID: {self.last_event_id}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            self.statuses.append(int(head.split(b" ", 2)[1]))
            while line := await reader.readline():
                self.take(line)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def following(ports: list[int], path: str, number: int) -> AsyncIterator[list[Follower]]:
    followers = [Follower() for _ in range(number)]
    tasks = [asyncio.create_task(each.follow(ports, path)) for each in followers]
    try:
        yield followers
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result


@dataclass
class Writer:
    """Appends events whose data are their numbers, each until it is there."""

    client: httpx.AsyncClient
    url: str
    last: int = 0
    refused: list[httpx.Response] = field(default_factory=list)

    async def write(self, is_over: asyncio.Event) -> None:
        while not is_over.is_set():
            await self.append()
            await asyncio.sleep(0.02)

    async def append(self) -> None:
        body = {"events": [{"type": "said", "data": str(self.last + 1)}], "expected": self.last}
        while not (answered := await self.client.post(self.url, json=body, timeout=30)).is_success:
            self.refused.append(answered)
            await asyncio.sleep(0.1)
        self.last += 1


def in_order(followers: list[Follower], last: int) -> bool:
    """Whether each has got each event, once and in order, and no status but 200."""
    expected = [str(number) for number in range(1, last + 1)]
    wrong = [each for each in followers if [event.data for event in each.dispatched] != expected]
    assert not wrong, [event.data for event in wrong[0].dispatched]
    return {status for each in followers for status in each.statuses} == {200}


async def path_at(pod: ServedPod, client: httpx.AsyncClient) -> str:
    return str((await client.post(f"{pod.url}/streams/talk/tickets")).json()["url"])


async def test_hundreds_go_on_at_another_pod_when_theirs_is_stopped(dsn: str, tmp_path: Path) -> None:
    text = configuration(slack_url="http://127.0.0.1/api/", worker_url=None, more=STREAMS)
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(served(text, dsn, tmp_path)) for _ in range(2)]
        client = await stack.enter_async_context(httpx.AsyncClient(verify=False, headers=bearer(TOKEN)))
        path = await path_at(here, client)
        writer, is_over = Writer(client, f"{there.url}/streams/talk/events"), asyncio.Event()
        ports = [here.public_port, there.public_port]
        async with following(ports, path, READERS) as followers:
            writing = asyncio.create_task(writer.write(is_over))
            await until(lambda: all(len(each.dispatched) > 5 for each in followers), within=20)
            began, at_stop = time.monotonic(), writer.last
            assert await here.stop() == 0
            assert time.monotonic() - began < 8
            await until(lambda: all(len(each.dispatched) > at_stop + 20 for each in followers), within=20)
            is_over.set()
            await writing
            await until(lambda: all(len(each.dispatched) >= writer.last for each in followers), within=20)
            assert in_order(followers, writer.last)
            assert min(len(each.statuses) for each in followers) == 2
        assert writer.refused == []
        # None of them was cut off.
        assert not [line for pod in (here, there) for line in pod.lines if line["level"] != "INFO"]


@contextmanager
def away(dsn: str) -> Iterator[None]:
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(dsn, dbname="template1", autocommit=True) as elsewhere:
        elsewhere.execute(REFUSE.format(name, "false").encode())
        elsewhere.execute(END, [name])
        yield
        elsewhere.execute(REFUSE.format(name, "true").encode())


@pytest.mark.parametrize(
    ("trouble", "seconds"),
    [
        (away, 1.0),
        pytest.param(paused, 10.0, marks=pytest.mark.long),
        pytest.param(away, 60.0, marks=pytest.mark.long),
    ],
)
async def test_no_reader_is_told_of_an_outage(
    trouble: Callable[[str], AbstractContextManager[None]], seconds: float, tmp_path: Path
) -> None:
    text = configuration(slack_url="http://127.0.0.1/api/", worker_url=None, more=STREAMS)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(throwaway_server())
        migrations.apply(server.dsn)
        pod = await stack.enter_async_context(served(text, server.dsn, tmp_path))
        client = await stack.enter_async_context(httpx.AsyncClient(verify=False, headers=bearer(TOKEN), timeout=30))
        path, ports = await path_at(pod, client), [pod.public_port]
        writer, is_over = Writer(client, f"{pod.url}/streams/talk/events"), asyncio.Event()
        stayed = await stack.enter_async_context(following(ports, path, 20))
        writing = asyncio.create_task(writer.write(is_over))
        await until(lambda: all(len(each.dispatched) > 5 for each in stayed), within=20)
        with trouble(server.dsn):
            until_then = time.monotonic() + seconds
            came = await stack.enter_async_context(following(ports, path, 20))
            await until(lambda: all(each.retry is not None for each in came))
            assert [await path_at(pod, client) != "" for _ in range(3)] == [True] * 3
            shown = (await client.get(f"{pod.url}/metrics")).text
            assert "\npendingctl_stream_readers 40.0\n" in shown
            assert (await client.get(f"{pod.url}/readyz")).status_code == 200
            await until(lambda: bool(writer.refused) and time.monotonic() > until_then, within=seconds + 15)
        at_end = writer.last
        await until(lambda: writer.last > at_end + 10, within=30)
        is_over.set()
        await writing
        await until(lambda: all(len(each.dispatched) >= writer.last for each in stayed + came), within=20)
        assert in_order(stayed + came, writer.last)
        assert {each.status_code for each in writer.refused} == {503}
        assert all(each.headers["retry-after"] for each in writer.refused)
        # Nobody was sent away either.
        assert {len(each.statuses) for each in stayed + came} == {1}
        assert not [line for line in pod.lines if line["level"] in ("ERROR", "CRITICAL")]
