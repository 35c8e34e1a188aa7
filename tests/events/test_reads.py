"""One read of many streams stays within its limits of events and bytes, and always gets on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from pendingctl.events.model import StreamName
from pendingctl.events.reads import Place, Read, read
from pendingctl.postgres.connections import Connection, connect
from tests.events.writers import append

NAMES = [StreamName("acme", name) for name in ("a", "b", "c")]


@pytest.fixture
async def reading(dsn: str) -> AsyncIterator[Connection]:
    connection = await connect(dsn, application="pendingctl test")
    yield connection
    await connection.close()


@pytest.fixture
def ids(connection: psycopg.Connection) -> list[int]:
    """Three streams of five events of 100 bytes each."""
    for name in NAMES:
        append(connection, *("x" * 100 for _ in range(5)), stream=name)
    return [row[0] for row in connection.execute("select id from pending_stream order by id")]


def numbers(found: list[Read | None]) -> list[list[int] | None]:
    return [None if each is None else [event.seq for event in each.events] for each in found]


@pytest.mark.parametrize(
    ("most_events", "stream_bytes", "call_bytes", "expected"),
    [
        (10, 1_000, 10_000, [[2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]),
        (2, 1_000, 10_000, [[2, 3], [1, 2], [1, 2]]),
        (10, 201, 10_000, [[2, 3, 4], [1, 2, 3], [1, 2, 3]]),
        (10, 200, 500, [[2, 3], [1, 2], [1]]),
        (10, 1_000, 400, [[2, 3, 4, 5], None, None]),
        (10, 1, 1, [[2], None, None]),
    ],
)
async def test_a_read_stays_within_its_limits(
    reading: Connection, ids: list[int], most_events: int, stream_bytes: int, call_bytes: int, expected: object
) -> None:
    places = [Place(id, name, seq) for id, name, seq in zip(ids, NAMES, (1, 0, 0), strict=True)]
    found = await read(reading, places, most_events=most_events, stream_bytes=stream_bytes, call_bytes=call_bytes)
    assert numbers(found) == expected


async def test_a_stream_that_is_gone_and_one_without_news_are_told_from_those_left_out(
    reading: Connection, ids: list[int]
) -> None:
    places = [
        Place(10_000, NAMES[0], 3),
        Place(ids[1], NAMES[1], 5),
        Place(ids[2], NAMES[2], 0),
        Place(ids[0], NAMES[0], 0),
    ]
    gone, all_read, first, left_out = await read(reading, places, most_events=10, stream_bytes=1_000, call_bytes=500)
    assert gone is not None
    assert gone.stream is None
    assert all_read is not None
    assert all_read.stream is not None
    assert (all_read.stream.last_seq, all_read.at, all_read.events) == (5, all_read.stream.last_at, [])
    assert first is not None
    assert len(first.events) == 5
    assert left_out is None
