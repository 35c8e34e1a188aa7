"""What is there: a page of a stream's events, one stream, and lists of them. Reading never writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from psycopg.rows import args_row

from ..errors import InvalidInput
from ..payload import check_id
from ..postgres.connections import Connection, ConnectionSource
from ..store.reading import reading
from . import statements
from .model import START, Cursor, Event, Page, Reset, Stream, StreamDetails, StreamName
from .position import Found, judge, page_of
from .rows import STREAM_ROW, as_stream, missing, name_parameters

MAX_PAGE_EVENTS = 10_000
# A page ends with the event that reaches these, so it may have one event more.
PAGE_BYTES = 4 * 1024 * 1024
MAX_LIST = 10_000


async def read_page(source: ConnectionSource, stream: StreamName, after: Cursor, *, limit: int) -> Page:
    """Return the next events of a stream: see `Streams.read`."""
    if not 1 <= limit <= MAX_PAGE_EVENTS:
        raise InvalidInput(f"the limit is {limit}; it must be 1 to {MAX_PAGE_EVENTS:,}")
    async with reading(source) as connection:
        found, events = await _read(connection, stream, after, limit)
        verdict = judge(after, found)
        if found.stream is None:
            return Page(() if verdict is None else (verdict,), after, is_complete=True)
        if not isinstance(verdict, Reset):
            return _page(after, found.stream, events, limit)
        found, events = await _read(connection, stream, START, limit)
        if found.stream is None:
            return Page((replace(verdict, last_seq=0),), START, is_complete=True)
        page = _page(Cursor(0, found.stream.created_at), found.stream, events, limit)
        return replace(page, items=(replace(verdict, last_seq=found.stream.last_seq), *page.items))


def _page(after: Cursor, stream: Stream, events: Sequence[Event], limit: int) -> Page:
    is_cut = len(events) == limit or sum(len(event.data.encode()) for event in events) >= PAGE_BYTES
    return page_of(after, stream, events, is_cut=is_cut and events[-1].seq < stream.last_seq)


async def _read(connection: Connection, stream: StreamName, after: Cursor, limit: int) -> tuple[Found, list[Event]]:
    cursor = await connection.cursor(row_factory=args_row(_page_row)).execute(
        statements.READ_PAGE,
        {**name_parameters(stream), "seq": after.seq, "limit": limit, "max_bytes": PAGE_BYTES},
    )
    rows = await cursor.fetchall()
    if not rows:
        return Found(None), []
    row, at, _ = rows[0]
    events = [event for _, _, event in rows if event is not None]
    return Found(row, at, events[0].seq if events else None), events


def _page_row(
    id: int,
    organization_id: str,
    name: str,
    last_seq: int,
    last_at: datetime,
    created_at: datetime,
    closed_at: datetime | None,
    seq_at: datetime | None,
    event_seq: int | None,
    event_at: datetime,
    event_type: str,
    event_data: str,
) -> tuple[Stream, datetime | None, Event | None]:
    stream = as_stream(id, organization_id, name, last_seq, last_at, created_at, closed_at)
    event = None if event_seq is None else Event(event_seq, event_at, event_type, event_data)
    return stream, seq_at, event


async def list_page(
    source: ConnectionSource, organization_id: str | None, *, after: StreamName | None, limit: int
) -> list[Stream]:
    """Return streams by organization and name: see `Streams.list`."""
    if not 1 <= limit <= MAX_LIST:
        raise InvalidInput(f"the limit is {limit}; it must be 1 to {MAX_LIST:,}")
    if organization_id is not None:
        check_id(organization_id, "organization_id")
    parameters = {
        "organization_id": organization_id,
        "after_organization_id": (organization_id or "") if after is None else after.organization_id,
        "after_name": "" if after is None else after.name,
        "limit": limit,
    }
    statement = statements.LIST_ALL if organization_id is None else statements.LIST_OF_ORGANIZATION
    async with reading(source) as connection:
        return await (await connection.cursor(row_factory=STREAM_ROW).execute(statement, parameters)).fetchall()


async def show(source: ConnectionSource, stream: StreamName) -> StreamDetails:
    """Return a stream, and what of it is still there. Raises StreamMissing."""
    async with reading(source) as connection:
        cursor = connection.cursor(row_factory=args_row(_details))
        found = await (await cursor.execute(statements.SHOW, name_parameters(stream))).fetchone()
    if found is None:
        raise missing(stream)
    return found


def _details(
    id: int,
    organization_id: str,
    name: str,
    last_seq: int,
    last_at: datetime,
    created_at: datetime,
    closed_at: datetime | None,
    first_seq: int | None,
    retention_seconds: float | None,
) -> StreamDetails:
    stream = as_stream(id, organization_id, name, last_seq, last_at, created_at, closed_at)
    retention = None if retention_seconds is None else timedelta(seconds=retention_seconds)
    return StreamDetails(stream, first_seq, retention)
