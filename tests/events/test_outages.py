"""Readers outlive what happens to their connections, and need no wake-up."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import open_pool
from pendingctl.embedded import throwaway_server
from pendingctl.events import listening as listening_module
from pendingctl.events import reader as reader_module
from pendingctl.events import reads as reads_module
from pendingctl.events.following import Following
from pendingctl.events.model import End, Reset
from pendingctl.events.reader import Reader
from pendingctl.events.streams import Streams
from pendingctl.postgres.time_limits import Purpose
from pendingctl.schema import migrations
from tests.events.streaming import said
from tests.events.writers import CHAT, append, append_numbers, close, datas, delete, given, seqs

SESSION = "select pid from pg_stat_activity where datname = current_database() and application_name like %s"


def reader_of(following: Following) -> Reader:
    assert following._reader is not None
    return following._reader


async def until(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_listening(following: Following) -> Reader:
    reader = reader_of(following)
    await until(lambda: reader.listening.is_proven)
    # And has looked once more, as for what came before it listened.
    polls = reader.polls
    await until(lambda: reader.polls > polls or reader._poll_at > 0)
    return reader


def poll_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a reader whose wake-ups are heard look by itself once in ten minutes, in place of once a second."""
    monkeypatch.setattr(reader_module, "POLL_LISTENING", 600.0)


async def until_no_poll_is_near(following: Following) -> Reader:
    """Wait until the reader, which is to poll rarely, has made the poll that follows the proof of its wake-ups."""
    reader = await until_listening(following)
    await until(lambda: reader._poll_at > time.monotonic() + 60)
    return reader


def terminate(connection: psycopg.Connection, application: str) -> None:
    found = connection.execute(f"select pg_terminate_backend(pid) from ({SESSION}) as its", [application]).fetchall()
    assert found


async def test_a_wake_up_is_heard_long_before_the_next_poll(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_rarely(monkeypatch)
    subscription = following.subscribe(CHAT)
    append(connection, "zero")
    await given(subscription, 1)
    reader = await until_no_poll_is_near(following)
    polls = reader.polls
    for number in range(20):
        append(connection, str(number), wakes=True)
        assert datas(await given(subscription, 1)) == [str(number)]
    assert reader.polls == polls


@pytest.mark.law(18)
async def test_all_arrives_with_every_wake_up_dropped(following: Following, connection: psycopg.Connection) -> None:
    subscription = following.subscribe(CHAT)
    append(connection, "one")
    await given(subscription, 1)
    reader = await until_listening(following)
    append(connection, "two")
    assert datas(await given(subscription, 1)) == ["two"]
    with connection.transaction():
        delete(connection)
        append(connection, "new")
    assert (await given(subscription, 2))[0] == Reset(1)
    close(connection)
    assert await given(subscription, 1) == [End(1)]
    assert reader.listening.heard == 0


async def test_changes_that_nobody_announced_have_the_listener_prove_itself_again(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it listens to a server that is the primary no more."""
    monkeypatch.setattr(listening_module, "PROOF_SECONDS", 0.0)
    monkeypatch.setattr(listening_module, "PAUSE_UNHEARD", 60.0)
    subscription = following.subscribe(CHAT)
    reader = await until_listening(following)
    # Not before: the first echo takes its time on a busy machine.
    monkeypatch.setattr(listening_module, "ECHO_SECONDS", 0.2)
    monkeypatch.setattr(listening_module, "_ECHO_STATEMENT", "select %(channel)s::text, %(payload)s::text")
    append(connection, "one")
    await given(subscription, 1)
    await until(lambda: not reader.listening.is_proven)


@pytest.mark.parametrize("application", ["pendingctl listener", "pendingctl reader"])
async def test_a_connection_that_is_terminated_is_made_again(
    following: Following, connection: psycopg.Connection, application: str
) -> None:
    subscription = following.subscribe(CHAT)
    append(connection, "one")
    await given(subscription, 1)
    await until_listening(following)
    before = connection.execute(SESSION.encode(), [application]).fetchall()
    terminate(connection, application)
    append(connection, "two", wakes=True)
    assert datas(await given(subscription, 1)) == ["two"]
    await until(lambda: connection.execute(SESSION.encode(), [application]).fetchall() not in ([], before))
    await until_listening(following)


async def test_what_was_announced_before_wake_ups_are_heard_again_is_found_at_once(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a poll was under way meanwhile, which had looked before."""
    poll_rarely(monkeypatch)
    subscription = following.subscribe(CHAT)
    append(connection, "one")
    await given(subscription, 1)
    reader = await until_no_poll_is_near(following)

    async def looked_before(*given: Any) -> Any:
        was_heard = reader.listening.is_proven
        found = await reads_module.moved(*given)
        if not was_heard:
            monkeypatch.setattr("pendingctl.events.reader.moved", reads_module.moved)
            append(connection, "two", wakes=True)
            await until(lambda: reader.listening.is_proven)
        return found

    monkeypatch.setattr("pendingctl.events.reader.moved", looked_before)
    terminate(connection, "pendingctl listener")

    assert datas(await given(subscription, 1)) == ["two"]


async def test_readers_wait_while_the_database_restarts_and_then_go_on(caplog: pytest.LogCaptureFixture) -> None:
    with throwaway_server() as server:
        migrations.apply(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("insert into organization (id) values ('acme')")
            cursor = append_numbers(connection, 1, 600)
        async with open_pool(server.dsn) as pool:
            following = Following(pool)
            # One at the end, and one in the middle of what it is behind by.
            ahead, behind = following.subscribe(CHAT, cursor), following.subscribe(CHAT)
            waiting = asyncio.create_task(given(ahead, 2))
            assert len(await given(behind, 10)) == 10
            reader = await until_listening(following)
            more = asyncio.create_task(given(behind, 592))
            server.restart()
            await until(lambda: not reader.listening.is_proven)
            assert not waiting.done()
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                append_numbers(connection, 601, 602)
            assert seqs(await waiting) == [601, 602]
            assert seqs(await more) == list(range(11, 603))
            await following.drain(0)
    complaints = [record.message for record in caplog.records if record.name.startswith("pendingctl.events")]
    assert 1 <= len(complaints) <= 4, complaints


async def test_a_session_that_falls_silent_is_left_in_time(
    following: Following, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So the session is between two statements: one that is stopped over a lock of the server's own holds up all others.
    poll_rarely(monkeypatch)
    subscription = following.subscribe(CHAT)
    append(connection, "one")
    await given(subscription, 1)
    await until_no_poll_is_near(following)
    (session,) = connection.execute(SESSION.encode(), ["pendingctl reader"]).fetchone() or (0,)
    monkeypatch.setattr(Purpose.LOOP, "seconds", 0.5)
    os.kill(session, signal.SIGSTOP)
    try:
        append(connection, "two", wakes=True)
        assert datas(await given(subscription, 1)) == ["two"]
    finally:
        os.kill(session, signal.SIGCONT)


async def test_a_locked_table_holds_readers_up_and_leaves_no_sessions_behind(
    following: Following, connection: psycopg.Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gives each wait up, and the same session waits anew."""
    monkeypatch.setattr(Purpose.LOOP, "lock_timeout", "200ms")
    subscription = following.subscribe(CHAT)
    append(connection, "one")
    await given(subscription, 1)
    waiting = (
        "select pid, waitstart from pg_locks where not granted and waitstart is not null "
        "and database = (select oid from pg_database where datname = current_database())"
    )
    waits: set[tuple[object, ...]] = set()
    with psycopg.connect(dsn) as locking:
        locking.execute("lock table pending_stream")
        coming = asyncio.create_task(given(subscription, 1))
        async with asyncio.timeout(20):
            while len(waits) < 3:
                waits.update(connection.execute(waiting).fetchall())
                await asyncio.sleep(0.01)
        locking.rollback()
    assert len({session for session, _ in waits}) == 1
    append(connection, "two")
    assert datas(await coming) == ["two"]


async def test_a_backup_that_locks_holds_up_no_reader(
    following: Following, connection: psycopg.Connection, dsn: str
) -> None:
    append(connection, "one")
    with psycopg.connect(dsn) as backup:
        backup.execute("begin isolation level repeatable read read only")
        backup.execute("lock table pending_stream, pending_stream_event in access share mode")
        subscription = following.subscribe(CHAT)
        assert datas(await given(subscription, 1)) == ["one"]
        append(connection, "two")
        assert datas(await given(subscription, 1)) == ["two"]


async def test_a_database_that_ends_idle_sessions_ends_no_readers(
    dsn: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    # Less than there is between two polls.
    connection.execute(f"alter database {connection.info.dbname} set idle_session_timeout = 900".encode())
    applications = ("pendingctl listener", "pendingctl reader")
    async with open_pool(dsn) as pool:
        following = Following(pool)
        try:
            subscription = following.subscribe(CHAT)
            append(connection, "one")
            await given(subscription, 1)
            reader = await until_listening(following)
            # Until here a slow machine may have had one ended that was about to be made fit.
            caplog.clear()
            sessions = [connection.execute(SESSION.encode(), [each]).fetchall() for each in applications]
            polls = reader.polls
            await until(lambda: reader.polls >= polls + 2)
            assert reader.listening.is_proven
            assert [connection.execute(SESSION.encode(), [each]).fetchall() for each in applications] == sessions
        finally:
            await following.drain(0)
    assert not [record for record in caplog.records if record.name.startswith("pendingctl.events")]


@pytest.mark.parametrize("number", [200, 300])
async def test_a_server_that_is_too_slow_for_a_whole_page_is_asked_for_less(
    streams: Streams, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What the pod's ring takes in is read by its reader, and what is behind it by pages."""
    await streams.append(CHAT, said(*map(str, range(number))))
    await streams.settled()
    role = f"{connection.info.dbname}_slow"
    connection.execute(
        f"create role {role} login; grant select on all tables in schema public to {role};"
        "create function takes_long(pending_stream_event) returns boolean language plpgsql "
        "as $$ begin perform pg_sleep(0.002); return true; end $$;"
        "alter table pending_stream_event enable row level security;"
        "create policy slow on pending_stream_event using (takes_long(pending_stream_event))".encode()
    )
    monkeypatch.setattr(Purpose.LOOP, "seconds", 0.3)
    try:
        async with open_pool(make_conninfo(dsn, user=role)) as pool:
            following = Following(pool)
            items = await given(following.subscribe(CHAT), number)
            await following.drain(0)
        assert seqs(items) == list(range(1, number + 1))
    finally:
        connection.execute(f"drop policy slow on pending_stream_event; drop owned by {role}; drop role {role}".encode())
