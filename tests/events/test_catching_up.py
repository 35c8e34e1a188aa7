"""Readers that are behind share the reads of pages, and none is judged by a read that began before it came."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg

from pendingctl import open_pool
from pendingctl.events.catching_up import CatchingUp
from pendingctl.events.followed import Followed, History, Memory
from pendingctl.events.model import Cursor, Reset
from pendingctl.events.reads import open_streams
from pendingctl.events.waking import key_of
from tests.events.writers import CHAT, append
from tests.faults.proxy import Hold, running_proxy


async def test_a_reader_that_comes_during_a_read_is_not_judged_by_it(dsn: str, connection: psycopg.Connection) -> None:
    """It comes from another pod, with an event that was appended after the read has looked."""
    first = append(connection, "one")
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn) as pool:
        async with pool.connection() as borrowed:
            stream = (await open_streams(borrowed, [CHAT]))[CHAT]
        followed = Followed(CHAT, key_of(CHAT))
        followed.history = history = History(stream, 1)
        catching_up = CatchingUp(pool, Memory(), lambda _: None)

        proxy.hold = hold = Hold(b"here_at")
        with_a_lost_event = asyncio.create_task(catching_up.page(followed, history, 2))
        await asyncio.wait_for(hold.has_come.wait(), 5)
        cursor = append(connection, "two")
        with_the_new_event = asyncio.create_task(catching_up.page(followed, history, 2))
        await asyncio.sleep(0)
        hold.released.set()

        before, after = await asyncio.wait_for(asyncio.gather(with_a_lost_event, with_the_new_event), 5)
        assert before is not None
        assert after is not None
        assert isinstance(before.judge(Cursor(2, first.at - timedelta(seconds=1))), Reset)
        assert after.judge(cursor) is None
        assert catching_up.reads == 2
