"""The streams of a run: read after it, and removed at its end.

They are read by a statement of their own and not through the library, which the race puts to the test.
"""

from __future__ import annotations

from psycopg.rows import class_row

from ..postgres.connections import Connection
from ..postgres.driver_errors import translated_errors
from .history.history import AppendedEvent
from .plan.operations import Names

_STREAMS = "select id from pending_stream where name = %(name)s and organization_id = any (%(organizations)s)"

_READ = f"""
    select data::jsonb ->> 'question_id' as question_id, (data::jsonb ->> 'ask_number')::bigint as ask_number,
           data::jsonb ->> 'outcome' as outcome, data::jsonb ->> 'answer' as answer
    from pending_stream_event
    where stream_id in ({_STREAMS})
    order by stream_id, seq
"""

_REMOVE = f"""
    with stream as ({_STREAMS}),
    events as (
        delete from pending_stream_event using stream where stream_id = stream.id
    )
    delete from pending_stream using stream where pending_stream.id = stream.id
"""

_LEFT = f"select 'a stream of the run' from pending_stream where id in ({_STREAMS})"


async def read_streams(connection: Connection, names: Names) -> list[AppendedEvent]:
    """Return what was appended of the run's questions, in the order of the streams."""
    with translated_errors():
        cursor = connection.cursor(row_factory=class_row(AppendedEvent))
        return await (await cursor.execute(_READ, _named(names))).fetchall()


async def remove_streams(connection: Connection, names: Names) -> None:
    """Remove the run's streams with their events."""
    with translated_errors():
        await connection.execute(_REMOVE, _named(names))
        await connection.commit()


async def left_on_streams(connection: Connection, names: Names) -> list[str]:
    """Return what is left of the run's streams."""
    with translated_errors():
        return [str(row[0]) for row in await (await connection.execute(_LEFT, _named(names))).fetchall()]


def _named(names: Names) -> dict[str, object]:
    return {"name": names.stream, "organizations": [names.organization_id, names.foreign_organization_id]}
