"""Each file of a folder runs in a session and transactions of its own, as with yoyo."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.embedded import find_binaries
from pendingctl.errors import MigrationFailed
from pendingctl.schema import migrations
from tests.schema.migrated import folder, tables


def test_a_dump_that_empties_the_search_path_may_come_first(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    empty.execute("create table customer (id int primary key, name text default 'it''s')")
    major = empty.info.server_version // 10000
    dumped = subprocess.run(
        [find_binaries(major).directory / "pg_dump", "--schema-only", "-d", empty_dsn],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert "search_path" in dumped
    empty.execute("drop table customer")
    files = folder(
        tmp_path,
        m0001_baseline=dumped,
        m0002_more="create table more (a int);",
        m0002_more__rollback="select set_config('search_path', '', false); drop table public.more;",
    )

    assert migrations.apply(empty_dsn, files) == ["0001_baseline", "0002_more"]

    assert tables(empty) == {"customer", "more", "pendingctl_migration"}
    assert migrations.status(empty_dsn, files).pending == ()
    assert migrations.rollback(empty_dsn, 1, files) == ["0002_more"]


@pytest.mark.parametrize("transactional", ["true", "false"])
@pytest.mark.parametrize(
    "left_behind",
    [
        "set search_path = pg_catalog;",
        "create role {role}; set role {role};",
        "create role {role}; set session authorization {role};",
        "set default_transaction_read_only = on;",
        "set client_encoding = 'LATIN1';",
        "create temp table next (a int);",
        "prepare q as select 1;",
    ],
)
def test_each_file_begins_with_a_session_of_its_own(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path, left_behind: str, transactional: str
) -> None:
    role = f"left_{empty.info.dbname}"
    files = folder(
        tmp_path,
        m0001_leaves=f"-- transactional: {transactional}\n{left_behind.format(role=role)}",
        m0002_next="create table next (a text default 'ü'); prepare q as select 1; insert into next values ('ß');",
    )
    try:
        assert migrations.apply(empty_dsn, files) == ["0001_leaves", "0002_next"]
    finally:
        empty.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))

    assert tables(empty) == {"next", "pendingctl_migration"}
    assert empty.execute("select a from public.next").fetchall() == [("ß",)]


def test_the_role_and_settings_of_the_connection_string_hold_for_each_file(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    role = f"owner_{empty.info.dbname}"
    empty.execute(sql.SQL("create role {0}; create schema app authorization {0}").format(sql.Identifier(role)))
    dsn = make_conninfo(empty_dsn, options=f"-c role={role} -c search_path=app")
    files = folder(tmp_path, m0001_a="create table a (n int); reset role;", m0002_b="create table b (n int);")
    try:
        migrations.apply(dsn, files)

        owners = empty.execute("select tablename, tableowner from pg_tables where schemaname = 'app' order by 1")
        assert owners.fetchall() == [("a", role), ("b", role), ("pendingctl_migration", role)]
    finally:
        empty.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(role)))


@pytest.mark.parametrize(
    "text",
    [
        "create table t (n int); commit; select 1/0;",
        "begin; create table t (n int); commit; select 1/0;",
        "begin; create table t (n int); end; begin; select 1/0; commit;",
        "create table t (n int);\n/* ; */ COMMIT  AND CHAIN; select 1/0;",
        "start transaction; create table t (n int); commit work; select 1/0",
        "create table t (n int); rollback; create table t (n int); commit; select 1/0",
    ],
)
@pytest.mark.parametrize("written_in", ["sql", "python"])
def test_an_error_after_a_commit_is_shown_and_nothing_stays(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path, text: str, written_in: str
) -> None:
    python = f"from yoyo import group, step\nsteps = [group(step({text!r}))]"
    files = folder(tmp_path, **({"m0001_a": text} if written_in == "sql" else {"m0001_a_py": python}))

    with pytest.raises(MigrationFailed, match="0001_a failed: division by zero"):
        migrations.apply(empty_dsn, files)

    assert tables(empty) == {"pendingctl_migration"}
    assert migrations.status(empty_dsn, files).pending == ("0001_a",)


def test_what_a_file_rolls_back_has_no_effect_and_what_it_commits_has(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(
        tmp_path,
        m0001_a="""
            create table kept (n int);
            begin;
            create table gone (n int);
            rollback;
            begin transaction isolation level read committed;
            savepoint s;
            create table gone (n int);
            rollback to savepoint s;
            create function f() returns int language sql begin atomic select 1; select case when true then 2 end; end;
            do $$ begin perform 1; end $$;
            commit;
        """,
    )

    assert migrations.apply(empty_dsn, files) == ["0001_a"]

    assert tables(empty) == {"kept", "pendingctl_migration"}
    assert empty.execute("select f()").fetchone() == (2,)


@pytest.mark.parametrize(
    "text", ["select 'x; commit;", 'select "x; commit;', "select $a$x; commit;", "select /* commit;"]
)
def test_an_error_in_the_text_is_the_servers_own(empty_dsn: str, tmp_path: Path, text: str) -> None:
    with psycopg.connect(empty_dsn) as connection, pytest.raises(psycopg.errors.SyntaxError) as said:
        connection.execute(text.encode())

    with pytest.raises(MigrationFailed) as failed:
        migrations.apply(empty_dsn, folder(tmp_path, m0001_a=text))

    assert str(failed.value) == f"apply of 0001_a failed: {str(said.value).splitlines()[0]}"


def test_a_commit_of_python_code_does_not_hide_the_error_after_it(empty_dsn: str, tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        m0001_a_py="""
from yoyo import step
def change(connection):
    connection.execute("create table t (n int)")
    connection.commit()
    connection.execute("select 1/0")
steps = [step(change)]
""",
    )

    with pytest.raises(MigrationFailed, match="0001_a failed: division by zero; what it had committed itself stays"):
        migrations.apply(empty_dsn, files)


def test_a_transaction_that_a_file_leaves_open_is_not_recorded_as_done(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(tmp_path, m0001_a="-- transactional: false\nbegin; create table t (n int);")

    with pytest.raises(MigrationFailed, match="0001_a failed: it begins a transaction that it does not end"):
        migrations.apply(empty_dsn, files)

    assert migrations.status(empty_dsn, files).pending == ("0001_a",)
    folder(tmp_path, m0001_a="-- transactional: false\nbegin; create table t (n int); commit; vacuum t;")
    assert migrations.apply(empty_dsn, files) == ["0001_a"]
    assert "t" in tables(empty)


def test_a_file_that_needs_its_own_commit_is_given_the_remedy(empty_dsn: str, tmp_path: Path) -> None:
    text = "alter type mood add value 'calm';\ncommit;\ncreate table t (m mood default 'calm');\n"
    files = folder(tmp_path, m0001_a="create type mood as enum ('angry');", m0002_b=text)
    with pytest.raises(MigrationFailed, match="its own commit is passed over, unless its first line is -- transact"):
        migrations.apply(empty_dsn, files)

    folder(tmp_path, m0002_b="-- transactional: false\n" + text)

    assert migrations.apply(empty_dsn, files) == ["0002_b"]
