"""The table `pendingctl_migration`: which migrations were applied, and in which order.

Every statement names its schema: a migration may leave the session with another search_path, or with none.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from .place import check_schema

_CREATE = """
    create table if not exists {table} (
        id text primary key,
        content_sha256 text not null,
        applied_at timestamptz not null default now()
    )
"""
_EXISTS = "select to_regclass(%(name)s) is not null"
_APPLIED = "select id, content_sha256 from {table} order by applied_at, id"
# Later than any before it, whatever the clock says: a rollback begins with the one applied last.
_MARK = """
    insert into {table} (id, content_sha256, applied_at)
    select %(id)s, %(content_sha256)s, greatest(now(), max(applied_at) + interval '1 microsecond') from {table}
"""
_UNMARK = "delete from {table} where id = %(id)s"


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """The table in the schema that held, or will hold, the other tables when the connection was made."""

    schema: str

    @property
    def _table(self) -> sql.Identifier:
        return sql.Identifier(self.schema, "pendingctl_migration")

    def create(self, connection: psycopg.Connection) -> None:
        """Create the table if there is none."""
        connection.execute(sql.SQL(_CREATE).format(table=self._table))

    def applied(self, connection: psycopg.Connection) -> dict[str, str]:
        """Return the ids that are applied, the latest last, each with the hash of its content."""
        name = self._table.as_string(connection)
        if connection.execute(_EXISTS, {"name": name}).fetchone() != (True,):
            return {}
        return dict(connection.execute(sql.SQL(_APPLIED).format(table=self._table)).fetchall())

    def mark(self, connection: psycopg.Connection, id: str, content_sha256: str) -> None:
        """Record a migration as applied, in the caller's transaction."""
        parameters = {"id": id, "content_sha256": content_sha256}
        connection.execute(sql.SQL(_MARK).format(table=self._table), parameters)

    def unmark(self, connection: psycopg.Connection, id: str) -> None:
        """Record a migration as rolled back, in the caller's transaction."""
        connection.execute(sql.SQL(_UNMARK).format(table=self._table), {"id": id})


def find_bookkeeping(connection: psycopg.Connection) -> Bookkeeping:
    """Return the table of the schema that this connection leads to. Raises InvalidInput as check_schema does."""
    return Bookkeeping(check_schema(connection))
