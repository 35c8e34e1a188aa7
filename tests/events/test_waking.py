"""Wake-ups: after the commit, in batches, one at a time, less often when many are heard, and never in the way."""

from __future__ import annotations

import asyncio
import logging

import psycopg
import pytest

from pendingctl import PendingStore, open_pool
from pendingctl.events.model import StreamName
from pendingctl.events.streams import Streams
from pendingctl.events.waking import (
    HEARD_A_SECOND,
    KEYS_A_NOTIFICATION,
    LEAST_INTERVAL_SECONDS,
    MOST_INTERVAL_SECONDS,
    Waker,
    key_of,
)
from pendingctl.logged import about, known
from pendingctl.postgres.connections import Pool
from tests.events.streaming import TALK, said
from tests.events.writers import heard


@pytest.fixture
def listening(connection: psycopg.Connection) -> psycopg.Connection:
    connection.execute("listen pendingctl_stream")
    return connection


def test_a_key_is_that_of_the_stream_and_its_organization() -> None:
    assert key_of(TALK) == key_of(StreamName("acme", "talk"))
    assert len({key_of(TALK), key_of(StreamName("globex", "talk")), key_of(StreamName("acme", "talk2"))}) == 3
    assert len(key_of(TALK)) == 16


async def test_each_change_of_a_stream_wakes_its_readers(streams: Streams, listening: psycopg.Connection) -> None:
    other = StreamName("acme", "other")
    for change in (
        streams.append(TALK, said("a")),
        streams.close(TALK),
        streams.delete(TALK),
        streams.append_many({TALK: said("a")}),
    ):
        await change
        await streams.settled()
        assert heard(listening) == [key_of(TALK)]

    streams.wake(TALK, other, TALK)
    await streams.settled()
    assert heard(listening) == [f"{key_of(TALK)} {key_of(other)}"]


async def test_a_transaction_of_the_callers_sends_nothing_by_itself(
    streams: Streams, store: PendingStore, listening: psycopg.Connection
) -> None:
    async with store.transaction() as given:
        await streams.append(TALK, said("a"), connection=given)
        await streams.close(TALK, connection=given)
    await streams.settled()

    assert heard(listening) == []


async def test_wake_ups_at_once_go_in_batches(streams: Streams, listening: psycopg.Connection) -> None:
    names = [StreamName("acme", f"s{n}") for n in range(KEYS_A_NOTIFICATION + 10)]
    streams.wake(*names)
    await streams.settled()

    payloads = heard(listening)
    assert [len(payload.split()) for payload in payloads] == [KEYS_A_NOTIFICATION, 10]
    assert {key for payload in payloads for key in payload.split()} == set(map(key_of, names))


async def test_one_notification_is_under_way_at_a_time(dsn: str, listening: psycopg.Connection) -> None:
    async with open_pool(dsn, max_size=1) as pool:
        streams = Streams(pool)
        held = await pool.getconn()
        for n in range(50):
            streams.wake(StreamName("acme", f"s{n}"))
            await asyncio.sleep(0)
        assert pool.get_stats()["requests_waiting"] == 1
        await pool.putconn(held)
        await streams.settled()

    assert len(heard(listening)) == 2


async def test_the_interval_grows_while_many_are_heard_and_shrinks_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("pendingctl.events.waking.monotonic", lambda: now)
    waker = Waker(pool)

    async def send(heard_meanwhile: int, after_seconds: float) -> float:
        nonlocal now
        waker.note_heard(heard_meanwhile)
        now += after_seconds
        waker.wake([TALK])
        await waker.settled()
        return waker.interval

    assert await send(0, 2.0) == LEAST_INTERVAL_SECONDS
    grown = [await send(HEARD_A_SECOND + 1, 0.2) for _ in range(7)]
    assert grown == [0.004, 0.008, 0.016, 0.032, 0.064, MOST_INTERVAL_SECONDS, MOST_INTERVAL_SECONDS]
    assert await send(HEARD_A_SECOND // 2, 0.5) == MOST_INTERVAL_SECONDS
    shrunk = [await send(HEARD_A_SECOND, 2.0) for _ in range(7)]
    assert shrunk[-1] == LEAST_INTERVAL_SECONDS


async def test_a_pod_sends_nothing_for_four_fifths_of_its_time(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(
        """
        create schema slow;
        create table slow.sent (at timestamptz);
        create function slow.pg_notify(text, text) returns void language sql as $$
            insert into slow.sent values (clock_timestamp());
            select pg_catalog.pg_sleep(0.02);
        $$
        """
    )
    slow = psycopg.conninfo.make_conninfo(dsn, options="-c search_path=slow,pg_catalog,public")
    async with open_pool(slow, max_size=1) as pool:
        waker = Waker(pool)
        for _ in range(2):
            waker.wake([TALK])
            await waker.settled()

    (between,) = connection.execute("select extract(epoch from max(at) - min(at)) from slow.sent").fetchone() or ()
    assert between >= 0.1


async def test_a_database_that_is_away_costs_a_hint_and_one_line(
    dsn: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_pool(dsn, max_size=2) as pool:
        streams = Streams(pool)
        await streams.append(TALK, said("a"))
        await streams.settled()
        connection.execute("alter function pg_notify(text, text) owner to current_user")
        connection.execute("revoke execute on function pg_notify(text, text) from public")
        role = f"{connection.info.dbname}_writer"
        connection.execute(f"create role {role} login; grant select on all tables in schema public to {role}".encode())
        try:
            async with open_pool(psycopg.conninfo.make_conninfo(dsn, user=role)) as poor:
                poorer = Streams(poor)
                with caplog.at_level(logging.WARNING):
                    for _ in range(2):
                        poorer.wake(TALK)
                        await poorer.settled()
        finally:
            connection.execute(f"drop owned by {role}; drop role {role}".encode())

    lines = [record.message for record in caplog.records if "readers of streams are not woken" in record.message]
    assert len(lines) == 1


async def test_what_streams_log_is_about_nobodys_question(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    seen: dict[str, dict[str, str]] = {}

    def note(record: logging.LogRecord) -> bool:
        seen[record.name] = dict(known())
        return True

    caplog.handler.addFilter(note)
    async with open_pool(dsn) as closed:
        streams = Streams(closed)
    with about(organization="acme", question="whose event was the first"):
        streams.wake(TALK)
        subscription = streams.subscribe(TALK)
    async with asyncio.timeout(20):
        while len(seen) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await subscription.aclose()
    await streams.drain()

    assert seen == {f"pendingctl.events.{module}": {} for module in ("waking", "reader", "listening")}
