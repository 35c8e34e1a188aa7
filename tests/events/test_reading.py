"""Pages of a stream: positions that hold, gaps, other histories, ends, and what one page may hold."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pendingctl.errors import CursorInvalid, InvalidInput, StreamMissing
from pendingctl.events.model import START, Cursor, End, Event, Gap, NewEvent, Page, Reset, Stream, StreamName
from pendingctl.events.position import Found, judge, page_of
from pendingctl.events.streams import Streams
from tests.events.streaming import TALK, held, read_all, said, texts
from tests.locks import until_waiting_for_a_lock

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


def at(minutes: int) -> datetime:
    return CREATED + timedelta(minutes=minutes)


def stream(last_seq: int, closed_at: datetime | None = None) -> Stream:
    """A stream with an event each minute."""
    return Stream(1, TALK, last_seq, at(last_seq), CREATED, closed_at)


@pytest.mark.parametrize(
    ("position", "found", "verdict"),
    [
        (START, Found(None), None),
        (Cursor(0, CREATED), Found(None), End(0)),
        (Cursor(3, at(3)), Found(None), End(3)),
        (START, Found(stream(0)), None),
        (Cursor(0, CREATED), Found(stream(0)), None),
        (Cursor(0, CREATED), Found(stream(2), None, 1), None),
        (Cursor(0, at(-1)), Found(stream(2), None, 1), Reset(2)),
        (Cursor(0, at(1)), Found(stream(2), None, 1), Reset(2)),
        (START, Found(stream(5), None, 3), Gap(1, 2)),
        (START, Found(stream(5), None, None), Gap(1, 5)),
        (Cursor(3, at(3)), Found(stream(5), at(3), 4), None),
        (Cursor(3, at(2)), Found(stream(5), at(3), 4), Reset(5)),
        (Cursor(3, at(3)), Found(stream(5), at(3), 5), Gap(4, 4)),
        (Cursor(3, at(3)), Found(stream(5), None, 4), None),
        (Cursor(3, at(3)), Found(stream(5), None, 5), Gap(4, 4)),
        (Cursor(3, at(3)), Found(stream(5), None, None), Gap(4, 5)),
        (Cursor(3, at(-1)), Found(stream(5), None, 5), Reset(5)),
        (Cursor(3, at(6)), Found(stream(5), None, 5), Reset(5)),
        (Cursor(6, at(4)), Found(stream(5)), Reset(5)),
        (Cursor(5, at(5)), Found(stream(5), None, None), None),
        (Cursor(5, at(4)), Found(stream(5), None, None), Reset(5)),
        (Cursor(5, at(5)), Found(stream(5, at(9)), at(5)), End(5)),
        (Cursor(4, at(4)), Found(stream(5, at(9)), at(4), 5), None),
        (START, Found(stream(0, at(9))), End(0)),
    ],
)
def test_a_position_is_judged_by_one_table(position: Cursor, found: Found, verdict: object) -> None:
    assert judge(position, found) == verdict


def test_a_hole_between_events_is_a_gap_of_its_own() -> None:
    events = [Event(seq, at(seq), "said", "a") for seq in (2, 3, 6)]

    page = page_of(START, stream(8, at(9)), events, is_cut=False)

    assert page.items == (Gap(1, 1), *events[:2], Gap(4, 5), events[2], Gap(7, 8), End(8))
    assert (page.after, page.is_complete) == (Cursor(8, at(8)), True)


@pytest.mark.parametrize("cursor", [START, Cursor(0, CREATED), Cursor(2**63 - 1, at(1) + timedelta(microseconds=1))])
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    ["", "1", "-1", "1-", "1-G", "01-a", "+1-a", " 1-a", "1-a\n", "١-a", "9223372036854775808-a", "1-" + "f" * 15],
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorInvalid, match="use the id of an event"):
        Cursor.parse(text)


async def test_pages_follow_each_other(streams: Streams) -> None:
    await streams.append(TALK, said("a", "b", "c"))

    first = await streams.read(TALK, limit=2)
    second = await streams.read(TALK, first.after, limit=2)

    assert [[item.data for item in page.items if isinstance(item, Event)] for page in (first, second)] == [
        ["a", "b"],
        ["c"],
    ]
    assert (first.is_complete, second.is_complete) == (False, True)
    assert await streams.read(TALK, second.after) == Page((), second.after, is_complete=True)


async def test_a_page_holds_no_more_than_its_bytes(streams: Streams) -> None:
    large = NewEvent("said", "x" * 1024 * 1024)
    for _ in range(10):
        await streams.append(TALK, [large])

    page = await streams.read(TALK)

    assert (len(page.items), page.is_complete) == (4, False)
    assert len(await texts(streams)) == 10


async def test_a_stream_that_does_not_exist_is_open_and_empty(streams: Streams) -> None:
    assert await streams.read(TALK) == Page((), START, is_complete=True)


async def test_only_its_organization_is_read(streams: Streams) -> None:
    await streams.append(StreamName("globex", "talk"), said("theirs"))
    appended = await streams.append(TALK, said("ours"))

    assert await texts(streams) == ["ours"]
    await streams.delete(TALK)
    assert await read_all(streams) == []
    assert await read_all(streams, after=appended.cursor) == [End(1)]


async def test_a_closed_stream_ends_behind_its_events(streams: Streams) -> None:
    appended = await streams.append(TALK, said("a"))
    await streams.close(TALK)

    assert await read_all(streams) == [Event(1, appended.at, "said", "a"), End(1)]
    assert await read_all(streams, after=appended.cursor) == [End(1)]


async def test_a_stream_that_was_made_again_is_another_history(streams: Streams) -> None:
    old = await streams.append(TALK, said("a", "b"))
    await streams.delete(TALK)
    new = await streams.append(TALK, said("x", "y", "z"))

    assert await read_all(streams, after=old.cursor) == [
        Reset(3),
        *(Event(seq, new.at, "said", data) for seq, data in enumerate("xyz", 1)),
    ]


async def test_commits_that_were_lost_show_as_another_history(streams: Streams, connection: psycopg.Connection) -> None:
    await streams.append(TALK, said("a"))
    lost = await streams.append(TALK, said("b"))
    # As a standby has it that the last commit did not reach.
    connection.execute(
        """
        with lost as (delete from pending_stream_event where seq = 2)
        update pending_stream set last_seq = 1, last_at = (select at from pending_stream_event where seq = 1)
        """
    )
    assert (await streams.read(TALK, lost.cursor)).items[0] == Reset(1)

    await streams.append(TALK, said("other"))

    read = await read_all(streams, after=lost.cursor)
    assert read[0] == Reset(2)
    assert [item.data for item in read if isinstance(item, Event)] == ["a", "other"]


@pytest.mark.parametrize("purge", [True, False])
async def test_a_deleted_stream_leaves_nothing_to_read(
    streams: Streams, connection: psycopg.Connection, purge: bool
) -> None:
    await streams.append(TALK, said(*"abc"))
    other = await streams.append(StreamName("acme", "other"), said("kept"))

    assert await streams.delete(TALK, purge=purge) == 3

    assert await read_all(streams) == []
    assert connection.execute("select count(*) from pending_stream_event").fetchone() == (1 if purge else 4,)
    assert await read_all(streams, StreamName("acme", "other")) == [Event(1, other.at, "said", "kept")]
    for again in (streams.delete(TALK, purge=purge), streams.close(TALK), streams.show(TALK)):
        with pytest.raises(StreamMissing, match="acme has no stream talk"):
            await again


async def test_a_stream_made_anew_while_another_one_is_purged_stays(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    with held(dsn, "select from pending_stream_event for update"):
        purging = asyncio.create_task(streams.delete(TALK, purge=True))
        await until_waiting_for_a_lock(connection)
        await streams.delete(TALK)
        await streams.append(TALK, said("new"))

    with pytest.raises(StreamMissing):
        await purging
    assert await texts(streams) == ["new"]


async def test_an_append_that_waited_for_a_deletion_begins_anew(
    streams: Streams, dsn: str, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    with held(dsn, "delete from pending_stream"):
        waiting = asyncio.create_task(streams.append(TALK, said("b")))
        await until_waiting_for_a_lock(connection)

    assert (await waiting).last_seq == 1
    assert await texts(streams) == ["b"]


async def test_a_deleted_organization_takes_its_streams_with_it(
    streams: Streams, connection: psycopg.Connection
) -> None:
    appended = await streams.append(TALK, said("a"))
    connection.execute("delete from organization where id = 'acme'")

    assert await streams.list() == []
    assert await read_all(streams, after=appended.cursor) == [End(1)]


async def test_streams_are_listed_by_organization_and_name_page_by_page(streams: Streams) -> None:
    names = [StreamName(organization, name) for organization in ("acme", "globex") for name in ("a", "b", "c")]
    for name in reversed(names):
        await streams.append(name, said("a"))

    listed: list[StreamName] = []
    while found := await streams.list(after=listed[-1] if listed else None, limit=4):
        listed += [each.name for each in found]

    assert listed == names
    assert [each.name for each in await streams.list("acme")] == names[:3]
    assert [each.name for each in await streams.list("acme", after=names[1])] == names[2:3]
    assert await streams.list("globex", after=names[5]) == []
    for limit in (0, 10_001):
        with pytest.raises(InvalidInput, match="it must be 1 to 10,000"):
            await streams.list(limit=limit)
        with pytest.raises(InvalidInput, match="it must be 1 to 10,000"):
            await streams.read(TALK, limit=limit)


async def test_a_stream_is_shown_with_what_is_still_there(streams: Streams, connection: psycopg.Connection) -> None:
    appended = await streams.append(TALK, said("a", "b"))
    connection.execute("delete from pending_stream_event where seq = 1")

    shown = await streams.show(TALK)

    assert (shown.first_seq, shown.retention) == (2, timedelta(hours=24))
    assert (shown.stream.last_seq, shown.stream.last_at, shown.stream.closed_at) == (2, appended.at, None)


async def test_times_that_python_cannot_hold_break_no_read(streams: Streams, connection: psycopg.Connection) -> None:
    await streams.append(TALK, said("a"))
    connection.execute(
        "update pending_stream set last_at = 'infinity', created_at = '-infinity', closed_at = 'infinity'"
    )
    connection.execute("update pending_stream_event set at = 'infinity'")

    assert [type(item) for item in await read_all(streams)] == [Event, End]
    assert (await streams.show(TALK)).stream in await streams.list()


async def test_names_that_no_pod_could_choose_are_listed_page_by_page(
    streams: Streams, connection: psycopg.Connection
) -> None:
    await streams.append(TALK, said("a"))
    for name in ("", "two words", "two\nlines", "\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 256):
        connection.execute("insert into pending_stream (organization_id, name) values ('acme', %s)", [name])
    connection.execute("insert into organization (id) values (repeat('o', 256))")
    connection.execute("insert into pending_stream (organization_id, name) values (repeat('o', 256), 'talk')")

    listed: list[StreamName] = []
    while page := await streams.list(after=listed[-1] if listed else None, limit=1):
        listed += [each.name for each in page]
        assert len(listed) <= 7
    assert len(listed) == 7
    assert TALK in listed
