"""Streams in processes that were forked from one that has them open, as a server that loads its program first does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.errors import InvalidInput
from pendingctl.events.following import Following
from pendingctl.events.streams import Streams
from pendingctl.events.waking import CHANNEL, Waker, key_of
from pendingctl.postgres.connections import Connection, Pool, connect
from tests.events.streaming import TALK, read_all, said, texts
from tests.events.test_outages import until_listening
from tests.events.writers import CHAT, append, datas, given, heard


async def forked(does: Callable[[], Coroutine[None, None, None]]) -> bool:
    """Whether a child process does that in an event loop of its own, without an error."""
    child = os.fork()
    if child == 0:
        # Another thread may have held a lock when it was forked, which nobody lets go of here: then this ends it.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        status = 1
        try:
            asyncio.run(asyncio.wait_for(does(), 40))
            status = 0
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    return status == 0


async def test_a_child_with_a_pool_of_its_own_and_its_parent_read_each_others_events(
    pool: Pool, following: Following, dsn: str
) -> None:
    streams = Streams(pool)
    await streams.append(CHAT, said("before"))
    subscription = following.subscribe(CHAT)
    assert datas(await given(subscription, 1)) == ["before"]
    reader = await until_listening(following)
    sessions = reader._connection

    async def child() -> None:
        async with open_pool(dsn) as own:
            of_the_child = Streams(own)
            assert datas(await given(of_the_child.subscribe(CHAT), 1)) == ["before"]
            await of_the_child.append(CHAT, said("the child's"))
            await of_the_child.settled()
            await of_the_child.drain()

    assert await forked(child)
    assert datas(await given(subscription, 1)) == ["the child's"]
    await streams.append(CHAT, said("the parent's"))
    assert datas(await given(subscription, 1)) == ["the parent's"]
    # What the child has let go of was its parent's, and is as it was.
    assert reader._connection is sessions
    assert reader.listening.is_proven


async def test_a_pool_that_was_opened_before_the_fork_is_refused(pool: Pool) -> None:
    streams = Streams(pool)
    await streams.append(TALK, said("a"))

    async def child() -> None:
        for attempt in (streams.append(TALK, said("b")), streams.read(TALK)):
            with pytest.raises(InvalidInput, match="open one in each process"):
                await attempt

    assert await forked(child)
    assert await texts(streams) == ["a"]
    assert len(await read_all(streams)) == 1


async def test_wake_ups_that_were_under_way_at_the_fork_hold_up_none_of_the_childs(
    pool: Pool, dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(f"listen {CHANNEL}".encode())

    class Source:
        """An application's own, whose connections are each process's."""

        async def getconn(self) -> Connection:
            return await (pool.getconn() if os.getpid() == parent else connect(dsn, application="child"))

        async def putconn(self, conn: Connection, /) -> None:
            await (pool.putconn(conn) if os.getpid() == parent else conn.close())

    parent, waker = os.getpid(), Waker(Source())
    waker.wake([TALK])

    async def child() -> None:
        waker.wake([CHAT])
        await waker.settled()

    append(connection, "one")
    assert await forked(child)
    assert key_of(CHAT) in {key for payload in heard(connection) for key in payload.split()}
    await waker.settled()
