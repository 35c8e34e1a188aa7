"""The ring: what a turn removes and keeps, what holds it up, and the sweep of idle streams."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.events import ring as ring_module
from pendingctl.events.model import End, Event, Gap, Reset, StreamName
from pendingctl.events.ring import Ring, Turn
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from tests.events.streaming import TALK, held, read_all, said, texts
from tests.events.test_outages import until
from tests.events.writers import datas, given
from tests.locks import until_waiting_for_a_lock

WIDTH = timedelta(hours=8, seconds=10)


def let_pass(connection: psycopg.Connection, time: timedelta) -> None:
    """Have everything that streams hold happened earlier by this time."""
    connection.execute("update pending_stream_ring set turned_at = turned_at - %s", [time])
    connection.execute("update pending_stream set last_at = last_at - %s, created_at = created_at - %s", [time, time])
    connection.execute("update pending_stream_event set at = at - %s", [time])


def slot_of(connection: psycopg.Connection) -> int:
    row = connection.execute("select slot from pending_stream_ring").fetchone()
    assert row is not None
    return int(row[0])


async def test_the_ring_turns_when_its_time_has_come(
    streams: Streams, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of the retention and the longest append after the last turn."""
    monkeypatch.setattr(ring_module, "LONGEST_APPEND", timedelta(minutes=10))
    connection.execute("update pending_stream_ring set turned_at = now()")
    let_pass(connection, timedelta(hours=8, minutes=5))
    assert await streams.ring.turn() is Turn.NOT_DUE

    let_pass(connection, timedelta(minutes=6))

    assert await streams.ring.turn() is Turn.TURNED
    assert connection.execute("select slot, pod from pending_stream_ring").fetchone() == (1, "pod-1")
    assert await streams.ring.turn() is Turn.NOT_DUE


@pytest.mark.once
async def test_an_event_lives_for_the_retention_and_no_longer_than_four_thirds_of_it(
    streams: Streams, connection: psycopg.Connection
) -> None:
    lived = timedelta()
    ages = {}
    for number in range(200):
        await streams.append(TALK, said(str(number)))
        ages[str(number)] = lived
        let_pass(connection, timedelta(minutes=30))
        lived += timedelta(minutes=30)
        await streams.ring.turn()
        kept = set(await texts(streams))
        for text, born in ages.items():
            if lived - born <= timedelta(hours=24):
                assert text in kept
            if lived - born > 4 * WIDTH + timedelta(minutes=60) * 4:
                assert text not in kept
    first = (await read_all(streams))[0]
    assert isinstance(first, Gap)
    assert first.first == 1


async def test_the_slot_that_is_written_to_is_never_the_one_that_is_truncated(
    streams: Streams, connection: psycopg.Connection
) -> None:
    for turn in range(9):
        await streams.append(TALK, said(str(turn)))
        let_pass(connection, WIDTH)
        assert await streams.ring.turn() is Turn.TURNED
        await streams.append(TALK, said(f"after {turn}"))
        # Those of three turns are there, and of the fourth what came after it.
        said_last = [text for n in range(max(turn - 2, 0), turn + 1) for text in (str(n), f"after {n}")]
        expected = ([f"after {turn - 3}"] if turn > 2 else []) + said_last
        assert await texts(streams) == expected


async def test_of_many_pods_one_turns_the_ring(pool: Pool, connection: psycopg.Connection) -> None:
    let_pass(connection, WIDTH)

    turned = await asyncio.gather(*(Ring(pool, pod=f"pod-{n}").turn() for n in range(8)))

    assert turned.count(Turn.TURNED) == 1
    assert slot_of(connection) == 1


async def test_a_turn_that_is_under_way_is_not_made_again(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    let_pass(connection, WIDTH)
    with held(dsn, "select from pending_stream_ring for update"):
        assert await streams.ring.turn() is Turn.NOT_DUE

    assert await streams.ring.turn() is Turn.TURNED


@pytest.mark.parametrize("time", ["now() + interval '1 year'", "'infinity'"])
async def test_a_turn_that_a_wrong_clock_noted_counts_from_now(
    streams: Streams, connection: psycopg.Connection, time: str
) -> None:
    connection.execute(f"update pending_stream_ring set turned_at = {time}".encode())

    assert await streams.ring.turn() is Turn.NOT_DUE

    row = connection.execute("select now() - turned_at from pending_stream_ring").fetchone()
    assert row is not None
    assert timedelta() <= row[0] < timedelta(minutes=1)


async def test_whoever_reads_the_next_table_delays_the_turn_and_is_not_waited_for(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    let_pass(connection, WIDTH)
    with held(dsn, "lock table pending_stream_event_1 in access share mode"):
        async with asyncio.timeout(15):
            assert await streams.ring.turn() is Turn.BLOCKED
            assert await texts(streams) == ["a"]

    assert slot_of(connection) == 0
    assert await streams.ring.turn() is Turn.TURNED


async def test_an_append_is_not_held_up_by_a_turn_that_waits(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    let_pass(connection, WIDTH)
    with held(dsn, "lock table pending_stream_event_1 in access share mode"):
        turn = asyncio.create_task(streams.ring.turn())
        async with asyncio.timeout(15):
            assert (await streams.append(TALK, said("b"))).last_seq == 2
        assert await turn is Turn.BLOCKED


async def test_an_append_that_a_turn_overtakes_leaves_a_gap_that_is_named(
    streams: Streams, pool: Pool, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("first"))
    with held(dsn):
        overtaken = asyncio.create_task(streams.append(TALK, said("overtaken")))
        await until_waiting_for_a_lock(connection)
        connection.execute("update pending_stream_ring set turned_at = turned_at - interval '9 hours'")
        assert await streams.ring.turn() is Turn.TURNED
        # In the queue behind it, and with a look at the ring after the turn.
        behind = asyncio.create_task(streams.append(TALK, said("behind")))
        await until_waiting_for_a_lock(connection, 2)
    await asyncio.gather(overtaken, behind)
    assert sorted(await texts(streams)) == ["behind", "first", "overtaken"]

    for _ in range(3):
        connection.execute("update pending_stream_ring set turned_at = turned_at - interval '9 hours'")
        assert await Ring(pool, pod="pod-2").turn() is Turn.TURNED

    items = await read_all(streams)
    assert [item.data for item in items if isinstance(item, Event)] == ["behind"]
    gone = [item for item in items if isinstance(item, Gap)]
    assert sum(gap.last - gap.first + 1 for gap in gone) == 2


async def test_a_transaction_of_the_callers_finds_the_ring_as_it_is(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    async with await psycopg.AsyncConnection.connect(dsn) as given:
        with held(dsn):
            waiting = asyncio.create_task(streams.append(TALK, said("b"), connection=given))
            await until_waiting_for_a_lock(connection)
            connection.execute("update pending_stream_ring set turned_at = turned_at - interval '9 hours'")
            assert await streams.ring.turn() is Turn.TURNED
        await waiting
        await given.commit()

    assert connection.execute("select slot from pending_stream_event order by seq").fetchall() == [(0,), (1,)]


async def test_a_first_append_in_a_transaction_of_the_callers_finds_the_ring_as_it_is(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as given, await psycopg.AsyncConnection.connect(dsn) as other:
        await streams.append(TALK, said("of nobody"), connection=other)
        waiting = asyncio.create_task(streams.append(TALK, said("a"), connection=given))
        await until_waiting_for_a_lock(connection)
        connection.execute("update pending_stream_ring set turned_at = turned_at - interval '9 hours'")
        assert await streams.ring.turn() is Turn.TURNED
        await other.rollback()
        assert (await waiting).last_seq == 1
        await given.commit()

    assert connection.execute("select slot, data from pending_stream_event").fetchall() == [(1, "a")]


async def test_a_table_with_uncommitted_events_is_not_truncated(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute("update pending_stream_ring set slot = 1")
    async with await psycopg.AsyncConnection.connect(dsn) as given:
        await streams.append(TALK, said("slow"), connection=given)
        connection.execute("update pending_stream_ring set slot = 0, turned_at = now() - interval '9 hours'")
        assert await streams.ring.turn() is Turn.BLOCKED
        await given.commit()

    assert await texts(streams) == ["slow"]


async def test_idle_streams_are_swept_and_others_stay(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    for name in ("idle-1", "idle-2", "talk", "fresh"):
        await streams.append(StreamName("acme", name), said("a"))
    idle = timedelta(hours=32, minutes=2)
    connection.execute("update pending_stream set last_at = now() - %s where name <> 'fresh'", [idle])
    connection.execute("update pending_stream set last_at = now() - interval '31 hours' where name = 'fresh'")
    assert await streams.ring.count_idle() == 3

    with held(dsn):
        assert [deleted async for deleted in streams.ring.sweep(batch_size=2)] == [2]

    assert [stream.name.name for stream in await streams.list()] == ["fresh", "talk"]
    assert [deleted async for deleted in streams.ring.sweep()] == [1]


@pytest.mark.parametrize("is_empty", [False, True], ids=["after its last event", "of a stream without events"])
async def test_a_reader_of_a_stream_that_is_swept_gets_the_end_and_a_reset_if_it_is_made_again(
    streams: Streams, connection: psycopg.Connection, is_empty: bool
) -> None:
    await streams.append(TALK, said("a"))
    if is_empty:
        connection.execute("update pending_stream set last_seq = 0")
        connection.execute("delete from pending_stream_event")
    position = (await streams.show(TALK)).stream.cursor
    follower, from_the_start = streams.subscribe(TALK, position), streams.subscribe(TALK)
    if not is_empty:
        await given(from_the_start, 1)
    ended = [asyncio.create_task(given(each, 1)) for each in (follower, from_the_start)]
    await until(lambda: from_the_start.position == position)
    connection.execute("update pending_stream set last_at = now() - interval '40 hours'")
    assert [deleted async for deleted in streams.ring.sweep()] == [1]

    assert [await each for each in ended] == [[End(position.seq)]] * 2
    assert (await streams.read(TALK, position)).items == (End(position.seq),)
    await streams.append(TALK, said("b"))
    returning = await given(streams.subscribe(TALK, position), 2)
    assert (returning[0], datas(returning)) == (Reset(1), ["b"])
    assert (await streams.read(TALK, position)).items[0] == Reset(1)
    await streams.drain()


async def test_a_stream_with_a_new_event_is_not_swept(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    connection.execute("update pending_stream set last_at = now() - interval '40 hours'")
    with held(dsn, "update pending_stream set last_at = now(), last_seq = 2"):
        assert [deleted async for deleted in streams.ring.sweep()] == []

    assert [deleted async for deleted in streams.ring.sweep()] == []
    assert len(await streams.list()) == 1


async def test_a_sweep_of_streams_is_bounded(streams: Streams, connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into pending_stream (organization_id, name, last_at) "
        "select 'acme', 's' || n, now() - interval '40 hours' from generate_series(1, 25) as n"
    )

    assert [deleted async for deleted in streams.ring.sweep(limit=10, batch_size=4)] == [4, 4, 2]
    assert [deleted async for deleted in streams.ring.sweep(limit=None, batch_size=4)] == [4, 4, 4, 3]
    for bounds in ({"limit": 0}, {"batch_size": 0}):
        with pytest.raises(InvalidInput, match="must be at least 1"):
            [deleted async for deleted in streams.ring.sweep(**bounds)]


@pytest.mark.parametrize("retention", ["59 seconds", "-1 day", "20 years"])
def test_a_retention_out_of_bounds_is_refused(connection: psycopg.Connection, retention: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute("update pending_stream_ring set retention = %s", [retention])
