"""The end of a stream: closed, which its readers are told, or deleted."""

from __future__ import annotations

from typing import LiteralString

from psycopg.rows import tuple_row

from ..model import BATCH_SIZE
from ..postgres.connections import Borrowed, Connection, ConnectionSource
from ..postgres.time_limits import Purpose
from . import statements
from .model import Stream, StreamName
from .rows import STREAM_ROW, missing, name_parameters


async def close(source: ConnectionSource, stream: StreamName, *, connection: Connection | None = None) -> int:
    """Close a stream and return the number of its last event: see `Streams.close`."""
    async with Borrowed(source, connection, purpose=Purpose.APPEND) as borrowed:
        closed = await _ended(borrowed, statements.CLOSE, stream, connection)
        if closed is not None:
            return closed[1]
        return (await _look(borrowed, stream)).last_seq


async def delete(
    source: ConnectionSource, stream: StreamName, *, id: int | None = None, connection: Connection | None = None
) -> int:
    """Delete a stream's row and return the number of its last event: see `Streams.delete`.

    With `id` only the stream that has it, and not one that was made anew under the name.
    """
    async with Borrowed(source, connection, purpose=Purpose.APPEND) as borrowed:
        deleted = await _ended(borrowed, statements.DELETE, stream, connection, id=id)
        if deleted is None:
            raise missing(stream)
        return deleted[1]


async def purge(source: ConnectionSource, stream: StreamName, *, batch_size: int = BATCH_SIZE) -> int:
    """Delete the events of a stream in batches, oldest first, and return its id. Raises StreamMissing."""
    async with Borrowed(source, purpose=Purpose.SWEEP) as borrowed:
        found = await _look(borrowed, stream)
    while True:
        async with Borrowed(source, purpose=Purpose.SWEEP) as borrowed:
            cursor = await borrowed.execute(statements.PURGE, {"id": found.id, "batch_size": batch_size})
        if cursor.rowcount < batch_size:
            return found.id


async def _ended(
    connection: Connection,
    statement: LiteralString,
    stream: StreamName,
    given: Connection | None,
    *,
    id: int | None = None,
) -> tuple[int, int] | None:
    lock_timeout = Purpose.APPEND.lock_timeout if given is None else None
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(statement, {**name_parameters(stream), "id": id, "lock_timeout": lock_timeout})
    return await cursor.fetchone()


async def _look(connection: Connection, stream: StreamName) -> Stream:
    cursor = connection.cursor(row_factory=STREAM_ROW)
    found = await (await cursor.execute(statements.LOOK, name_parameters(stream))).fetchone()
    if found is None:
        raise missing(stream)
    return found
