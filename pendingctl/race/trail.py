"""The trail of a run: read after it, and removed at its end.

It is read by a statement of its own and not through the store, which the race puts to the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg.rows import class_row

from ..postgres.connections import Connection
from ..postgres.driver_errors import translated_errors
from ..trail import Step, TrailEntry

# Clicks on questions that nobody has are counted under no question's id, and under the application's name.
_IS_OF_THE_RUN = """(question_id collate "C" = any (%(ids)s)
           or question_id collate "C" = '' and application = any (%(applications)s))"""

_READ = """
    select id, at, question_id, ask_number, organization_id, step, pod, user_id, connection_id, application,
           request_key, attempt, presses, detail
    from pending_trail
    where question_id collate "C" = any (%(ids)s)
    order by id
"""

_IS_KEPT = "select current_setting('pendingctl.trail', true) is distinct from 'off'"

_REMOVE = f"""
    delete from pending_trail
    where {_IS_OF_THE_RUN}
"""

_LEFT = f"""
    select distinct 'entries in the trail of question ' || question_id
    from pending_trail
    where {_IS_OF_THE_RUN}
"""


async def read_trail(connection: Connection, ids: Sequence[str]) -> list[TrailEntry] | None:
    """Return the entries of these questions in their order; None where the database keeps no trail.

    Raises ValueError for a step that no statement writes.
    """
    with translated_errors():
        is_kept = await (await connection.execute(_IS_KEPT)).fetchone()
        if is_kept == (False,):
            return None
        cursor = connection.cursor(row_factory=class_row(TrailEntry))
        entries = await (await cursor.execute(_READ, {"ids": list(ids)})).fetchall()
    return [replace(entry, step=Step(entry.step)) for entry in entries]


async def remove_trail(connection: Connection, ids: Sequence[str], applications: Sequence[str]) -> None:
    """Remove the run's entries, also those of clicks on no question of its own."""
    with translated_errors():
        await connection.execute(_REMOVE, {"ids": list(ids), "applications": list(applications)})


async def left_in_the_trail(connection: Connection, ids: Sequence[str], applications: Sequence[str]) -> list[str]:
    """Return what is left of the run's entries."""
    with translated_errors():
        cursor = await connection.execute(_LEFT, {"ids": list(ids), "applications": list(applications)})
        return [str(row[0]) for row in await cursor.fetchall()]
