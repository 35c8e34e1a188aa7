"""The database fails over to a standby that has each commit: readers who stay and who come back miss nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.embedded import throwaway_pair
from pendingctl.errors import DatabaseUnreachable
from pendingctl.events.streams import Streams
from pendingctl.schema import migrations
from tests.events.streaming import said
from tests.events.writers import CHAT
from tests.sse.conftest import running
from tests.sse.event_source import until
from tests.sse.followers import following, in_order

pytestmark = pytest.mark.once


@pytest.mark.law(18)
async def test_each_gets_each_event_once_though_the_database_fails_over() -> None:
    async with AsyncExitStack() as stack:
        pair = stack.enter_context(throwaway_pair())
        migrations.apply(pair.dsn)
        with psycopg.connect(pair.dsn) as connection:
            connection.execute("insert into organization (id) values ('acme')")
        pools = [await stack.enter_async_context(open_pool(pair.dsn, max_size=5, timeout=0.3)) for _ in range(3)]
        writing, *pods = [await stack.enter_async_context(running(pool)) for pool in pools]
        ports = [pod.listening.port for pod in pods]
        stayed = await stack.enter_async_context(following(ports, "/chat", 10))
        roaming = await stack.enter_async_context(following(ports, "/chat", 10, leaves_after=0.1))
        last, is_over = 0, asyncio.Event()

        async def write(streams: Streams) -> None:
            nonlocal last
            while not is_over.is_set():
                try:
                    appended = await streams.append(CHAT, said(str(last + 1)), expected=last)
                except DatabaseUnreachable:
                    await asyncio.sleep(0.05)
                else:
                    last = appended.last_seq
                    await asyncio.sleep(0.01)

        group = await stack.enter_async_context(asyncio.TaskGroup())
        task = group.create_task(write(writing.streams))
        stack.callback(is_over.set)
        await until(lambda: all(len(each.dispatched) > 5 for each in stayed + roaming))
        await asyncio.to_thread(pair.primary.stop)
        came = await stack.enter_async_context(following(ports, "/chat", 10))
        visits = [len(each.statuses) for each in roaming]
        await until(
            lambda: (
                all(len(each.statuses) > before + 2 for each, before in zip(roaming, visits, strict=True))
                and all(each.statuses for each in came)
            )
        )
        at_failover = last
        await asyncio.to_thread(pair.fail_over)
        await until(lambda: last > at_failover + 10, within=60)
        is_over.set()
        await task

        everyone = stayed + roaming + came
        await until(lambda: all(len(each.dispatched) >= last for each in everyone))
        assert in_order(everyone, last)
        assert {len(each.statuses) for each in stayed + came} == {1}
