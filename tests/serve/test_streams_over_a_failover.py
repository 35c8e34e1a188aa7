"""Readers at pods whose database fails over to a standby that has not got all commits: none hears of two histories."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from pendingctl.embedded import throwaway_pair
from pendingctl.schema import migrations
from tests.sse.event_source import until
from tests.sse.followers import Follower, following

from .applications import bearer
from .pods import TOKEN, ServedPod, configuration, served
from .test_streams import STREAMS

pytestmark = pytest.mark.once

RESET, END = ("pendingctl.reset", "{}"), ("pendingctl.end", "{}")


async def append(client: httpx.AsyncClient, pod: ServedPod, name: str, texts: Sequence[str], expected: int) -> str:
    """Append events, again and again while the database is away, and return the position after them."""
    body = {"events": [{"type": "said", "data": text} for text in texts], "expected": expected}
    async with asyncio.timeout(60):
        while not (answered := await client.post(f"{pod.url}/streams/{name}/events", json=body)).is_success:
            assert answered.status_code == 503
            await asyncio.sleep(0.1)
    return str(answered.json()["cursor"])


def said(*texts: str) -> list[tuple[str, str]]:
    return [("said", text) for text in texts]


def got(followers: Sequence[Follower]) -> list[list[tuple[str, str]]]:
    """What each of them was given, one of those that are equal."""
    each_got = [[(event.type, event.data) for event in each.dispatched] for each in followers]
    return [each for place, each in enumerate(each_got) if each not in each_got[:place]]


@pytest.mark.law(18)
async def test_whoever_was_given_what_a_failover_loses_is_told_and_nobody_else(tmp_path: Path) -> None:
    text = configuration(slack_url="http://127.0.0.1/api/", worker_url=None, more=STREAMS)
    async with AsyncExitStack() as stack:
        pair = stack.enter_context(throwaway_pair(is_synchronous=False))
        migrations.apply(pair.dsn)
        pod = await stack.enter_async_context(served(text, pair.dsn, tmp_path))
        client = await stack.enter_async_context(httpx.AsyncClient(verify=False, headers=bearer(TOKEN), timeout=30))
        ports, paths, cursors = [pod.public_port], dict[str, str](), dict[str, str]()

        async def read(name: str, number: int, *, after: str = "", leaves_after: float | None = None) -> list[Follower]:
            return await stack.enter_async_context(
                following(ports, paths[name], number, after=after, leaves_after=leaves_after)
            )

        for name in ("lost", "kept", "closed"):
            paths[name] = (await client.post(f"{pod.url}/streams/{name}/tickets")).json()["url"]
            cursors[name] = await append(client, pod, name, ["1", "2", "3"], 0)
        await client.post(f"{pod.url}/streams/closed/close")
        await asyncio.to_thread(pair.fall_behind)
        lost = await append(client, pod, "lost", ["lost 4", "lost 5"], 3)
        stayed, roaming = await read("lost", 5), await read("lost", 5, leaves_after=0.2)
        unhurt = await read("kept", 5) + await read("kept", 5, leaves_after=0.2)
        ended = await read("closed", 5, leaves_after=0.2)
        await until(lambda: got(stayed + roaming) == [said("1", "2", "3", "lost 4", "lost 5")])
        await until(lambda: got(unhurt) == [said("1", "2", "3")] and all(204 in each.statuses for each in ended))

        await asyncio.to_thread(pair.primary.stop)
        visits = [len(each.statuses) for each in roaming]
        other = await stack.enter_async_context(served(text, pair.dsn, tmp_path, wait=False))
        ports.append(other.public_port)
        new, behind = await read("lost", 5), await read("lost", 5, after=cursors["lost"])
        back = await read("lost", 5, after=lost) + await read("lost", 5, after=lost, leaves_after=0.2)
        away = await read("closed", 5)
        await until(
            lambda: (
                all(len(each.statuses) > before + 2 for each, before in zip(roaming, visits, strict=True))
                and all(each.retry is not None for each in new + behind + back + away)
            )
        )
        await asyncio.to_thread(pair.fail_over)
        await append(client, pod, "lost", ["new 4", "new 5", "new 6"], 3)
        await append(client, other, "kept", ["4", "5", "6"], 3)

        history = said("1", "2", "3", "new 4", "new 5", "new 6")
        everyone = stayed + roaming + new + behind + back
        await until(lambda: all(each.dispatched[-1:] and each.dispatched[-1].data == "new 6" for each in everyone))
        assert got(stayed + roaming) == [[*said("1", "2", "3", "lost 4", "lost 5"), RESET, *history]]
        assert got(back) == [[RESET, *history]]
        assert got(behind) == [history[3:]]
        assert got(new) == [history]
        await until(lambda: got(unhurt) == [said("1", "2", "3", "4", "5", "6")])
        await until(lambda: got(away) == [[*said("1", "2", "3"), END]])
        assert {status for each in everyone + unhurt for status in each.statuses} == {200}
        assert {status for each in ended + away for status in each.statuses} <= {200, 204}
        assert {len(each.statuses) for each in stayed + new + behind + back[:5]} == {1}
        assert not [line for each in (pod, other) for line in each.lines if line["level"] in ("ERROR", "CRITICAL")]
