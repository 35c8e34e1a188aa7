"""Connections beside those of a source, to the same database: what waits or reads for long takes none from others."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.conninfo import make_conninfo

from ..errors import DatabaseUnreachable
from ..postgres.connections import Borrowed, Connection, ConnectionSource, connect
from ..postgres.driver_errors import translated_errors
from ..postgres.sessions import within
from ..postgres.time_limits import Purpose

_FIT = """
    select set_config(name, value, false)
    from unnest(%(names)s::text[], %(values)s::text[]) as wanted (name, value)
"""


@dataclass(frozen=True, slots=True)
class _Place:
    conninfo: str
    search_path: str


class OwnConnections:
    """Connects to where a source's connections lead, with their search_path."""

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source
        self._place: _Place | None = None

    async def conninfo(self) -> str:
        """Return the connection string of the source's connections, with the password, if it was given in one."""
        return (await self._found()).conninfo

    async def connect(self, application: str) -> Connection:
        """Open a connection for many small reads. Raises as `connect` does."""
        place = await self._found()
        try:
            connection = await connect(place.conninfo, application=application)
        except DatabaseUnreachable:
            # A connection names the one host that it leads to, of however many its source knows: after a failover the
            # source's next one leads elsewhere.
            self._place = None
            raise
        # A pooler would hand the settings on to others; it tells itself by what prepare_connection does there.
        if connection.prepare_threshold is None:
            return connection
        settings = {
            "search_path": place.search_path,
            # The plans of many cheap look-ups are taken for expensive: it made them seven times as slow.
            "jit": "off",
            # The server gives up before the client hangs up, so that no sessions pile up behind a locked table.
            "lock_timeout": Purpose.LOOP.lock_timeout,
            "statement_timeout": f"{Purpose.LOOP.seconds * 1000:.0f}ms",
        }
        try:
            with translated_errors(), within(connection, Purpose.LOOP.seconds):
                await connection.execute(_FIT, {"names": list(settings), "values": list(settings.values())})
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _found(self) -> _Place:
        if self._place is None:
            async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
                row = await (await borrowed.execute("select current_setting('search_path')")).fetchone()
                assert row is not None
                options = {each.keyword.decode(): each.val.decode() for each in borrowed.pgconn.info if each.val}
                self._place = _Place(make_conninfo(**options), str(row[0]))
        return self._place
