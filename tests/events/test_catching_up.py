"""Readers that are behind share the reads of pages, and none is judged by a read that began before it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.events import reads as reads_module
from pendingctl.events.catching_up import AT_ONCE, CatchingUp
from pendingctl.events.clients import Subscription
from pendingctl.events.followed import Followed, History, Memory
from pendingctl.events.following import Following
from pendingctl.events.model import Cursor, End, Gap, Reset
from pendingctl.events.reader import Reader
from pendingctl.events.reads import open_streams
from pendingctl.events.waking import key_of
from tests.events.test_outages import poll_rarely, until, until_listening, until_no_poll_is_near
from tests.events.writers import CHAT, append, append_numbers, close, datas, given, nothing_for
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
        await asyncio.wait_for(hold.has_come.wait(), 20)
        cursor = append(connection, "two")
        with_the_new_event = asyncio.create_task(catching_up.page(followed, history, 2))
        await asyncio.sleep(0)
        hold.released.set()

        before, after = await asyncio.wait_for(asyncio.gather(with_a_lost_event, with_the_new_event), 20)
        assert before is not None
        assert after is not None
        assert isinstance(before.judge(Cursor(2, first.at - timedelta(seconds=1))), Reset)
        assert after.judge(cursor) is None
        assert catching_up.reads == 2


@pytest.mark.parametrize("steps", range(4))
async def test_a_reader_that_has_just_asked_for_a_page_ends_with_its_pod(
    following: Following, connection: psycopg.Connection, steps: int
) -> None:
    append_numbers(connection, 1, 600)
    subscription = following.subscribe(CHAT)
    await given(subscription, 300)
    reading = asyncio.create_task(given(subscription, 300))
    for _ in range(steps):
        await asyncio.sleep(0)

    await following.drain(0)

    async with asyncio.timeout(20):
        with pytest.raises(StopAsyncIteration):
            await reading


@asynccontextmanager
async def behind_a_pod_at_the_end(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, *, closed: bool = False
) -> AsyncIterator[tuple[Subscription, Reader]]:
    """A reader whose first page is read after the block, on a pod that remembers nothing but the end, event 3.

    The pod notices nothing by itself.
    """
    poll_rarely(monkeypatch)
    append_numbers(connection, 1, 2)
    at_the_end = following.subscribe(CHAT, append(connection, "3"))
    if closed:
        close(connection)
    waiting = asyncio.create_task(given(at_the_end, 1))
    reader = await until_no_poll_is_near(following)
    async with AsyncExitStack() as others:
        for _ in range(AT_ONCE):
            await others.enter_async_context(reader._catching_up._turns)
        subscription = following.subscribe(CHAT)
        first = asyncio.create_task(given(subscription, 1))
        await until(lambda: bool(reader._catching_up._requests))
        first.cancel()
        yield subscription, reader
    waiting.cancel()


async def test_what_is_gone_before_an_event_that_the_pod_remembers_is_reported_once(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_a_pod_at_the_end(following, connection, monkeypatch) as (subscription, reader):
        with connection.transaction():
            connection.execute("delete from pending_stream_event where seq <= 3")
            append(connection, "next")

    assert await given(subscription, 1) == [Gap(1, 3)]
    after_the_gap = subscription.position
    assert await nothing_for(subscription, 0.2)
    reader._wake_up()
    assert datas(await given(subscription, 1)) == ["next"]
    assert datas(await given(following.subscribe(CHAT, after_the_gap), 1)) == ["next"]


@pytest.mark.law(18)
async def test_what_the_pod_remembers_of_another_history_is_not_given_to_a_reader_of_the_present_one(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_a_pod_at_the_end(following, connection, monkeypatch, closed=True) as (subscription, _):
        with connection.transaction():
            connection.execute("update pending_stream_event set at = at + interval '1 second'")
            connection.execute("update pending_stream set last_at = last_at + interval '1 second'")

    items = await given(subscription, 4)
    assert (datas(items), items[3]) == (["1", "2", "3"], End(3))


def lose(connection: psycopg.Connection, last_kept: int, *others: str) -> None:
    """Have the stream be as after a failover that has lost what follows a number, with others in its place."""
    with connection.transaction():
        connection.execute("delete from pending_stream_event where seq > %s", [last_kept])
        connection.execute("update pending_stream set last_seq = %s", [last_kept])
        append(connection, *others)


@pytest.mark.law(18)
async def test_a_page_of_what_took_the_place_of_lost_events_resets_a_reader_that_was_given_those(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the pod's reader has noticed: the connections for pages may be back sooner."""
    poll_rarely(monkeypatch)
    append_numbers(connection, 1, 600)
    subscription = following.subscribe(CHAT)
    before = await given(subscription, 300)
    reader = await until_no_poll_is_near(following)
    others = [f"another {number}" for number in range(201, 601)]
    lose(connection, 200, *others)

    while not isinstance(before[-1], Reset):
        before += await given(subscription, 1)

    assert datas(before) == [str(number) for number in range(1, len(before))]
    reader._wake_up()
    assert datas(await given(subscription, 600)) == [*map(str, range(1, 201)), *others]


@pytest.mark.law(18)
@pytest.mark.parametrize("others", [("another 5",), ("another 5", "another 6")], ids=len)
async def test_whoever_is_ahead_of_what_the_pod_remembers_is_told_that_this_was_lost(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...]
) -> None:
    is_first, is_lost = True, asyncio.Event()

    async def read_one_then_wait(*given: Any, **named: Any) -> Any:
        nonlocal is_first
        if is_first:
            is_first = False
            return await reads_module.read(*given, **{**named, "most_events": 1})
        await is_lost.wait()
        return await reads_module.read(*given, **named)

    waiting = asyncio.create_task(given(following.subscribe(CHAT, append_numbers(connection, 1, 3)), 1))
    await until_listening(following)
    monkeypatch.setattr("pendingctl.events.reader.read", read_one_then_wait)
    ahead = following.subscribe(CHAT, append_numbers(connection, 4, 5))
    coming = asyncio.create_task(given(ahead, 5 + len(others)))
    await until(lambda: ahead._history is not None)
    lose(connection, 4, *others)
    is_lost.set()

    items = await coming
    assert (items[0], datas(items)) == (Reset(4 + len(others)), ["1", "2", "3", "4", *others])
    await waiting
