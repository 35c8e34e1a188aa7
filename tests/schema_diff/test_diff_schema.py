"""diff_schema as a whole: which tables it compares, which scratch database it uses, and how it handles bad files."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yoyo
from psycopg.conninfo import make_conninfo

from pendingctl.errors import DatabaseUnreachable, ExtraMissing, InvalidInput
from pendingctl.schema import migrations
from pendingctl.schema_diff import Options, diff_schema


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def databases(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database").fetchall()}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


@pytest.fixture
def migrated(empty_database: str) -> str:
    migrations.apply(empty_database)
    return empty_database


@pytest.fixture
def role(empty_database: str) -> Iterator[str]:
    """A role without any grant."""
    name = f"pendingctl_reader_{secrets.token_hex(4)}"
    run(empty_database, f"create role {name} login")
    yield name
    run(empty_database, f"drop owned by {name}", f"drop role {name}")


# a schema file of the user's own


def test_bookkeeping_is_left_out(migrated: str) -> None:
    assert diff_schema(migrated, migrations.schema_file(), scratch="database").differences == ()


def test_bookkeeping_of_yoyo_itself_is_left_out(empty_database: str, schema: Path, tmp_path: Path) -> None:
    schema.write_text("create table t (id int primary key);\n")
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001.t.sql").write_text(schema.read_text())
    with psycopg.connect(empty_database) as connection:
        yoyo_dsn = f"postgresql+psycopg://{connection.info.user}@/{connection.info.dbname}?host={connection.info.host}"
    backend = yoyo.get_backend(yoyo_dsn)
    try:
        with backend.lock():
            backend.apply_migrations(yoyo.read_migrations(str(folder)))
    finally:
        backend.connection.close()

    assert diff_schema(empty_database, schema, scratch="database").identical


def test_uncompared_kinds_are_reported(empty_database: str, schema: Path) -> None:
    servers = "create foreign data wrapper fdw; create server s foreign data wrapper fdw;"
    schema.write_text(f"{servers} create user mapping for public server s options (password 'a');")
    run(empty_database, servers, "create user mapping for public server s options (password 'b')")

    found = diff_schema(empty_database, schema, scratch="database")

    assert (found.differences, found.notes, found.identical) == ((), (), False)
    assert tuple(each.sentence for each in found.uncompared) == (
        "user mappings (they hold passwords) are not compared (schema.sql has 1, the database 1)",
    )


def test_subscriptions_of_a_dump_are_skipped_and_reported_as_not_compared(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create table t (a int);\ncreate subscription s connection 'host=x' publication p with (connect = false);\n"
        "alter subscription s owner to nobody_here;\ncomment on subscription s is 'x';\n"
        "create subscription gone connection 'host=x' publication p with (connect = false);\n"
        "drop subscription gone;\n"
    )
    run(empty_database, "create table t (a int)")

    found = diff_schema(empty_database, schema, scratch="database")

    assert found.differences == ()
    assert [each.sentence for each in found.uncompared] == [
        "subscriptions (they hold passwords) are not compared (schema.sql has 1, the database 0)"
    ]
    assert found.notes[0] == "line 2: a statement on a subscription was passed over"
    for options in (Options(ignore=("subscriptions *",)), Options(schemas=("public",))):
        assert diff_schema(empty_database, schema, scratch="database", options=options).identical


def test_order_of_columns_is_a_note(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a int, b int);\n")
    run(empty_database, "create table t (b int, a int)")

    found = diff_schema(empty_database, schema, scratch="database")

    assert found.identical
    assert found.notes == ("public.t: its columns stand in another order, which is not compared (--column-order)",)

    options = Options(column_order=True)
    (difference,) = diff_schema(empty_database, schema, scratch="database", options=options).differences
    assert (difference.kind, difference.object, difference.attribute) == ("table", "public.t", "column_order")
    assert (difference.expected, difference.actual, difference.line) == ("a, b", "b, a", 1)


def test_literals_mean_the_same_as_in_the_live_database(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a timestamptz default '2026-01-01');\n")
    dsn = make_conninfo(empty_database, options="-c timezone=Asia/Tokyo")
    run(dsn, "create table t (a timestamptz default '2026-01-01')")

    assert diff_schema(dsn, schema, scratch="database").identical
    assert not diff_schema(empty_database, schema, scratch="database").identical


def test_other_statements_of_a_dump_are_skipped_with_notes(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "\\restrict k3y\nset statement_timeout = 0;\nselect pg_catalog.set_config('search_path', '', false);\n"
        "begin;\ncreate table public.t (a text);\ncommit;\n"
        "COPY public.t (a) FROM stdin;\nit's\n\\N\n\\.\n\n\\unrestrict k3y\n"
        "create table public.u (a int);\n"
    )
    run(empty_database, "create table t (a text)", "create table u (a bigint)")

    found = diff_schema(empty_database, schema, scratch="database")

    assert [(each.object, each.line) for each in found.differences] == [("public.u.a", 13)]
    assert found.notes == (
        "line 1: \\restrict is psql's and was passed over",
        "line 12: \\unrestrict is psql's and was passed over",
        "line 7: COPY public.t (a) FROM stdin and its rows were passed over",
    )


def test_roles_that_a_file_names_need_not_exist(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create table t (a int);\nalter table t owner to nobody_here;\ngrant select on t to nobody_here;\n"
        "set session authorization 'nobody_else';\ncreate table u (a int);\nreset session authorization;\n"
        "set role nobody_at_all;\ncreate table v (a int);\n"
    )
    run(empty_database, "create table t (a int)", "create table u (a int)", "create table v (a int)")

    assert diff_schema(empty_database, schema, scratch="auto").identical
    assert diff_schema(empty_database, schema, scratch="database").identical


def test_owner_that_a_file_names_may_own_anything(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create function f() returns event_trigger language plpgsql as 'begin end';\n"
        "create event trigger e on sql_drop execute function f();\nalter event trigger e owner to nobody_here;\n"
        "create foreign data wrapper w;\nalter foreign data wrapper w owner to nobody_here;\n"
        "set session authorization nobody_else;\ncreate table t (a int);\n"
    )

    found = diff_schema(empty_database, schema, scratch="auto", options=Options(privileges=True))

    assert [each.object for each in found.differences] == ["w", "e", "public.f()", "public.t"]


def test_tablespaces_that_a_file_names_need_not_exist(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create table t (a int primary key using index tablespace attic) tablespace fast;\n"
        "create index i on t (a) tablespace fast;\nalter index i set tablespace slow;\n"
        "set default_tablespace = 'shed';\ncreate materialized view v tablespace barn as select 1 as a;\n"
    )

    found = diff_schema(empty_database, schema, scratch="auto")

    assert [each.object for each in found.differences] == ["public.t", "public.v"]


def test_role_of_a_user_mapping_need_not_exist(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create foreign data wrapper w;\ncreate server s foreign data wrapper w;\n"
        "create user mapping for nobody_here server s;\n"
    )

    found = diff_schema(empty_database, schema, scratch="auto")

    assert [each.what for each in found.uncompared] == ["user mappings (they hold passwords)"]


# bad files


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "select 1;\n-- ü\n\tcreate tabel t;\n",
            ':3:9: syntax error at or near "tabel"\n  \tcreate tabel t;\n  \t       ^',
        ),
        (
            "create table t (a int",
            ":1:22: syntax error at end of input\n  create table t (a int\n                       ^",
        ),
        ("select 1;\nselect 'x", ":2:8: unterminated quoted string"),
        ("select 1;\n\\connect one\n\\connect other\n", ":2:1: \\connect is a command of psql and cannot be run here"),
        ("select 1;\ncreate table t (\n  a nosuch);\n", ':3:5: does not load: type "nosuch" does not exist'),
        ("create table t (a int);\ncreate index on t (b);\n", ':2:1: does not load: column "b" does not exist'),
        ("select 1;\ndrop database postgres;\n", ":2:1: DROP DATABASE reaches outside the scratch database"),
        ("alter system set work_mem = 1;\n", ":1:1: ALTER SYSTEM reaches outside"),
        ("copy (select 1) to program 'true';\n", ":1:1: COPY reaches outside"),
        ("do language plperlu 'x';\n", ":1:1: DO in this language reaches outside"),
        ("create role somebody;\n", ":1:1: CREATE ROLE would change the roles of the live server"),
        ("select 1;\nselect '\0';\n", ":2: a NUL character"),
    ],
)
def test_bad_file_is_refused_with_its_line(empty_database: str, schema: Path, text: str, complaint: str) -> None:
    schema.write_text(text)
    before = databases(empty_database)

    with pytest.raises(InvalidInput) as refused:
        diff_schema(empty_database, schema, scratch="database")

    assert str(refused.value).startswith(str(schema) + complaint)
    assert databases(empty_database) == before


def test_latin_1_is_refused_with_its_line(empty_database: str, schema: Path) -> None:
    schema.write_bytes(b"select 1;\n-- \xe9\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:2: not UTF-8"):
        diff_schema(empty_database, schema, scratch="database")


def test_missing_file_is_refused(empty_database: str, schema: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        diff_schema(empty_database, schema)


def test_missing_pglast_names_the_extra(empty_database: str, schema: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema.write_text("")
    monkeypatch.setitem(sys.modules, "pglast", None)

    with pytest.raises(ExtraMissing, match=r"pip install 'pendingctl\[schema\]'"):
        diff_schema(empty_database, schema)


def test_database_that_is_down_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable):
        diff_schema(f"host={tmp_path} dbname=x")


# the live side


def test_role_without_grants_sees_everything(migrated: str, role: str) -> None:
    run(migrated, "revoke all on schema public from public")
    dsn = make_conninfo(migrated, user=role, options="-c default_transaction_read_only=on")
    assert diff_schema(dsn, migrations.schema_file(), scratch="local").identical

    run(migrated, "alter table pending_interactions drop column answer")

    (found,) = diff_schema(dsn, migrations.schema_file(), scratch="local").differences
    assert found.object == "public.pending_interactions.answer"


def test_createdb_is_the_only_privilege_needed(migrated: str, role: str) -> None:
    run(migrated, f"alter role {role} createdb")
    before = databases(migrated)

    found = diff_schema(make_conninfo(migrated, user=role), scratch="database")

    assert found.identical
    assert databases(migrated) == before


def test_orphans_older_than_an_hour_are_dropped(migrated: str) -> None:
    old = f"pendingctl_scratch_{int(time.time()) - 7200}_0a"
    young = f"pendingctl_scratch_{int(time.time()) - 60}_0b"
    run(migrated, f"create database {old}", f"create database {young}")
    try:
        diff_schema(migrated, scratch="database")

        assert old not in databases(migrated)
        assert young in databases(migrated)
    finally:
        run(migrated, f"drop database if exists {old}", f"drop database if exists {young}")


def test_functions_of_a_user_are_never_called(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\n")
    run(
        empty_database,
        "create table t (a int)",
        "create function quote_ident(name) returns text language plpgsql as $$ begin raise 'called'; end $$",
        "create function format_type(oid, int) returns text language plpgsql as $$ begin raise 'called'; end $$",
    )
    dsn = make_conninfo(empty_database, options="-c search_path=public,pg_catalog")

    found = diff_schema(dsn, schema, scratch="database")
    assert {each.kind for each in found.differences} <= {"function"}
