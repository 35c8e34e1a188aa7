"""What is read of the trail: of one question, of the presses of one user. Columns have the names of the fields."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, LiteralString

from psycopg.rows import dict_row, scalar_row

from ..inspected import Record, Trail
from ..postgres.connections import Connection
from ..trail import Step, TrailEntry
from .statements import readable
from .trail_statements import IS_KEPT

_ENTRY = f"""id, {readable("at")} as at, question_id, ask_number, organization_id, step, pod, user_id, connection_id,
           application, request_key, attempt, presses, detail"""

# The index is in the order of C, so that it serves the beginning of an id as well. Between an id and the same id, since
# of an equality Postgres knows that the order of the entries' numbers alone is enough, and may read the whole trail by
# the primary key until it finds the first one.
_OF_QUESTION = """question_id collate "C" between %(id)s and %(id)s"""

FIRST_OF_QUESTION = f"""
    select {_ENTRY}
    from pending_trail as entry
    where {_OF_QUESTION}
    order by question_id collate "C", id
    limit %(limit)s
"""
LAST_OF_QUESTION = f"""
    select {_ENTRY}
    from pending_trail as entry
    where {_OF_QUESTION}
    order by question_id collate "C" desc, id desc
    limit %(limit)s
"""
COUNT_OF_QUESTION = f"select count(*) from pending_trail where {_OF_QUESTION}"

# One look at the index for each id, however many entries it has.
IDS_WITH_PREFIX = """
    with recursive found (question_id) as (
        (
            select question_id
            from pending_trail
            where question_id collate "C" >= %(prefix)s
            order by question_id collate "C"
            limit 1
        )
        union all
        select (
            select next.question_id
            from pending_trail as next
            where next.question_id collate "C" > found.question_id collate "C"
            order by next.question_id collate "C"
            limit 1
        )
        from found
        where starts_with(found.question_id, %(prefix)s)
    )
    select question_id
    from (select question_id from found limit %(limit)s) as found
    where starts_with(question_id, %(prefix)s)
"""

# The latest entries of the user are looked at, of which an index knows, and no others. A question that was asked before
# the time may be the one whose button is pressed now.
OF_USER = f"""
    select {_ENTRY}
    from (
        select *
        from pending_trail
        where user_id between %(user_id)s and %(user_id)s
        order by user_id desc, id desc
        limit %(most_read)s
    ) as entry
    where (at >= now() - %(since)s::interval or step = 'asked')
      and (%(organization_id)s::text is null or organization_id = %(organization_id)s)
      and step in ('asked', 'answered', 'refused', 'repeated')
    order by id desc
    limit %(limit)s
"""

# Since when and until when there are entries of any question, by their numbers, which are in the order of time.
RECORD = f"""
    select clock_timestamp() as now,
           (select {readable("at")} from pending_trail order by id limit 1) as since,
           (select {readable("at")} from pending_trail order by id desc limit 1) as until,
           {IS_KEPT} as is_kept
"""


async def read_trail(reading: Connection, question_id: str, *, most: int) -> Trail:
    """Return the first and the last `most` entries of a question, in the order of time, and how many are left out."""
    first = await _entries(reading, FIRST_OF_QUESTION, {"id": question_id, "limit": most})
    if len(first) < most:
        return Trail(_by_time(first), 0)
    last = await _entries(reading, LAST_OF_QUESTION, {"id": question_id, "limit": most})
    further = [entry for entry in reversed(last) if entry.id > first[-1].id]
    cursor = reading.cursor(row_factory=scalar_row)
    await cursor.execute(COUNT_OF_QUESTION, {"id": question_id})
    number = int(await cursor.fetchone() or 0)
    return Trail(_by_time([*first, *further]), max(number - len(first) - len(further), 0))


async def read_entries_of_user(
    reading: Connection, user_id: str, *, organization_id: str | None, since: timedelta, limit: int, most_read: int
) -> tuple[TrailEntry, ...]:
    """Return the latest presses of a user in this time, and what this user was asked at any, `limit` of both at most.

    Oldest first.
    """
    parameters = {
        "user_id": user_id,
        "organization_id": organization_id,
        "since": since,
        "limit": limit,
        "most_read": most_read,
    }
    return _by_time(await _entries(reading, OF_USER, parameters))


async def read_ids_with_prefix(reading: Connection, prefix: str, *, limit: int) -> list[str]:
    """Return the ids in the trail that begin so, `limit` of them at most."""
    cursor = reading.cursor(row_factory=scalar_row)
    await cursor.execute(IDS_WITH_PREFIX, {"prefix": prefix, "limit": limit})
    return await cursor.fetchall()


async def read_record(reading: Connection) -> Record:
    """Return what the trail covers, and the database's time."""
    cursor = reading.cursor(row_factory=dict_row)
    row = await (await cursor.execute(RECORD)).fetchone()
    assert row is not None
    return Record(**row)


async def _entries(reading: Connection, statement: LiteralString, parameters: Mapping[str, object]) -> list[TrailEntry]:
    cursor = reading.cursor(row_factory=dict_row)
    await cursor.execute(statement, parameters)
    return [_entry(row) for row in await cursor.fetchall()]


def _by_time(entries: list[TrailEntry]) -> tuple[TrailEntry, ...]:
    """Clicks that were refused are written some seconds later than what else happened at the time."""
    return tuple(sorted(entries, key=lambda entry: (entry.at, entry.id)))


def _entry(row: dict[str, Any]) -> TrailEntry:
    return TrailEntry(**{**row, "step": Step(row["step"])})
