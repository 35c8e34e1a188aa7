"""Connections beside those of a source, to the same database: what waits or reads for long takes none from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from ..errors import DatabaseUnreachable
from ..postgres.connections import Borrowed, Connection, ConnectionSource, connect
from ..postgres.driver_errors import translated_errors
from ..postgres.sessions import within
from ..postgres.time_limits import Purpose

# What the source's pool may have set on each of its connections, without which other tables are found, or none.
_SETTINGS = "select current_setting('search_path') as search_path, current_setting('role') as role"
_FIT = """
    select set_config(name, value, false)
    from unnest(%(names)s::text[], %(values)s::text[]) as wanted (name, value)
"""
# It waits for long, and would be ended each time.
_MAY_IDLE = {"idle_session_timeout": "0"}


@dataclass(frozen=True, slots=True)
class _Place:
    conninfo: str
    settings: Mapping[str, str]


class OwnConnections:
    """Connects to where a source's connections lead, with their search_path and their role.

    That is looked up for each connection, since it is known of one connection alone: which of several servers it has
    reached, and by which address. After a failover the source's lead elsewhere. Where the source has none free, it is
    where they led last.
    """

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source
        self._place: _Place | None = None

    async def conninfo(self) -> str:
        """Return the connection string of the source's connections, with the password, if it was given in one."""
        return (await self._found()).conninfo

    async def connect(self, application: str) -> Connection:
        """Open a connection for many small reads. Raises as `connect` does."""
        place = await self._found()
        settings = {
            **_MAY_IDLE,
            **place.settings,
            # The plans of many cheap look-ups are taken for expensive: it made them seven times as slow.
            "jit": "off",
            # The server gives up before the client hangs up, so that no sessions pile up behind a locked table.
            "lock_timeout": Purpose.LOOP.lock_timeout,
            "statement_timeout": f"{Purpose.LOOP.seconds * 1000:.0f}ms",
        }
        return await _connect(place.conninfo, application, settings)

    async def _found(self) -> _Place:
        try:
            async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
                cursor = borrowed.cursor(row_factory=dict_row)
                settings = await (await cursor.execute(_SETTINGS)).fetchone()
                assert settings is not None
                options = {each.keyword.decode(): each.val.decode() for each in borrowed.pgconn.info if each.val}
                self._place = _Place(make_conninfo(**options), settings)
        except DatabaseUnreachable:
            if self._place is None:
                raise
        return self._place


async def connect_to_wait(dsn: str, application: str) -> Connection:
    """Open a connection on which nothing is sent for long. Raises as `connect` does."""
    return await _connect(dsn, application, _MAY_IDLE)


async def _connect(dsn: str, application: str, settings: Mapping[str, str]) -> Connection:
    connection = await connect(dsn, application=application)
    # A pooler would hand the settings on to others; it tells itself by what prepare_connection does there.
    if connection.prepare_threshold is None:
        return connection
    try:
        with translated_errors(), within(connection, Purpose.LOOP.seconds):
            await connection.execute(_FIT, {"names": list(settings), "values": list(settings.values())})
    except BaseException:
        await connection.close()
        raise
    return connection
