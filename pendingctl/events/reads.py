"""The reads by which a pod follows streams: each of many streams in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString, TypeVar

from psycopg.pq import TransactionStatus
from psycopg.rows import class_row

from ..postgres.connections import Connection
from . import read_statements
from .model import Event, Stream, StreamName

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Seen:
    """A stream as it was seen last."""

    id: int
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """A stream that is not as it was seen: by its id, or by its name where it was missing and is there now."""

    id: int
    is_there: bool
    organization_id: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a stream that is to be read on from."""

    id: int
    name: StreamName
    seq: int


@dataclass(frozen=True, slots=True)
class Read:
    """What stands behind a position. `stream` is None where it is gone; `at` is the time of the event at the position.

    No events: there are none behind it.
    """

    stream: Stream | None
    at: datetime | None
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Opened:
    id: int
    organization_id: str
    name: str
    last_seq: int
    last_at: datetime
    created_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _ReadRow:
    place: int
    last_seq: int | None
    last_at: datetime
    created_at: datetime
    closed_at: datetime | None
    here_at: datetime | None
    seq: int | None
    at: datetime
    type: str
    data: str


async def open_streams(connection: Connection, names: Sequence[StreamName]) -> dict[StreamName, Stream]:
    """Return those of the streams that exist."""
    rows = await _rows(connection, _Opened, read_statements.OPEN, _of_names(names))
    return {
        (name := StreamName(row.organization_id, row.name)): Stream(
            row.id, name, row.last_seq, row.last_at, row.created_at, row.closed_at
        )
        for row in rows
    }


async def moved(connection: Connection, seen: Sequence[Seen], missing: Sequence[StreamName]) -> list[Moved]:
    """Return which streams are not as they were seen, and which of the missing ones are there now."""
    parameters = {
        "ids": [each.id for each in seen],
        "seqs": [each.seq for each in seen],
        "ats": [each.at for each in seen],
        **_of_names(missing),
    }
    return await _rows(connection, Moved, read_statements.MOVED, parameters)


async def read(
    connection: Connection, places: Sequence[Place], *, most_events: int, stream_bytes: int, call_bytes: int
) -> list[Read | None]:
    """Return what stands behind each position, in their order; None where the limits left no room for it.

    A stream has at most so many events; of its bytes, and of those of all, it is what the limits allow and one event
    more.
    """
    parameters = {
        **_of_names([place.name for place in places]),
        "ids": [place.id for place in places],
        "seqs": [place.seq for place in places],
        "page": most_events,
        "stream_bytes": stream_bytes,
        "call_bytes": call_bytes,
    }
    found: list[Read | None] = [None] * len(places)
    for row in await _rows(connection, _ReadRow, read_statements.READ, parameters):
        place = places[row.place - 1]
        reading = found[row.place - 1]
        if reading is None:
            stream = (
                None
                if row.last_seq is None
                else Stream(place.id, place.name, row.last_seq, row.last_at, row.created_at, row.closed_at)
            )
            reading = found[row.place - 1] = Read(stream, row.here_at)
        if row.seq is not None:
            reading.events.append(Event(row.seq, row.at, row.type, row.data))
    return found


def _of_names(names: Sequence[StreamName]) -> dict[str, list[str]]:
    return {"organization_ids": [name.organization_id for name in names], "names": [name.name for name in names]}


async def _rows(
    connection: Connection, kind: type[R], statement: LiteralString, parameters: Mapping[str, object]
) -> list[R]:
    # Behind a pooler each statement may have a transaction around it (see prepare_connection).
    try:
        rows = await (await connection.cursor(row_factory=class_row(kind)).execute(statement, parameters)).fetchall()
    finally:
        if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            await connection.rollback()
    return rows
