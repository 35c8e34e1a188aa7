"""Rows of streams that somebody has written by hand: none holds up another stream."""

from __future__ import annotations

import psycopg
import pytest

from pendingctl.events.following import Following
from pendingctl.events.model import Cursor, End, Event, StreamName
from pendingctl.events.streams import Streams
from tests.events.streaming import said
from tests.events.test_outages import reader_of, until
from tests.events.writers import CHAT, append, close, datas, given, nothing_for

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
