"""Options that the server keeps for itself are left out, and listed with --debug."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pendingctl.schema_diff import diff_schema
from tests.commands import run

SCHEMA = """
    create table t (id int primary key, a text) with (fillfactor = 70);
    alter table t alter a set (n_distinct = 5);
    create index i on t (a) with (fillfactor = 80) where a <> '';
    create index plain on t (a);
    create view v with (security_barrier) as select a from t;
    create materialized view m as select a from t;
    create function f() returns int language sql set work_mem = '8MB' as 'select 1';
"""
INVENTED = """
    set allow_system_table_mods = on;
    update pg_attribute set attoptions = array_append(attoptions, 'pg_stamp=' || attrelid::text)
    where attrelid in ('t'::regclass, 'v'::regclass, 'm'::regclass) and attnum > 0;
    update pg_class set reloptions = array_append(reloptions, 'pg_stamp=' || oid::text)
    where oid in ('t'::regclass, 't_pkey'::regclass, 'i'::regclass, 'plain'::regclass, 'v'::regclass, 'm'::regclass)
        or oid = (select reltoastrelid from pg_class where oid = 't'::regclass);
    update pg_proc set proconfig = array_append(proconfig, 'pg_stamp=' || oid::text) where oid = 'f'::regproc;
"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = tmp_path / "schema.sql"
    file.write_text(SCHEMA)
    return file


@pytest.fixture
def stamped(empty_database: str) -> str:
    """A database whose server keeps an option of its own wherever there are options."""
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for statement in (SCHEMA + INVENTED).split(";"):
            connection.execute(statement.encode())
    return empty_database


def test_options_of_the_server_are_no_differences(stamped: str, schema: Path, scratch_dsn: str) -> None:
    found = diff_schema(stamped, schema, scratch=scratch_dsn)

    assert found.differences == ()
    for what in ("pg_stamp of columns (4)", "pg_stamp of functions (1)", "pg_stamp of relations (7)"):
        assert f"the database: {what} is no option that a user can set, and was left out" in found.details


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ("alter table t alter a set (n_distinct = 6)", "options"),
        ("alter table t set (fillfactor = 71)", "storage_parameters"),
        ("alter index i set (fillfactor = 81)", "storage_parameters"),
        ("alter view v reset (security_barrier)", "options"),
        ("alter materialized view m set (fillfactor = 72)", "options"),
        ("alter function f() set work_mem = '9MB'", "settings"),
        ("alter function f() set pendingctl.stamp = '1'", "settings"),
        ("alter function f() set role = 'pg_monitor'", "settings"),
    ],
)
def test_options_of_a_user_beside_them_are(
    empty_database: str, schema: Path, scratch_dsn: str, change: str, attribute: str
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        for statement in (SCHEMA + change + ";" + INVENTED).split(";"):
            connection.execute(statement.encode())

    found = diff_schema(empty_database, schema, scratch=scratch_dsn)

    assert [each.attribute for each in found.differences] == [attribute]
    assert "pg_stamp" not in f"{found.differences[0].expected} {found.differences[0].actual}"


def test_they_are_listed_with_debug_alone(stamped: str, schema: Path, scratch_dsn: str) -> None:
    command = ("diff-schema", "--dsn", stamped, "--schema", str(schema), "--scratch", scratch_dsn)

    assert "pg_stamp" not in run(*command).stderr
    listed = run("--debug", *command)

    assert listed.exit_code == 0
    assert "note: the database: pg_stamp of columns (4) is no option" in listed.stderr
