"""The server, the database and the rows that are measured on."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import Question, Scope
from pendingctl.embedded import throwaway_server
from pendingctl.payload import JsonObject, encode_payload
from pendingctl.postgres.connections import Connection
from pendingctl.postgres.dsn import check_dsn
from pendingctl.postgres.time_limits import Purpose
from pendingctl.schema import migrations
from pendingctl.store import statements

SCOPE = Scope("bench", "slack", "U1")
ASKED = {
    "organization_id": SCOPE.organization_id,
    "connection_id": SCOPE.connection_id,
    "expected_user_id": SCOPE.expected_user_id,
}
PAYLOAD = Question("", SCOPE, "Deploy to production?", ("yes", "no"), "C0123456789").payload()

# Ids are numbers from here on: all of one length, so that each row is as big as the next.
FIRST_ID = 100_000_000

STALE = timedelta(hours=48)
YOUNG = timedelta(hours=1)

# A throw-away server goes without what a real one has to do.
_PRODUCTION = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}

_FILL = """
    insert into pending_interactions
        (id, organization_id, connection_id, expected_user_id, entry_payload, created_at)
    select (%(first)s + n)::text, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb,
           now() - %(age)s::interval + n * interval '1 millisecond'
    from generate_series(0, %(rows)s::bigint - 1) as n
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where it is measured, and with which pgbench, if there is one."""

    dsn: str
    pgbench: Path | None

    def fill(self, rows: int, age: timedelta, payload: JsonObject = PAYLOAD) -> None:
        """Make the table hold exactly so many unclaimed rows, the oldest of this age, and nothing dead."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("truncate pending_interactions")
            asked = {**ASKED, "first": FIRST_ID, "payload": encode_payload(payload), "age": age, "rows": rows}
            connection.execute(_FILL, asked)
            connection.execute("vacuum analyze pending_interactions")

    def count(self, condition: str) -> int:
        """Return how many rows there are of which the condition holds."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(f"select count(*) from pending_interactions where {condition}").fetchone()
        return int(row[0]) if row else 0

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[Connection]:
        """A connection as psycopg opens it, without anything of pendingctl's."""
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            yield connection

    def server_facts(self) -> dict[str, str]:
        """Which server it is, and whether it has to bring what it commits to the disk."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            names = ["server_version", *_PRODUCTION]
            return dict(
                connection.execute("select n, current_setting(n) from unnest(%s::text[]) as n", (names,)).fetchall()
            )


@contextmanager
def patient(*purposes: Purpose) -> Iterator[None]:
    """Wait a minute for the database: a machine that stands still makes a figure worse, and ends no measurement."""
    before = [(each, each.seconds, each.lock_seconds, each.lock_timeout) for each in purposes]
    try:
        for each in purposes:
            each.seconds, each.lock_seconds, each.lock_timeout = 70.0, 60.0, "60s"
        yield
    finally:
        for each, seconds, lock_seconds, lock_timeout in before:
            each.seconds, each.lock_seconds, each.lock_timeout = seconds, lock_seconds, lock_timeout


@contextmanager
def stage(dsn: str | None, *, durable: bool = True) -> Iterator[Stage]:
    """A migrated database of its own, on the server of the string or on a throw-away one; gone afterwards.

    `durable`: the throw-away one brings what it commits to the disk, as a real one does.
    """
    with _server(dsn, durable=durable) as (server, pgbench), psycopg.connect(server, autocommit=True) as connection:
        name = f"pendingctl_bench_{secrets.token_hex(6)}"
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        try:
            made = Stage(make_conninfo(server, dbname=name), pgbench)
            migrations.apply(made.dsn)
            with psycopg.connect(made.dsn, autocommit=True) as inside:
                inside.execute(statements.CREATE_ORGANIZATION, {"id": SCOPE.organization_id})
            yield made
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@contextmanager
def _server(dsn: str | None, *, durable: bool) -> Iterator[tuple[str, Path | None]]:
    on_path = shutil.which("pgbench")
    pgbench = Path(on_path) if on_path else None
    if dsn is not None:
        check_dsn(dsn)
        yield dsn, pgbench
        return
    with throwaway_server(settings=_PRODUCTION if durable else {}) as server:
        own = server.binaries.directory / "pgbench"
        yield server.dsn, own if own.is_file() else pgbench
