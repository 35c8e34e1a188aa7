"""Appends: their order, repetitions, transactions of the caller's, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from psycopg import IsolationLevel

from pendingctl import PendingStore
from pendingctl.errors import (
    DatabaseBusy,
    DatabaseFailed,
    InvalidInput,
    NotFound,
    StreamClosed,
    StreamMoved,
)
from pendingctl.events.model import MAX_EVENT_BYTES, Appended, Event, NewEvent, StreamName
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from tests.events.streaming import TALK, held, read_all, said, texts, until_said
from tests.locks import until_waiting_for_a_lock
from tests.statements import taking


async def test_events_are_numbered_from_one_and_read_as_they_were_appended(streams: Streams) -> None:
    first = await streams.append(TALK, said("a", "b"))
    second = await streams.append(TALK, [NewEvent("done ✓", '{"emoji": "🎉"}\r\n')])

    assert [(each.first_seq, each.last_seq, each.is_repeated) for each in (first, second)] == [
        (1, 2, False),
        (3, 3, False),
    ]
    assert await read_all(streams) == [
        Event(1, first.at, "said", "a"),
        Event(2, first.at, "said", "b"),
        Event(3, second.at, "done ✓", '{"emoji": "🎉"}\r\n'),
    ]


@pytest.mark.law(18)
async def test_writers_at_once_leave_no_number_out_and_their_batches_together(streams: Streams) -> None:
    async def write(writer: int) -> None:
        for turn in range(10):
            appended = await streams.append(TALK, said(*(f"{writer}.{turn}.{n}" for n in range(3))))
            later = await streams.append(TALK, said(f"{writer}.{turn}.after"))
            assert later.first_seq > appended.last_seq

    async with asyncio.TaskGroup() as group:
        for writer in range(8):
            group.create_task(write(writer))

    read = [item for item in await read_all(streams) if isinstance(item, Event)]
    assert [event.seq for event in read] == list(range(1, 8 * 10 * 4 + 1))
    assert sorted(event.at for event in read) == [event.at for event in read]
    for place, event in enumerate(read):
        if event.data.endswith(".0"):
            stem = event.data[:-1]
            assert [each.data for each in read[place : place + 3]] == [f"{stem}{n}" for n in range(3)]


@pytest.mark.law(18)
async def test_an_append_that_is_repeated_is_there_once(streams: Streams) -> None:
    await streams.append(TALK, said("before"), expected=0)
    first = await streams.append(TALK, said("a", "b"), expected=1)
    await streams.append(TALK, said("after"))
    await streams.close(TALK)

    again = await streams.append(TALK, said("a", "b"), expected=1)

    assert again == Appended(2, 3, first.at, is_repeated=True)
    assert await texts(streams) == ["before", "a", "b", "after"]


async def test_two_attempts_at_once_append_once(streams: Streams, dsn: str, connection: psycopg.Connection) -> None:
    await streams.append(TALK, said("before"))
    with held(dsn):
        attempts = [asyncio.create_task(streams.append(TALK, said("a"), expected=1)) for _ in range(4)]
        await until_waiting_for_a_lock(connection, 4)

    results = await asyncio.gather(*attempts)

    assert sorted(result.is_repeated for result in results) == [False, True, True, True]
    assert {(result.first_seq, result.at) for result in results} == {(2, results[0].at)}
    assert await texts(streams) == ["before", "a"]


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        (0, ["a", "x"]),
        (0, ["a", "b", "c", "d"]),
        # Appended, but not together.
        (0, ["a", "b", "c"]),
        (1, ["c"]),
        (7, ["a"]),
        (2**63 - 1, ["a"]),
    ],
)
async def test_an_append_from_another_position_is_refused(streams: Streams, expected: int, given: list[str]) -> None:
    await streams.append(TALK, said("a", "b"))
    await streams.append(TALK, said("c"))

    with pytest.raises(StreamMoved, match=f"at event 3, not at {expected}") as refused:
        await streams.append(TALK, said(*given), expected=expected)

    assert refused.value.last_seq == 3
    assert await texts(streams) == ["a", "b", "c"]


async def test_another_type_is_no_repetition(streams: Streams) -> None:
    await streams.append(TALK, said("a"))

    with pytest.raises(StreamMoved):
        await streams.append(TALK, [NewEvent("shouted", "a")], expected=0)


async def test_a_stream_that_does_not_exist_is_at_position_zero(streams: Streams) -> None:
    with pytest.raises(StreamMoved, match="at event 0, not at 3"):
        await streams.append(TALK, said("a"), expected=3)
    assert await streams.list() == []

    assert (await streams.append(TALK, said("a"), expected=0)).last_seq == 1


async def test_writers_that_create_a_stream_at_once_share_it(streams: Streams) -> None:
    results = await asyncio.gather(*(streams.append(TALK, said("a")) for _ in range(8)))

    assert sorted(result.last_seq for result in results) == list(range(1, 9))
    assert len(await streams.list()) == 1


async def test_a_transaction_of_the_callers_decides_over_the_events(streams: Streams, store: PendingStore) -> None:
    async with store.transaction() as given:
        await streams.append(TALK, said("a"), connection=given)
        await streams.append(TALK, said("b"), connection=given)
        assert await texts(streams) == []
    assert await texts(streams) == ["a", "b"]

    async with store.transaction() as given, given.transaction(force_rollback=True):
        await streams.append(TALK, said("lost"), connection=given)

    assert (await streams.append(TALK, said("c"))).first_seq == 3


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
async def test_a_transaction_that_does_not_look_anew_is_refused(
    streams: Streams, dsn: str, level: IsolationLevel
) -> None:
    await streams.append(TALK, said("a"))
    async with await psycopg.AsyncConnection.connect(dsn) as given:
        await given.set_isolation_level(level)
        for stream in (TALK, StreamName("acme", "new")):
            with pytest.raises(InvalidInput, match="begin it as read committed"):
                await streams.append(stream, said("b"), connection=given)

    assert await texts(streams) == ["a"]


async def test_a_caller_that_dies_leaves_nothing(streams: Streams, dsn: str, connection: psycopg.Connection) -> None:
    await streams.append(TALK, said("a"))
    given = await psycopg.AsyncConnection.connect(dsn)
    await streams.append(TALK, said("half", "done"), connection=given)
    waiting = asyncio.create_task(streams.append(TALK, said("b")))
    await until_waiting_for_a_lock(connection)

    connection.execute("select pg_terminate_backend(%s)", [given.info.backend_pid])

    assert (await waiting).first_seq == 2
    assert await texts(streams) == ["a", "b"]
    await given.close()


def wait_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have appends wait so long for a lock; the server gives them up, and the client does not, however slow it is."""
    monkeypatch.setattr(Purpose.APPEND, "lock_seconds", 0.5)
    monkeypatch.setattr(Purpose.APPEND, "lock_timeout", "500ms")


@pytest.mark.once
async def test_a_stream_that_somebody_holds_is_given_up_in_time(
    streams: Streams, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await streams.append(TALK, said("a"))
    wait_half_a_second(monkeypatch)
    with held(dsn), taking(0.4), pytest.raises(DatabaseBusy):
        await streams.append(TALK, said("b"))

    assert (await streams.append(TALK, said("c"))).first_seq == 2


async def test_one_lock_holds_up_no_other(streams: Streams, dsn: str) -> None:
    free, new, closed = (StreamName("acme", name) for name in ("free", "new", "closed"))
    foreign = StreamName("nobody", "talk")
    for stream in (TALK, free, closed):
        await streams.append(stream, said("a"))
    await streams.close(closed)
    appends = {stream: said("b", "c") for stream in (TALK, free, new, closed, foreign)}
    with held(dsn):
        under_way = asyncio.create_task(streams.append_many(appends))
        # Both are there while the one is still locked.
        for stream in (free, new):
            await until_said(streams, stream, ["b", "c"])
        assert not under_way.done()

    results = await under_way

    assert list(results) == list(appends)
    done = {stream: result for stream, result in results.items() if isinstance(result, Appended)}
    assert {stream: (each.first_seq, each.last_seq) for stream, each in done.items()} == {
        TALK: (2, 3),
        free: (2, 3),
        new: (1, 2),
    }
    assert isinstance(results[closed], StreamClosed)
    assert isinstance(results[foreign], NotFound)


@pytest.mark.once
async def test_what_stays_locked_is_reported_beside_what_was_done(
    streams: Streams, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await streams.append(TALK, said("a"))
    wait_half_a_second(monkeypatch)
    with held(dsn), taking(0.25):
        results = await streams.append_many({TALK: said("b"), StreamName("acme", "new"): said("c")})

    assert [type(result) for result in results.values()] == [DatabaseBusy, Appended]
    assert await texts(streams) == ["a"]


async def test_several_streams_at_once_keep_each_its_order(streams: Streams, connection: psycopg.Connection) -> None:
    names = [StreamName(organization, f"talk-{n}") for organization in ("acme", "globex") for n in range(3)]
    for stream in names:
        await streams.append(stream, said("first"))

    async def write(writer: int) -> None:
        for turn in range(5):
            appends = {stream: said(f"{writer}.{turn}.0", f"{writer}.{turn}.1") for stream in names}
            results = await streams.append_many(appends)
            assert all(isinstance(result, Appended) for result in results.values()), results

    await asyncio.gather(*(write(writer) for writer in range(4)))

    for stream in names:
        read = [item for item in await read_all(streams, stream) if isinstance(item, Event)]
        assert [event.seq for event in read] == list(range(1, 42))
        assert [event.data[:-1] for event in read[1::2]] == [event.data[:-1] for event in read[2::2]]
    assert connection.execute("select count(*) from pending_stream").fetchone() == (6,)


async def test_a_closed_stream_takes_nothing(streams: Streams, store: PendingStore) -> None:
    await streams.append(TALK, said("a"))
    assert [await streams.close(TALK), await streams.close(TALK)] == [1, 1]

    with pytest.raises(StreamClosed, match="talk is closed, with 1 events"):
        await streams.append(TALK, said("b"))
    with pytest.raises(StreamClosed):
        async with store.transaction() as given:
            await streams.append(TALK, said("b"), connection=given)
    with pytest.raises(StreamClosed):
        await streams.append(TALK, said("b"), expected=1)

    assert await texts(streams) == ["a"]


async def test_an_append_that_waited_for_the_end_is_refused(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    with held(dsn, "update pending_stream set closed_at = now()"):
        waiting = asyncio.create_task(streams.append(TALK, said("b")))
        await until_waiting_for_a_lock(connection)

    with pytest.raises(StreamClosed):
        await waiting


async def test_an_organization_that_does_not_exist_has_no_streams(streams: Streams) -> None:
    with pytest.raises(NotFound, match="organization does not exist"):
        await streams.append(StreamName("nobody", "talk"), said("a"))


async def test_a_ring_without_its_row_takes_no_event(streams: Streams, connection: psycopg.Connection) -> None:
    await streams.append(TALK, said("a"))
    connection.execute("delete from pending_stream_ring")

    for append in (streams.append(TALK, said("b")), streams.append_many({TALK: said("b")})):
        with pytest.raises(DatabaseFailed, match="insert into pending_stream_ring default values"):
            await append

    connection.execute("insert into pending_stream_ring default values")
    assert (await streams.append(TALK, said("c"))).first_seq == 2


async def test_a_clock_that_goes_back_leaves_the_times_in_order(
    streams: Streams, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    connection.execute("update pending_stream set last_at = now() + interval '1 hour'")

    later, latest = await streams.append(TALK, said("b")), await streams.append(TALK, said("c"))

    assert later.at == latest.at
    connection.execute("update pending_stream set last_at = 'infinity'")
    at = (await streams.append(TALK, said("d"))).at
    assert at > later.at + timedelta(days=365)
    assert await texts(streams) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["", "a" * 256, "with space", "ü", "a/b", "a\n", "a\0"])
def test_a_name_outside_the_set_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name is not 1 to 255 of"):
        StreamName("acme", name)


@pytest.mark.parametrize(
    ("type", "data", "message"),
    [
        ("", "a", "type has 0 characters"),
        ("t" * 256, "a", "type has 256 characters"),
        ("a\nb", "a", "control character"),
        ("\ud800", "a", "lone surrogate"),
        ("said", "", "data is empty"),
        ("said", "a\0", "NUL character"),
        ("said", "\udfff", "lone surrogate"),
        ("said", "a" * (MAX_EVENT_BYTES + 1), "1,048,577 bytes"),
        ("said", "é" * (MAX_EVENT_BYTES // 2) + "a", "1,048,577 bytes"),
    ],
)
def test_an_event_out_of_bounds_is_refused(type: str, data: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        NewEvent(type, data)


async def test_what_is_within_the_bounds_is_taken(streams: Streams, store: PendingStore) -> None:
    stream = StreamName("ü" * 255, "A.z_0:~-" + "x" * 247)
    await store.create_organization("ü" * 255)
    event = NewEvent("é" * 255, "é" * (MAX_EVENT_BYTES // 2))

    appended = await streams.append(stream, [event])

    assert await read_all(streams, stream) == [Event(1, appended.at, event.type, event.data)]


async def test_a_batch_out_of_bounds_is_refused(streams: Streams) -> None:
    largest = NewEvent("said", "a" * MAX_EVENT_BYTES)
    for events, message in (
        ([], "no events"),
        (said("a") * 10_001, "10,001 events"),
        ([largest] * 16 + said("a"), "16,777,217 bytes"),
    ):
        with pytest.raises(InvalidInput, match=message):
            await streams.append(TALK, events)
        with pytest.raises(InvalidInput, match=message):
            await streams.append_many({TALK: events})
    with pytest.raises(InvalidInput, match="no events for stream empty"):
        await streams.append_many({TALK: said("a"), StreamName("acme", "empty"): []})
    for expected in (-1, 2**63):
        with pytest.raises(InvalidInput, match="the number of the last event: 0 before any"):
            await streams.append(TALK, said("a"), expected=expected)

    assert await streams.list() == []


async def test_a_role_or_database_that_commits_without_the_disk_is_overruled(pool: Pool, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as given:
        await given.execute("set synchronous_commit = off")
        streams = Streams(pool)
        await streams.append(TALK, said("a"), connection=given)
        row = await (await given.execute("show synchronous_commit")).fetchone()
        assert row == ("on",)
        await given.commit()
        await streams.append(TALK, said("a"), connection=given)
        row = await (await given.execute("show synchronous_commit")).fetchone()
        assert row == ("on",)


async def test_a_stream_that_can_take_nothing_holds_up_none_of_those_beside_it(
    streams: Streams, connection: psycopg.Connection
) -> None:
    other, third = StreamName("acme", "other"), StreamName("acme", "third")
    await streams.append_many({TALK: said("a"), other: said("a"), third: said("a")})
    connection.execute("update pending_stream set last_seq = 9223372036854775807 where name = 'talk'")
    connection.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;"
        "create trigger refuse before update on pending_stream for each row when (old.name = 'third') "
        "execute function refuse()"
    )

    results = await streams.append_many({TALK: said("b"), other: said("b"), third: said("b")})

    assert isinstance(results[other], Appended)
    for refused, reason in ((TALK, "bigint out of range"), (third, "not this one")):
        assert isinstance(results[refused], DatabaseFailed)
        assert reason in str(results[refused])
    assert await texts(streams, other) == ["a", "b"]


async def test_a_ring_that_lacks_a_table_is_not_said_to_lack_its_row(
    streams: Streams, connection: psycopg.Connection
) -> None:
    connection.execute("alter table pending_stream_event detach partition pending_stream_event_0")
    with pytest.raises(DatabaseFailed, match=r"no partition of relation .pending_stream_event. found for row$"):
        await streams.append(TALK, said("a"))
    assert await streams.list() == []
