"""Reading one side of the comparison: from a standby, and with a constant number of queries."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg

from pendingctl.embedded import throwaway_pair
from pendingctl.schema_diff import STATEMENT_TIMEOUT, diff_schema
from pendingctl.schema_diff.catalog import read_catalog, reading
from pendingctl.schema_diff.kinds import KINDS


def test_standby_is_compared_like_its_primary(tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("create table t (id integer primary key);\n")
    with throwaway_pair() as pair:
        # A commit returns once the standby shows it; `on` waits only until it is on the standby's disk.
        with psycopg.connect(pair.dsn, autocommit=True, options="-c synchronous_commit=remote_apply") as primary:
            primary.execute("create table t (id integer primary key, a text)")
        found = diff_schema(pair.standby.dsn, schema, scratch="local")

    assert [(each.kind, each.object, each.attribute) for each in found.differences] == [
        ("column", "public.t.a", "presence")
    ]


def test_number_of_queries_does_not_grow_with_the_schema(empty_database: str) -> None:
    few = queries_of_one_reading(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for number in range(20):
            connection.execute(
                f"create table t{number} (id serial primary key, a integer check (a > 0));"
                f"create index on t{number} (a); create view v{number} as select a from t{number};"
                f"create function f{number}() returns integer language sql as 'select 1';"
                f"create type e{number} as enum ('x'); comment on table t{number} is 'one';".encode()
            )

    assert queries_of_one_reading(empty_database) == few > len(KINDS)


def queries_of_one_reading(dsn: str) -> int:
    """Count what libpq sends: a Query or a Parse message for each query."""
    with reading(dsn, "test") as connection, tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        read_catalog(connection, None, STATEMENT_TIMEOUT, enabled=frozenset({"privileges"}))
        connection.pgconn.untrace()
        trace.seek(0)
        sent = [line.split(b"\t") for line in trace.read().splitlines()]
    return sum(1 for message in sent if b"F" in message and (b"Query" in message or b"Parse" in message))
