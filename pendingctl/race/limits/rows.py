"""What a race looks at, moves and removes of limits, and the database's clock."""

from __future__ import annotations

from pathlib import Path

from psycopg.rows import class_row

from ...postgres.connections import Connection
from ...postgres.driver_errors import translated_errors
from .files import write_set_back
from .history import ClockSetBack, Moment, StoredLimit

# Recovery after a crash discards the statistics, as it empties unlogged tables; a clean start finds both.
_MOMENT = """
    select (extract(epoch from clock_timestamp()) * 1000000)::bigint as at_us,
           (extract(epoch from stats_reset) * 1000000)::bigint as server
    from pg_stat_bgwriter
"""
_LOOK = """
    select xmin::text::bigint as xmin, xmax::text::bigint as xmax, (extract(epoch from tat) * 1000000)::bigint as tat_us
    from pending_rate_limit
    where organization_id = %(organization_id)s and key = %(key)s
"""
# To the rows it is the same.
_SET_BACK = """
    update pending_rate_limit
    set tat = tat + interval '1 hour'
    where organization_id = any (%(organizations)s)
"""
_DELETE = "delete from pending_rate_limit where organization_id = any (%(organizations)s)"
_LEFT = """
    select organization_id || '/' || key
    from pending_rate_limit
    where organization_id = any (%(organizations)s)
"""


async def read_moment(connection: Connection) -> Moment:
    """Return what the database's clock says now."""
    row = await (await connection.cursor(row_factory=class_row(Moment)).execute(_MOMENT)).fetchone()
    assert row is not None
    return row


async def read_limit(connection: Connection, organization_id: str, key: str) -> StoredLimit | None:
    """Return a key's row."""
    cursor = connection.cursor(row_factory=class_row(StoredLimit))
    return await (await cursor.execute(_LOOK, {"organization_id": organization_id, "key": key})).fetchone()


async def set_clock_back(connection: Connection, organizations: tuple[str, str], directory: Path) -> str:
    """Set the clock back by an hour, as the race's keys see it; return why that was nothing, or ""."""
    with translated_errors():
        began = await read_moment(connection)
        cursor = await connection.execute(_SET_BACK, {"organizations": list(organizations)})
        ended = await read_moment(connection)
    write_set_back(directory, ClockSetBack(began, ended))
    return "" if cursor.rowcount else "nothing had been taken from any key"


async def remove_limits(connection: Connection, organizations: tuple[str, str]) -> list[str]:
    """Remove all rows of the race, and return what is left of them."""
    parameters = {"organizations": list(organizations)}
    with translated_errors():
        await connection.execute(_DELETE, parameters)
        return [f"limit {row[0]}" for row in await (await connection.execute(_LEFT, parameters)).fetchall()]
