"""Streams and events as the tests write and read them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pendingctl.events.model import START, Cursor, Event, NewEvent, StreamItem, StreamName
from pendingctl.events.streams import Streams

TALK = StreamName("acme", "talk")


def said(*texts: str) -> list[NewEvent]:
    return [NewEvent("said", text) for text in texts]


async def read_all(streams: Streams, stream: StreamName = TALK, after: Cursor = START) -> list[StreamItem]:
    """Everything after a position, page by page."""
    items: list[StreamItem] = []
    for _ in range(100):
        page = await streams.read(stream, after, limit=50)
        items += page.items
        after = page.after
        if page.is_complete:
            return items
    raise AssertionError("the pages never end")


async def texts(streams: Streams, stream: StreamName = TALK, after: Cursor = START) -> list[str]:
    return [item.data for item in await read_all(streams, stream, after) if isinstance(item, Event)]


async def until_said(streams: Streams, stream: StreamName, last: list[str]) -> None:
    """Wait until these are the last events of the stream."""
    for _ in range(1_000):
        if (await texts(streams, stream))[-len(last) :] == last:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"{stream} does not end with {last}")


@contextmanager
def held(dsn: str, statement: str = "select from pending_stream where name = 'talk' for update") -> Iterator[None]:
    """Hold what the statement locks, in a session of its own, and commit at the end of the block."""
    with psycopg.connect(dsn) as holding:
        holding.execute(statement.encode())
        yield
