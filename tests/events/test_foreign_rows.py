"""Rows of streams that somebody has written by hand: none holds up another stream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import open_pool
from pendingctl.events import reader as reader_module
from pendingctl.events.following import Following
from pendingctl.events.model import Cursor, End, Event, StreamName
from pendingctl.events.streams import Streams
from pendingctl.schema import migrations
from tests.events.streaming import said
from tests.events.test_outages import reader_of, until, until_listening
from tests.events.writers import CHAT, append, append_numbers, close, datas, given, nothing_for

OTHER = StreamName("acme", "other")
UNREADABLE = ("infinity", "-infinity", "0044-03-15 12:00+00 BC", "294276-12-31 23:59:59+00")


@pytest.mark.parametrize("time", UNREADABLE)
async def test_a_time_that_python_cannot_hold_holds_up_no_stream(
    streams: Streams, following: Following, connection: psycopg.Connection, time: str
) -> None:
    append(connection, "one", "two")
    append(connection, "other", stream=OTHER)
    connection.execute("update pending_stream set last_at = %(time)s, created_at = %(time)s", {"time": time})
    connection.execute("update pending_stream_event set at = %s", [time])

    poisoned, other = following.subscribe(CHAT), following.subscribe(OTHER)
    first, second = await given(poisoned, 2)
    assert isinstance(first, Event)
    assert datas([first, second]) == ["one", "two"]
    assert datas(await given(other, 1)) == ["other"]
    # It is seen as it was, and not taken for one that has moved.
    reader = reader_of(following)
    polls = reader.polls
    await until(lambda: reader.polls > polls + 2)
    assert not reader._due
    # An id that a client sends back leads on from there.
    again = following.subscribe(CHAT, Cursor.parse(str(first.cursor)))
    assert datas(await given(again, 1)) == ["two"]
    await streams.append(CHAT, said("three"))
    assert datas(await given(poisoned, 1)) == ["three"]
    connection.execute("update pending_stream set closed_at = %s where name = 'chat'", [time])
    assert await given(poisoned, 1) == [End(3)]
    assert await nothing_for(other, 0.1)
    close(connection, OTHER)
    assert await given(other, 1) == [End(1)]


@pytest.fixture
def of_few_characters(server_dsn: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of the encoding that the test names."""
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template template0 encoding {} lc_collate 'C' lc_ctype 'C'").format(
                sql.Identifier(name), sql.Literal(request.param)
            )
        )
        dsn = make_conninfo(server_dsn, dbname=name)
        try:
            migrations.apply(dsn)
            with psycopg.connect(dsn) as organizations:
                organizations.execute("insert into organization (id) values ('acme')")
            yield dsn
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def following_there(of_few_characters: str) -> AsyncIterator[Following]:
    async with open_pool(of_few_characters) as pool:
        following = Following(pool)
        yield following
        await following.drain(0)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("pendingctl.events")]


@pytest.mark.parametrize("of_few_characters", ["SQL_ASCII"], indirect=True)
@pytest.mark.parametrize("is_behind", [False, True])
async def test_bytes_that_are_no_text_hold_up_one_stream_until_they_are_mended(
    of_few_characters: str,
    following_there: Following,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    is_behind: bool,
) -> None:
    """As another program can store them where the database checks nothing."""
    monkeypatch.setattr(reader_module, "ASIDE_SECONDS", 0.2)
    others = [StreamName("acme", f"other-{number}") for number in range(20)]
    with psycopg.connect(of_few_characters, autocommit=True) as connection:
        for stream in others[:10]:
            append(connection, "one", stream=stream)
        append_numbers(connection, 1, 600 if is_behind else 2)
        for stream in others[10:]:
            append(connection, "one", stream=stream)
        connection.execute("set client_encoding to 'SQL_ASCII'")
        connection.execute(rb"update pending_stream_event set data = E'\xe9' where seq = 2")

        broken = following_there.subscribe(CHAT)
        broken_items = asyncio.create_task(given(broken, 2, within=20))
        readers = [following_there.subscribe(stream) for stream in others]
        for reader in readers:
            assert datas(await given(reader, 1)) == ["one"]
        await until_listening(following_there)
        await until(lambda: bool(complaints(caplog)))
        for stream, reader in zip(others, readers, strict=True):
            append(connection, "two", stream=stream, wakes=True)
            assert datas(await given(reader, 1, within=2)) == ["two"]
        # It is tried again, and not reported again.
        tried = reader_of(following_there).polls
        await until(lambda: reader_of(following_there).polls > tried + 1)
        assert not broken_items.done()
        (complaint,) = complaints(caplog)
        assert "stream chat of organization acme" in complaint
        assert "not UTF-8" in complaint

        connection.execute("update pending_stream_event set data = 'mended' where seq = 2 and type = 'said'")
        assert datas(await broken_items) == ["1", "mended"]


@pytest.mark.parametrize("of_few_characters", ["LATIN1"], indirect=True)
async def test_an_organization_that_no_row_can_hold_holds_up_no_stream(
    of_few_characters: str, following_there: Following
) -> None:
    following_there.subscribe(StreamName("🚀", "chat"))
    reader = following_there.subscribe(CHAT)
    with psycopg.connect(of_few_characters, autocommit=True) as connection:
        append(connection, "one")
        assert datas(await given(reader, 1)) == ["one"]
        append(connection, "two")
        assert datas(await given(reader, 1)) == ["two"]
