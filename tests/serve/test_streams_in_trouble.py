"""Hundreds of readers while their pod is stopped, or the database is away: each gets each event once, in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from pendingctl.embedded import throwaway_server
from pendingctl.schema import migrations
from tests.hanging_server import paused
from tests.outages import away
from tests.sse.event_source import until
from tests.sse.followers import following, in_order

from .applications import bearer
from .pods import TOKEN, ServedPod, configuration, served
from .test_streams import STREAMS

pytestmark = pytest.mark.once

READERS = 200


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


async def path_at(pod: ServedPod, client: httpx.AsyncClient) -> str:
    return str((await client.post(f"{pod.url}/streams/talk/tickets")).json()["url"])


async def test_hundreds_go_on_at_another_pod_when_theirs_is_stopped(dsn: str, tmp_path: Path) -> None:
    text = configuration(slack_url="http://127.0.0.1/api/", worker_url=None, more=STREAMS)
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(served(text, dsn, tmp_path)) for _ in range(2)]
        client = await stack.enter_async_context(httpx.AsyncClient(verify=False, headers=bearer(TOKEN), timeout=30))
        path = await path_at(here, client)
        writer, is_over = Writer(client, f"{there.url}/streams/talk/events"), asyncio.Event()
        ports = [here.public_port, there.public_port]
        async with following(ports, path, READERS) as followers:
            writing = asyncio.create_task(writer.write(is_over))
            await until(lambda: all(len(each.dispatched) > 5 for each in followers), within=20)
            at_stop = writer.last
            assert await here.stop() == 0
            await until(lambda: all(len(each.dispatched) > at_stop + 20 for each in followers), within=20)
            is_over.set()
            await writing
            await until(lambda: all(len(each.dispatched) >= writer.last for each in followers), within=20)
            assert in_order(followers, writer.last)
            assert min(len(each.statuses) for each in followers) == 2
        assert writer.refused == []
        # None of them was cut off.
        warned = [line for pod in (here, there) for line in pod.lines if line["level"] != "INFO"]
        assert not [line for line in warned if line["level"] != "WARNING" or "cut off" in str(line["message"])]


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
