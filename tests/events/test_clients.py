"""Many clients of a pod: they share what is read, and none costs another one anything."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from typing import Any

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.events import reader as reader_module
from pendingctl.events import reads as reads_module
from pendingctl.events.followed import RING_EVENTS, Memory
from pendingctl.events.following import Following
from pendingctl.events.model import Event, StreamName
from pendingctl.events.reader import Reader
from pendingctl.postgres.connections import Pool
from tests.events.test_outages import poll_rarely, reader_of, until, until_listening, until_no_poll_is_near
from tests.events.writers import CHAT, append, append_numbers, datas, given, seqs, wake


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are sent from now on."""
    execute = psycopg.AsyncCursor.execute
    sent: list[str] = []

    async def recorded(cursor: psycopg.AsyncCursor[Any], query: Any, *given: Any, **named: Any) -> Any:
        sent.append(str(query))
        return await execute(cursor, query, *given, **named)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", recorded)
    return sent


def reads(statements: list[str]) -> int:
    return sum("here_at" in statement for statement in statements)


async def test_an_idle_pod_makes_one_statement_a_second_at_most_however_many_streams_it_follows(
    following: Following, connection: psycopg.Connection, statements: list[str]
) -> None:
    names = [StreamName("acme", f"chat-{number}") for number in range(300)]
    for name in names[:200]:
        append(connection, "one", stream=name)
    subscriptions = [following.subscribe(name) for name in names]
    for subscription in subscriptions[:200]:
        await given(subscription, 1)
    waiting = [asyncio.create_task(given(each, 1)) for each in subscriptions]
    await until_listening(following)
    statements.clear()
    began = time.monotonic()
    await until(lambda: len(statements) >= 3)
    assert len(statements) <= time.monotonic() - began + 1, statements
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_wake_up_has_only_its_streams_read(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_rarely(monkeypatch)
    other = StreamName("acme", "other")
    append(connection, "one")
    append(connection, "one", stream=other)
    here, there = following.subscribe(CHAT), following.subscribe(other)
    await given(here, 1)
    await given(there, 1)
    reader = await until_no_poll_is_near(following)
    append(connection, "unheard", stream=other)
    append(connection, "heard", wakes=True)
    assert datas(await given(here, 1)) == ["heard"]
    history = reader._streams[other].history
    assert history is not None
    assert history.ring.end == 1


async def test_a_wake_up_that_comes_during_a_read_is_not_taken_for_answered_by_it(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_rarely(monkeypatch)
    append(connection, "one")
    subscription = following.subscribe(CHAT)
    await given(subscription, 1)
    reader = await until_no_poll_is_near(following)
    is_first = True

    async def read_then_woken(*given: Any, **named: Any) -> Any:
        nonlocal is_first
        found = await reads_module.read(*given, **named)
        if is_first:
            is_first = False
            append(connection, "three", wakes=True)
            await until(lambda: reader.listening.heard >= 2)
        return found

    monkeypatch.setattr("pendingctl.events.reader.read", read_then_woken)
    append(connection, "two", wakes=True)
    assert datas(await given(subscription, 2)) == ["two", "three"]


@pytest.mark.parametrize("is_followed", [False, True])
async def test_two_thousand_clients_that_return_at_once_cost_one_read(
    following: Following, connection: psycopg.Connection, statements: list[str], is_followed: bool
) -> None:
    cursors = [append(connection, str(number)) for number in range(40)]
    if is_followed:
        await given(following.subscribe(CHAT, cursors[-2]), 1)
    statements.clear()
    subscriptions = [following.subscribe(CHAT, cursors[20 + number % 19]) for number in range(2_000)]
    results = await asyncio.gather(*(given(each, 20 - 1 - number % 19) for number, each in enumerate(subscriptions)))
    assert all(seqs(items)[-1] == 40 for items in results)
    # Whether what the pod knows is still so is looked at once for all of them.
    assert reads(statements) == (2 if is_followed else 1)


async def test_a_slow_client_delays_nobody_and_gets_all(following: Following, connection: psycopg.Connection) -> None:
    slow, quick = following.subscribe(CHAT), following.subscribe(CHAT)
    append(connection, "0")
    await given(slow, 1)
    await given(quick, 1)
    await until_listening(following)
    for first in range(1, 1_001, 100):
        append_numbers(connection, first, first + 99)
        wake(connection, CHAT)
        assert seqs(await given(quick, 100)) == list(range(first + 1, first + 101))
    history = reader_of(following)._streams[CHAT].history
    assert history is not None
    assert len(history.ring.events) <= RING_EVENTS
    assert seqs(await given(slow, 1_000)) == list(range(2, 1_002))


async def test_what_a_pod_holds_in_memory_is_bounded(pool: Pool, connection: psycopg.Connection) -> None:
    """Events of 1 MiB on many streams, some of whose clients take nothing."""
    names = [StreamName("acme", f"chat-{number}") for number in range(30)]
    connection.execute(
        """
        with stream as (
            insert into pending_stream (organization_id, name, last_seq)
            select 'acme', name, 2 from unnest(%s::text[]) as name
            returning id, last_at
        )
        insert into pending_stream_event (slot, stream_id, seq, at, type, data)
        select 0, id, seq, last_at, 'said', repeat('x', 1 << 20) from stream cross join generate_series(1, 2) as seq
        """,
        [[name.name for name in names]],
    )
    memory = Memory(rings_bytes=4 << 20, pages_bytes=3 << 20)
    reader = Reader(pool, memory=memory)
    tracemalloc.start()
    try:
        stalled = [reader.subscribe(name) for name in names]
        subscriptions = [reader.subscribe(name) for name in names]
        for subscription in subscriptions:
            for _ in range(2):
                item = await anext(subscription)
                assert isinstance(item, Event)
                assert len(item.data) == 1 << 20
                del item
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert memory.ring_bytes <= 5 << 20
    assert memory.page_bytes <= 4 << 20
    # Of 60 MiB that are there.
    assert most < 40 << 20
    assert len(await given(stalled[0], 2)) == 2
    await reader.drain(0)


async def test_nothing_is_kept_of_clients_that_have_ended(following: Following, connection: psycopg.Connection) -> None:
    append_numbers(connection, 1, 3)
    followed = following.subscribe(CHAT)
    await given(followed, 3)
    subscriptions = reader_of(following)._streams[CHAT].subscriptions

    waiting = [asyncio.create_task(given(following.subscribe(CHAT, followed.position), 1)) for _ in range(50)]
    await asyncio.sleep(0.05)
    assert len(subscriptions) == 51
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    del waiting, task

    async def fails() -> None:
        async for _ in following.subscribe(CHAT):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await fails()
    following.subscribe(CHAT)
    closed = following.subscribe(CHAT)
    await closed.aclose()
    await asyncio.sleep(0)
    gc.collect()
    assert list(subscriptions) == [followed]


def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a reader look around for what nobody reads twenty times a second, in place of once."""
    monkeypatch.setattr(reader_module, "POLL_LISTENING", 0.05)
    monkeypatch.setattr(reader_module, "FORGET_EVERY_SECONDS", 0.0)


async def test_streams_that_nobody_reads_are_forgotten(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "KEPT_SECONDS", 0.1)
    look_often(monkeypatch)
    append(connection, "one")
    subscription = following.subscribe(CHAT)
    await given(subscription, 1)
    reader = reader_of(following)
    await subscription.aclose()
    assert reader._task is not None
    await asyncio.wait_for(reader._task, 20)
    assert [len(each) for each in (reader._streams, reader._by_key, reader._due)] == [0, 0, 0]
    assert reader._memory.ring_bytes == 0
    # And its connections with it; whoever comes then begins anew.
    append(connection, "two")
    assert datas(await given(following.subscribe(CHAT), 2)) == ["one", "two"]


async def test_whoever_comes_while_the_reader_hangs_up_is_served(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "KEPT_SECONDS", 0.0)
    look_often(monkeypatch)
    append(connection, "one")
    for _ in range(3):
        subscription = following.subscribe(CHAT)
        assert datas(await given(subscription, 1)) == ["one"]
        await subscription.aclose()
        reader = reader_of(following)
        async with asyncio.timeout(20):
            while reader._connection is not None:  # noqa: ASYNC110
                await asyncio.sleep(0)
    assert datas(await given(following.subscribe(CHAT), 1)) == ["one"]


async def test_draining_ends_all_clients_soon_without_an_end(
    following: Following, connection: psycopg.Connection
) -> None:
    append_numbers(connection, 1, 600)
    subscriptions = [following.subscribe(CHAT) for _ in range(500)]
    got = dict.fromkeys(range(500), 0)

    async def read(number: int) -> list[Any]:
        items = []
        async for item in subscriptions[number]:
            items.append(item)
            got[number] += 1
        return items

    reading = [asyncio.create_task(read(number)) for number in range(500)]
    # 300,000 items.
    await until(lambda: min(got.values()) == 600, within=120)
    stalled = following.subscribe(CHAT)
    await given(stalled, 1)
    async with asyncio.timeout(20):
        await following.drain(0.5)
        results = await asyncio.gather(*reading)
    assert all(isinstance(items[-1], Event) for items in results)
    for late in (stalled, following.subscribe(CHAT)):
        with pytest.raises(StopAsyncIteration):
            await anext(late)


def test_an_event_loop_after_another_one_has_a_reader_of_its_own(dsn: str, connection: psycopg.Connection) -> None:
    append(connection, "one")
    read_by: list[Reader] = []

    async def read(following: Following) -> None:
        async with open_pool(dsn) as pool:
            following._source = pool
            assert datas(await given(following.subscribe(CHAT), 1)) == ["one"]
            read_by.append(reader_of(following))

    async def first() -> Following:
        async with open_pool(dsn) as pool:
            following = Following(pool)
        await read(following)
        return following

    asyncio.run(read(asyncio.run(first())))
    assert len(set(read_by)) == 2
