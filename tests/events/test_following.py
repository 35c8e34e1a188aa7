"""From its position a reader gets each event once, in order; or what is gone, or that it is another history."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

from pendingctl.events import reads as reads_module
from pendingctl.events.following import Following
from pendingctl.events.model import START, Cursor, End, Event, Gap, Reset, StreamItem, StreamName
from pendingctl.postgres.connections import Pool
from tests.events.test_outages import until_listening
from tests.events.writers import (
    APPEND,
    CHAT,
    append,
    append_numbers,
    close,
    datas,
    delete,
    given,
    nothing_for,
    seqs,
    turn,
)


async def test_a_reader_gets_what_is_there_and_what_comes(following: Following, connection: psycopg.Connection) -> None:
    append(connection, "one", "two")
    reader = following.subscribe(CHAT)
    assert datas(await given(reader, 2)) == ["one", "two"]
    append(connection, "three")
    assert datas(await given(reader, 1)) == ["three"]


async def test_a_stream_that_does_not_exist_is_open_and_empty(
    following: Following, connection: psycopg.Connection
) -> None:
    reader = following.subscribe(CHAT)
    assert await nothing_for(reader, 0.3)
    append(connection, "one")
    assert datas(await given(reader, 1)) == ["one"]
    assert connection.execute("select count(*) from pending_stream").fetchone() == (1,)


async def test_a_reader_goes_on_after_its_cursor(following: Following, connection: psycopg.Connection) -> None:
    cursor = append_numbers(connection, 1, 5)
    append_numbers(connection, 6, 10)
    assert seqs(await given(following.subscribe(CHAT, cursor), 5)) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("behind", [0, 3, 700])
async def test_readers_at_different_places_get_the_same(
    following: Following, connection: psycopg.Connection, behind: int
) -> None:
    """Also where one of them reads a stream that another one follows, from its ring or from the database."""
    append_numbers(connection, 1, 1_000 - behind)
    cursor = append_numbers(connection, 0, 0)
    first = following.subscribe(CHAT, cursor)
    if behind > 1:
        append_numbers(connection, 1, behind - 1)
    ahead = asyncio.create_task(given(first, behind))
    late = following.subscribe(CHAT)
    total = 1_001 if behind == 0 else 1_000 + (1 if behind == 1 else 0)
    assert seqs(await given(late, total)) == list(range(1, total + 1))
    append(connection, "last")
    assert datas(await given(late, 1)) == ["last"]
    assert len(await ahead) == behind


async def test_an_open_stream_that_is_closed_ends_after_its_events(
    following: Following, connection: psycopg.Connection
) -> None:
    reader, late = following.subscribe(CHAT), following.subscribe(CHAT)
    append(connection, "one")
    assert datas(await given(reader, 1)) == ["one"]
    append(connection, "two")
    assert datas(await given(reader, 1)) == ["two"]
    close(connection)
    assert await given(reader, 1) == [End(2)]
    assert (await given(late, 3))[-1] == End(2)
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    assert await given(following.subscribe(CHAT, reader.position), 1) == [End(2)]


async def test_a_deleted_stream_ends(following: Following, connection: psycopg.Connection) -> None:
    cursor = append(connection, "one")
    reader = following.subscribe(CHAT)
    await given(reader, 1)
    delete(connection)
    assert await given(reader, 1) == [End(1)]
    assert await given(following.subscribe(CHAT, cursor), 1) == [End(1)]
    assert await nothing_for(following.subscribe(CHAT), 0.1)


async def test_a_stream_made_again_is_reported_to_whoever_follows_and_whoever_returns(
    following: Following, connection: psycopg.Connection
) -> None:
    cursor = append(connection, "one", "two")
    reader = following.subscribe(CHAT)
    await given(reader, 2)
    with connection.transaction():
        delete(connection)
        append(connection, "new", "newer")
    items = await given(reader, 3)
    assert (items[0], datas(items)) == (Reset(2), ["new", "newer"])
    items = await given(following.subscribe(CHAT, cursor), 3)
    assert (items[0], datas(items)) == (Reset(2), ["new", "newer"])


@pytest.mark.parametrize("further", [(), ("three",)], ids=["to the same number", "further"])
@pytest.mark.law(18)
async def test_a_history_that_lost_commits_is_reported_though_its_numbers_go_on(
    following: Following, connection: psycopg.Connection, further: tuple[str, ...]
) -> None:
    append(connection, "one", "two")
    reader = following.subscribe(CHAT)
    await given(reader, 2)
    with connection.transaction():
        # As after a failover to a standby that had not got the second one.
        connection.execute("delete from pending_stream_event where seq = 2")
        connection.execute("update pending_stream set last_seq = 1")
        append(connection, "another two", *further)
    items = await given(reader, 3 + len(further))
    assert (items[0], datas(items)) == (Reset(2 + len(further)), ["one", "another two", *further])


@pytest.mark.law(18)
async def test_a_stream_that_is_made_under_the_id_of_one_that_was_lost_is_another_one(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failover may lose the state of a sequence, too; the stream is made when this pod has found that it is gone."""
    append(connection, "one")
    subscription = following.subscribe(CHAT)
    await given(subscription, 1)
    reader = await until_listening(following)
    lost = connection.execute("select id from pending_stream").fetchone()

    async def open_once_made(*given: Any) -> Any:
        monkeypatch.setattr("pendingctl.events.reader.open_streams", reads_module.open_streams)
        connection.execute(
            """
            insert into pending_stream (id, organization_id, name) overriding system value
            values (%s, 'acme', 'chat')
            """,
            lost,
        )
        append(connection, "new")
        reader._poll_at = time.monotonic() + 60
        return await reads_module.open_streams(*given)

    monkeypatch.setattr("pendingctl.events.reader.open_streams", open_once_made)
    connection.execute("with gone as (delete from pending_stream) delete from pending_stream_event")
    items = await given(subscription, 2)
    assert (items[0], datas(items)) == (Reset(1), ["new"])
    assert datas(await given(following.subscribe(CHAT), 1)) == ["new"]


async def test_a_cursor_ahead_of_what_the_pod_has_read_is_not_taken_for_a_foreign_one(
    following: Following, connection: psycopg.Connection
) -> None:
    """Whoever comes from another pod may have got more than this one knows of."""
    append_numbers(connection, 1, 3)
    reader = following.subscribe(CHAT)
    await given(reader, 3)
    for number in range(4, 9):
        cursor = append(connection, str(number))
        ahead = following.subscribe(CHAT, cursor)
        coming = asyncio.create_task(given(ahead, 1))
        await asyncio.sleep(0)
        append(connection, "next")
        assert datas(await coming) == ["next"]


@pytest.mark.parametrize(
    "foreign", [Cursor(2, START.at), Cursor(99, START.at), Cursor(0, Cursor.parse("0-5").at)], ids=str
)
async def test_a_foreign_cursor_is_a_reset_and_the_reading_begins_anew(
    following: Following, connection: psycopg.Connection, foreign: Cursor
) -> None:
    append_numbers(connection, 1, 3)
    for _ in range(2):
        items = await given(following.subscribe(CHAT, foreign), 4)
        assert (items[0], seqs(items)) == (Reset(3), [1, 2, 3])


async def test_the_cursor_of_an_empty_stream_holds(following: Following, connection: psycopg.Connection) -> None:
    connection.execute("insert into pending_stream (organization_id, name) values ('acme', 'chat')")
    row = connection.execute("select created_at from pending_stream").fetchone()
    assert row is not None
    append(connection, "one")
    assert datas(await given(following.subscribe(CHAT, Cursor(0, row[0])), 1)) == ["one"]


@pytest.mark.law(18)
async def test_a_gap_names_exactly_what_is_gone(pool: Pool, connection: psycopg.Connection) -> None:
    async def on_a_new_pod(after: Cursor | None, number: int) -> list[StreamItem]:
        pod = Following(pool)
        items = await given(pod.subscribe(CHAT, after), number)
        await pod.drain(0)
        return items

    cursor = append_numbers(connection, 1, 10)
    turn(connection, 1)
    append_numbers(connection, 11, 20)
    turn(connection, 2)
    append_numbers(connection, 21, 30)
    connection.execute("truncate pending_stream_event_0")
    items = await on_a_new_pod(None, 21)
    assert (items[0], seqs(items)) == (Gap(1, 10), list(range(11, 31)))
    # A hole in the middle, as where an append across a turn had written the slot before.
    connection.execute("truncate pending_stream_event_1")
    items = await on_a_new_pod(cursor, 11)
    assert (items[0], seqs(items)) == (Gap(11, 20), list(range(21, 31)))
    connection.execute("truncate pending_stream_event_2")
    assert await on_a_new_pod(cursor, 1) == [Gap(11, 30)]


async def test_a_hole_amid_events_is_a_gap(following: Following, connection: psycopg.Connection) -> None:
    append_numbers(connection, 1, 9)
    connection.execute("delete from pending_stream_event where seq in (1, 4, 5, 9)")
    items = await given(following.subscribe(CHAT), 8)
    assert [item if isinstance(item, Gap) else None for item in items] == [
        Gap(1, 1), None, None, Gap(4, 5), None, None, None, Gap(9, 9)
    ]  # fmt: skip
    assert seqs(items) == [2, 3, 6, 7, 8]


@pytest.mark.law(18)
async def test_the_ring_turns_during_a_replay(following: Following, connection: psycopg.Connection) -> None:
    append_numbers(connection, 1, 1_000)
    turn(connection, 1)
    append_numbers(connection, 1_001, 1_500)
    reader = following.subscribe(CHAT)
    seen = seqs(await given(reader, 300))
    connection.execute("truncate pending_stream_event_0")
    while seen[-1] < 1_500:
        match await anext(reader):
            case Gap(first, last):
                assert first == seen[-1] + 1
                seen.extend(range(first, last + 1))
            case Event(seq):
                assert seq == seen[-1] + 1
                seen.append(seq)
    assert seen == list(range(1, 1_501))


@pytest.mark.law(18)
async def test_another_organizations_stream_of_the_same_name_is_another_one(
    following: Following, connection: psycopg.Connection
) -> None:
    theirs = StreamName("globex", "chat")
    cursor = append(connection, "theirs", "theirs too", stream=theirs)
    ours = following.subscribe(CHAT)
    stranger = following.subscribe(CHAT, cursor)
    assert await nothing_for(ours, 0.2)
    assert await given(stranger, 1) == [End(2)]
    append(connection, "ours")
    assert datas(await given(ours, 1)) == ["ours"]
    items = await given(following.subscribe(CHAT, cursor), 2)
    assert (items[0], datas(items)) == (Reset(1), ["ours"])


@pytest.mark.law(18)
async def test_nothing_uncommitted_is_read_and_order_is_that_of_the_commits(
    following: Following, connection: psycopg.Connection, dsn: str
) -> None:
    append(connection, "one")
    reader = following.subscribe(CHAT)
    await given(reader, 1)
    with psycopg.connect(dsn) as writing:
        append(writing, "two", "three")
        assert await nothing_for(reader, 0.3)
        writing.rollback()
        append(writing, "two after all")
    assert datas(await given(reader, 1)) == ["two after all"]


async def test_a_transaction_held_open_elsewhere_delays_nobody(
    following: Following, connection: psycopg.Connection, dsn: str
) -> None:
    with psycopg.connect(dsn) as elsewhere:
        append(elsewhere, "held", stream=StreamName("acme", "other"))
        reader = following.subscribe(CHAT)
        append(connection, "one")
        assert datas(await given(reader, 1)) == ["one"]


@pytest.mark.law(18)
async def test_truly_concurrent_writers_and_readers_that_reconnect(pool: Pool, following: Following, dsn: str) -> None:
    writers, appends, readers = 4, 40, 12
    other_pod = Following(pool)

    async def write(number: int) -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=number % 2 == 0) as writing:
            for each in range(appends):
                texts = [f"{number}.{each}.{part}" for part in range(3)]
                named = {"organization_id": "acme", "name": "chat", "datas": texts}
                await writing.execute(APPEND, named)
                if number % 2:
                    await (writing.rollback() if each % 3 == 0 else writing.commit())

    total = 2 * appends * 3 + 2 * (appends - len(range(0, appends, 3))) * 3

    async def read(number: int) -> list[str]:
        position, got = START, list[str]()
        pods = [following, other_pod]
        while len(got) < total:
            subscription = pods[(number + len(got)) % 2].subscribe(CHAT, position)
            for item in await given(subscription, min(7 + number, total - len(got))):
                assert isinstance(item, Event)
                assert item.seq == len(got) + 1
                got.append(item.data)
                position = item.cursor
            await subscription.aclose()
        return got

    writing = asyncio.gather(*(write(number) for number in range(writers)))
    results = await asyncio.gather(*(read(number) for number in range(readers)))
    await writing
    await other_pod.drain(0)
    assert len(set(results[0])) == total
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("was", ["missing", "closed", "of another history"])
async def test_a_reader_that_comes_is_not_judged_by_what_its_pod_knew_before(
    following: Following, connection: psycopg.Connection, was: str
) -> None:
    """It has read on another pod what was appended there, and this one has heard nothing of it yet."""
    waiting = following.subscribe(CHAT)
    if was == "missing":
        assert await nothing_for(waiting, 0.3)
    else:
        append(connection, "old", "older")
        await given(waiting, 2)
    if was == "closed":
        close(connection)
        assert await given(waiting, 1) == [End(2)]
    with connection.transaction():
        delete(connection)
        cursor = append(connection, "new")
        append(connection, "next")

    assert datas(await given(following.subscribe(CHAT, cursor), 1)) == ["next"]
    assert datas(await given(following.subscribe(CHAT), 2)) == ["new", "next"]
    with connection.transaction():
        delete(connection)
    assert await given(following.subscribe(CHAT, cursor), 1) == [End(1)]
