"""Appends: of one stream, of several in one commit, in a transaction of the caller's, and repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import LiteralString

from psycopg.errors import CheckViolation, NotNullViolation, UniqueViolation
from psycopg.rows import args_row, scalar_row, tuple_row

from ..errors import (
    DatabaseBusy,
    DatabaseFailed,
    DatabaseUnreachable,
    InvalidInput,
    NotConnected,
    PendingctlError,
    StreamClosed,
    StreamMoved,
)
from ..postgres.connections import Borrowed, Connection, ConnectionSource
from ..postgres.driver_errors import translate
from ..postgres.time_limits import Purpose
from . import statements
from .model import MAX_SEQ, Appended, NewEvent, Stream, StreamName
from .rows import STREAM_ROW, name_parameters
from .unreadable import is_of_a_row

# A stream's row is locked while its events are written, and the server and this process hold them all.
MAX_EVENTS = 10_000
MAX_BYTES = 16 * 1024 * 1024

# For a locked row among several streams; doubled in each round.
_FIRST_ROUND_SECONDS = 0.01
_LEAST_SECONDS = 0.001

_REFUSED = (CheckViolation, NotNullViolation, UniqueViolation)

# Each time something else must have happened in between: the stream was created, deleted, or moved.
_TRIES = 5


async def append(
    source: ConnectionSource,
    stream: StreamName,
    events: Sequence[NewEvent],
    *,
    expected: int | None = None,
    connection: Connection | None = None,
) -> Appended:
    """Append events: see `Streams.append`, which also wakes the readers."""
    check_events(events)
    if expected is not None and not 0 <= expected <= MAX_SEQ:
        raise InvalidInput(f"the expected position is the number of the last event: 0 before any, at most {MAX_SEQ}")
    parameters: dict[str, object] = {
        **name_parameters(stream),
        "types": [event.type for event in events],
        "datas": [event.data for event in events],
        "expected": expected,
        "lock_timeout": Purpose.APPEND.lock_timeout if connection is None else None,
    }
    async with Borrowed(source, connection, purpose=Purpose.APPEND) as borrowed:
        if connection is not None:
            await _hold(connection, parameters)
        return await _append(borrowed, stream, parameters, len(events), expected, is_callers=connection is not None)


async def append_many(
    source: ConnectionSource, appends: Mapping[StreamName, Sequence[NewEvent]]
) -> dict[StreamName, Appended | PendingctlError]:
    """Append to several streams: see `Streams.append_many`, which also wakes the readers."""
    check_events([event for events in appends.values() for event in events])
    for stream, events in appends.items():
        if not events:
            raise InvalidInput(f"there are no events for stream {stream.name}; give at least one")
    done: dict[StreamName, Appended | PendingctlError] = {}
    try:
        done.update(await _append_together(source, appends))
    except PendingctlError as error:
        # Nothing was done, and of one stream or its events alone it may be reported.
        if len(appends) == 1 or not is_of_a_row(error):
            raise
    # The rest one by one, in rounds for as long as an append may wait: what somebody has locked costs the others a
    # short wait, and not all of it.
    left = [stream for stream in appends if stream not in done]
    until, wait = monotonic() + Purpose.APPEND.lock_seconds, _FIRST_ROUND_SECONDS
    while left:
        is_last_round = monotonic() + wait >= until
        is_away = False
        for stream in left:
            seconds = max(min(wait, until - monotonic()), _LEAST_SECONDS)
            if is_away and monotonic() >= until:
                # Each attempt may wait as long as one append alone.
                done[stream] = NotConnected(
                    f"the database was away, so that nothing was appended to stream {stream.name}; try again"
                )
                continue
            done[stream] = await _append_alone(source, stream, appends[stream], seconds)
            is_away = isinstance(done[stream], DatabaseUnreachable)
        left = [] if is_last_round else [stream for stream in left if isinstance(done[stream], DatabaseBusy)]
        wait *= 2
    return {stream: done[stream] for stream in appends}


def check_events(events: Sequence[NewEvent]) -> None:
    """Refuse what one statement cannot append. Raises InvalidInput."""
    if not events:
        raise InvalidInput("there are no events to append; give at least one")
    if len(events) > MAX_EVENTS:
        raise InvalidInput(f"{len(events):,} events are given; append at most {MAX_EVENTS:,} at once")
    if (size := sum(event.size for event in events)) > MAX_BYTES:
        raise InvalidInput(f"the events have {size:,} bytes together; append at most {MAX_BYTES:,} at once")


async def _hold(connection: Connection, parameters: Mapping[str, object]) -> None:
    row = await (await connection.cursor(row_factory=tuple_row).execute(statements.HOLD, parameters)).fetchone()
    assert row is not None
    if row[0] != "read committed":
        raise InvalidInput(
            f"the transaction is {row[0]}, in which an append may write what is about to be removed; "
            "begin it as read committed"
        )


async def _append(
    connection: Connection,
    stream: StreamName,
    parameters: Mapping[str, object],
    number: int,
    expected: int | None,
    *,
    is_callers: bool = False,
) -> Appended:
    for _ in range(_TRIES):
        if (appended := await _written(connection, statements.APPEND, parameters, number)) is not None:
            return appended
        found = await (await connection.cursor(row_factory=STREAM_ROW).execute(statements.LOOK, parameters)).fetchone()
        if found is None:
            if expected:
                raise _moved(stream, expected, 0)
            if is_callers:
                await connection.execute(statements.CREATE, parameters)
                continue
            appended = await _written(connection, statements.APPEND_FIRST, parameters, number)
            if appended is not None:
                return appended
        elif expected is not None and expected != found.last_seq:
            if found.last_seq < expected + number:
                raise _moved(stream, expected, found.last_seq)
            return await _repetition(connection, stream, found, parameters, number, expected)
        elif found.closed_at is not None:
            raise StreamClosed(
                f"stream {stream.name} is closed, with {found.last_seq:,} events; append to another stream"
            )
    raise DatabaseBusy(f"stream {stream.name} was created or deleted {_TRIES} times meanwhile; try again")


async def _written(
    connection: Connection, statement: LiteralString, parameters: Mapping[str, object], number: int
) -> Appended | None:
    def appended(last_seq: int, at: datetime) -> Appended:
        return Appended(last_seq - number + 1, last_seq, at)

    try:
        return await (await connection.cursor(row_factory=args_row(appended)).execute(statement, parameters)).fetchone()
    except _REFUSED as error:
        raise _refusal(error) from error


def _refusal(error: CheckViolation | NotNullViolation | UniqueViolation) -> PendingctlError:
    table = error.diag.table_name or ""
    if isinstance(error, UniqueViolation) and table.startswith("pending_stream"):
        # No stream numbers an event twice, and no sequence an id, unless it was set back.
        cause, remedy = (
            (
                "the sequence of the streams' ids was set back, to ids that are in use,",
                "select setval(pg_get_serial_sequence('pending_stream', 'id'), "
                "greatest(max(id), (select max(stream_id) from pending_stream_event))) from pending_stream",
            )
            if table == "pending_stream"
            else (
                "the sequence of the streams' ids was set back, to ids that are in use, or last_seq of a stream was,",
                "delete from pending_stream_event as event where not exists "
                "(select from pending_stream where id = stream_id and created_at <= at); "
                "update pending_stream as stream set last_seq = event.seq, last_at = greatest(last_at, event.at) "
                "from (select stream_id, max(seq) as seq, max(at) as at from pending_stream_event group by stream_id) "
                "as event where stream_id = stream.id and last_seq < event.seq",
            )
        )
        return DatabaseFailed(f"{cause} and nothing was appended; {remedy} ({error.diag.message_primary})")
    # Without the ring's row the slot is null, for which there is no table.
    if error.diag.column_name != "slot" and "(slot) = (null)" not in (error.diag.message_detail or ""):
        return translate(error)
    return DatabaseFailed(
        "the row of table pending_stream_ring is gone and nothing was appended; "
        f"insert into pending_stream_ring default values ({error.diag.message_primary})"
    )


async def _repetition(
    connection: Connection,
    stream: StreamName,
    found: Stream,
    parameters: Mapping[str, object],
    number: int,
    expected: int,
) -> Appended:
    cursor = connection.cursor(row_factory=scalar_row)
    await cursor.execute(statements.REPEATED, {**parameters, "id": found.id})
    at = await cursor.fetchone()
    if at is None:
        raise _moved(stream, expected, found.last_seq)
    return Appended(expected + 1, expected + number, at, is_repeated=True)


def _moved(stream: StreamName, expected: int, last_seq: int) -> StreamMoved:
    return StreamMoved(
        f"stream {stream.name} is at event {last_seq}, not at {expected} as expected, and what follows there is not "
        "this append; read on before you append",
        last_seq=last_seq,
    )


async def _append_together(
    source: ConnectionSource, appends: Mapping[StreamName, Sequence[NewEvent]]
) -> dict[StreamName, Appended]:
    pairs = [(stream, event) for stream, events in appends.items() for event in events]
    parameters = {
        "organization_ids": [stream.organization_id for stream, _ in pairs],
        "names": [stream.name for stream, _ in pairs],
        "types": [event.type for _, event in pairs],
        "datas": [event.data for _, event in pairs],
        "lock_timeout": Purpose.APPEND.lock_timeout,
    }

    def appended(organization_id: str, name: str, last_seq: int, at: datetime) -> tuple[StreamName, Appended]:
        stream = StreamName(organization_id, name)
        return stream, Appended(last_seq - len(appends[stream]) + 1, last_seq, at)

    async with Borrowed(source, purpose=Purpose.APPEND) as borrowed:
        try:
            cursor = await borrowed.cursor(row_factory=args_row(appended)).execute(statements.APPEND_MANY, parameters)
        except _REFUSED as error:
            raise _refusal(error) from error
        return dict(await cursor.fetchall())


async def _append_alone(
    source: ConnectionSource, stream: StreamName, events: Sequence[NewEvent], wait: float
) -> Appended | PendingctlError:
    parameters: dict[str, object] = {
        **name_parameters(stream),
        "types": [event.type for event in events],
        "datas": [event.data for event in events],
        "expected": None,
        "lock_timeout": f"{round(wait * 1000)}ms",
    }
    try:
        async with Borrowed(source, purpose=Purpose.APPEND) as borrowed:
            return await _append(borrowed, stream, parameters, len(events), None)
    except PendingctlError as error:
        return error
