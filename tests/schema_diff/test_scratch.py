"""The scratch database: where it is, what it is like, and that nothing is left in it."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.embedded import find_binaries, throwaway_server
from pendingctl.embedded.binaries import all_binaries
from pendingctl.errors import InvalidInput
from pendingctl.schema_diff import Difference, Options, diff_migrations, diff_schema
from pendingctl.schema_diff.emptying import refuse_unless_empty
from pendingctl.schema_diff.load import load
from pendingctl.schema_diff.normalization import classify
from pendingctl.schema_diff.parse import read_script
from pendingctl.schema_diff.scratch import Scratch, places

EVERYTHING = """
    create schema app;
    create type app.mood as enum ('a', 'b');
    create domain app.positive as int check (value > 0);
    create type app.pair as (a int, b app.mood);
    create type app.span as range (subtype = int);
    create table app.t (id int generated always as identity primary key, m app.mood, p app.positive);
    create table public.u (like app.t) partition by range (id);
    create table public.u1 partition of public.u for values from (1) to (2);
    create index on public.u (id);
    create statistics public.s (ndistinct) on id, m from app.t;
    create view public.v as select * from app.t;
    create materialized view public.mv as select * from public.v;
    create rule r as on insert to public.v do instead nothing;
    create sequence public.seq;
    create function public.f(integer[]) returns integer language sql as 'select 1';
    create procedure public.p() language sql as 'select 1';
    create aggregate public.total (integer) (sfunc = int4pl, stype = integer);
    create function public.eq(app.pair, app.pair) returns boolean language sql as 'select true';
    create operator public.=== (leftarg = app.pair, rightarg = app.pair, function = public.eq);
    create operator class public.oc for type anyenum using btree
        as operator 1 <, function 1 enum_cmp(anyenum, anyenum);
    create function public.as_text(app.pair) returns text language sql as $$ select 'x' $$;
    create cast (app.pair as text) with function public.as_text(app.pair);
    create collation public.c (locale = 'C');
    create text search configuration public.words (copy = pg_catalog.simple);
    create foreign data wrapper fdw;
    create server srv foreign data wrapper fdw;
    create foreign table public.ft (a int) server srv;
    create access method am type table handler heap_tableam_handler;
    create publication pub for table app.t;
    create function public.et() returns event_trigger language plpgsql as 'begin end';
    create event trigger evt on ddl_command_start execute function public.et();
    create trigger tr before update on app.t for each row execute function suppress_redundant_updates_trigger();
    alter table app.t enable row level security;
    create policy po on app.t using (true);
"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


def make(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def is_empty(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        refuse_unless_empty(connection)
        counted = "select count(*) from pg_depend where objid >= 16384 or refobjid >= 16384"
        return connection.execute(counted).fetchone() == (0,)


# the caller's own database


def test_given_database_is_used_and_left_empty(empty_database: str, given: str, schema: Path) -> None:
    schema.write_text(EVERYTHING)

    found = diff_schema(empty_database, schema, scratch=given)

    assert {"app.t", "public.u"} <= {each.object for each in found.differences}
    assert is_empty(given)


def test_given_database_is_left_empty_after_a_failure(empty_database: str, given: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\nselect 1 / 0;\n")

    with pytest.raises(InvalidInput, match="division by zero"):
        diff_schema(empty_database, schema, scratch=given)

    assert is_empty(given)


@pytest.mark.parametrize(
    "file",
    [
        "drop schema public;",
        "comment on schema public is 'ours';",
        "revoke usage on schema public from public; grant create on schema public to public;",
        "alter default privileges revoke execute on functions from public;",
        "alter default privileges grant select on tables to pg_monitor with grant option;",
        "alter default privileges in schema public grant usage on types to pg_monitor;",
    ],
)
def test_given_database_keeps_its_public_schema_and_gets_no_default_privileges(
    empty_database: str, given: str, schema: Path, file: str
) -> None:
    make(given, "grant create on schema public to pg_monitor with grant option")
    public_schema = (
        "select nspowner, obj_description(oid, 'pg_namespace'), "
        "array(select item::text from unnest(nspacl) item order by 1) from pg_namespace where nspname = 'public'"
    )
    with psycopg.connect(given, autocommit=True) as connection:
        before = connection.execute(public_schema).fetchone()
    schema.write_text(file)

    diff_schema(empty_database, schema, scratch=given, options=Options(privileges=True))

    with psycopg.connect(given, autocommit=True) as connection:
        assert connection.execute(public_schema).fetchone() == before
    assert is_empty(given)


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("create table kept (a int)", "table public.kept"),
        ("create schema kept", "schema kept"),
        ("create type kept as enum ('a')", "type public.kept"),
        ("create function kept() returns int language sql as 'select 1'", r"function public.kept\(\)"),
    ],
)
def test_given_database_that_is_not_empty_is_refused_and_left_alone(
    empty_database: str, given: str, schema: Path, made: str, named: str
) -> None:
    schema.write_text("create table t (a int);\n")
    make(given, made)

    with pytest.raises(InvalidInput, match=f"not empty: it has {named}"):
        diff_schema(empty_database, schema, scratch=given)

    with pytest.raises(InvalidInput, match="kept"), psycopg.connect(given) as connection:
        refuse_unless_empty(connection)


# properties of the scratch database


def test_encoding_and_locale_are_those_of_the_live_database(server_dsn: str, schema: Path) -> None:
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    make(server_dsn, f"create database {name} template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    schema.write_text("""
        do $$ begin
            assert (
                select (pg_encoding_to_char(encoding), datcollate, datctype) = ('LATIN1', 'C', 'C')
                from pg_database where datname = current_database()
            );
        end $$;
    """)
    try:
        assert diff_schema(make_conninfo(server_dsn, dbname=name), schema, scratch="database").identical
    finally:
        make(server_dsn, f"drop database {name} with (force)")


def test_roles_of_a_throwaway_server_cannot_log_in(empty_database: str, schema: Path) -> None:
    schema.write_text("""
        create schema if not exists public authorization somebody;
        grant usage on schema public to "Some Body";
        do $$ begin
            assert (select count(*) from pg_roles where rolname in ('somebody', 'Some Body') and not rolcanlogin) = 2;
        end $$;
    """)

    assert diff_schema(empty_database, schema, scratch="local").identical


def test_load_obeys_its_time_limit_whatever_the_file_sets(given: str, schema: Path) -> None:
    schema.write_text(
        "set statement_timeout = 0;\n"
        "do $$ begin perform pg_sleep(60); exception when query_canceled then perform pg_sleep(60); end $$;\n"
        "create table t (a int);\n"
    )
    began = time.monotonic()

    with pytest.raises(InvalidInput, match=r"schema\.sql:[12]:1: does not load within the time limit"):
        load(Scratch(given, 0, shared=True), read_script(schema), {}, seconds=0.3)

    assert time.monotonic() - began < 50


# what a server's build lacks


@pytest.fixture(scope="module")
def extension() -> str:
    """An extension that a Postgres of this machine has and the one that would be taken first has not."""
    best, *others = all_binaries()
    for name in ("pgcrypto", "uuid-ossp", "xml2"):
        having = [each for each in others if name in installed_extensions(each.directory)]
        if having and name not in installed_extensions(best.directory):
            return name
    pytest.skip("no other Postgres on this machine has an extension that the first one lacks")


def installed_extensions(binaries: Path) -> set[str]:
    shared = subprocess.run([binaries / "pg_config", "--sharedir"], capture_output=True, text=True, check=True).stdout
    return {each.stem for each in (Path(shared.strip()) / "extension").glob("*.control")}


def test_first_server_that_has_the_extension_is_taken_and_named(extension: str, schema: Path, tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    schema.write_text(f'create extension "{extension}";\ncreate table t (a int);\n')
    (migrations / "0001_all.sql").write_text(schema.read_text())

    found = diff_migrations(migrations, schema)

    assert found.identical
    (note,) = found.notes
    assert re.match(r"schema\.sql was loaded on PostgreSQL \S+ in /.*, the first server that has all it needs \(", note)
    assert f'extension "{extension}" is not available' in note
    with pytest.raises(InvalidInput, match=f'0001_all failed: extension "{extension}" is not available'):
        diff_migrations(migrations, schema, scratch="embedded")


def test_extension_that_no_server_has_is_an_error_that_names_it_once(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\ncreate extension no_such_extension;\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:2:1: .*no_such_extension") as refused:
        diff_schema(empty_database, schema)

    assert "; PostgreSQL" not in str(refused.value)


def test_live_server_is_taken_before_one_of_another_version(
    empty_database: str, schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(empty_database) as connection:
        major = connection.info.server_version // 10000
    others = [each for each in all_binaries() if each.major != major]
    monkeypatch.setattr("pendingctl.schema_diff.scratch.all_binaries", lambda wanted=None: [] if wanted else others)
    schema.write_text("create table t (a int);\n")
    make(empty_database, schema.read_text())

    with psycopg.connect(empty_database) as live:
        found = places(live, empty_database, "auto")
    compared = diff_schema(empty_database, schema)

    assert found[0].name == f"the live server (PostgreSQL {major})"
    assert len(found) == 1 + len(others)
    assert (compared.identical, compared.notes) == (True, ())


# another major version


@pytest.fixture(scope="module")
def other_server(server_dsn: str) -> Iterator[str]:
    """A server of another major version than the tested one."""
    with psycopg.connect(server_dsn) as connection:
        tested = connection.info.server_version // 10000
    for major in range(18, 13, -1):
        if major == tested:
            continue
        try:
            find_binaries(major)
        except InvalidInput:
            continue
        with throwaway_server(major=major) as server:
            yield server.dsn
        return
    pytest.skip("the machine has one major version only")


def test_view_is_equal_on_both_versions_or_not_comparable(other_server: str, server_dsn: str) -> None:
    def deparsed(dsn: str, query: str) -> tuple[int, str]:
        with psycopg.connect(dsn) as connection:
            connection.execute("set client_min_messages = error")
            connection.execute(f"create temp view v as {query}".encode())
            (text,) = connection.execute("select pg_get_viewdef('v'::regclass)").fetchone() or ("",)
            connection.rollback()
            return connection.info.server_version // 10000, text

    def compared(ours: str, theirs: str) -> tuple[int, int]:
        (one_major, one), (other_major, other) = deparsed(server_dsn, ours), deparsed(other_server, theirs)
        found = Difference("view", "public.v", "definition", one, other, None)
        kept, unsure = classify([found] if one != other else [], one_major, other_major)
        return len(kept), len(unsure)

    simple = "select oid, relname as n from pg_class where relname > 'a'"
    assert compared(simple, simple) == (0, 0)
    assert compared(simple, simple.replace("'a'", "'b'")) == (0, 1)
    assert compared(simple, simple.replace("as n", "as m")) == (0, 1)


def test_ambiguous_qualifier_is_never_dropped() -> None:
    def unsure(one: str, other: str) -> int:
        return len(classify([Difference("view", "v", "definition", one, other, None)], 18, 15)[1])

    assert unsure("SELECT a FROM t;", "SELECT t.a FROM t;") == 0
    assert unsure("SELECT a FROM t x;", "SELECT x.a FROM t x;") == 0
    assert unsure("SELECT x.a FROM ( SELECT t.a FROM t, u) x;", "SELECT a FROM ( SELECT t.a FROM t, u) x;") == 0
    assert unsure("SELECT a, count(*) AS n FROM t GROUP BY a;", "SELECT t.a, count(*) AS n FROM t GROUP BY t.a;") == 0
    assert unsure("SELECT a, count(*) AS n FROM t GROUP BY a;", "SELECT t.a, count(*) AS n FROM t GROUP BY t.n;") == 1
    assert (
        unsure(
            "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.b = t.a)",
            "SELECT t.a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.b = t.a)",
        )
        == 0
    )
    assert unsure("SELECT a FROM t, u;", "SELECT t.a FROM t, u;") == 1
    assert unsure("SELECT b AS a FROM t ORDER BY a;", "SELECT t.b AS a FROM t ORDER BY t.a;") == 1
    assert (
        unsure(
            "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE a)",
            "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE t.a)",
        )
        == 1
    )
    assert unsure("not sql", "SELECT 1") == 1


def test_attribute_that_a_version_does_not_store_is_not_a_difference() -> None:
    named = Difference("column", "public.t.a", "not_null_name", "a_is_given", None, 1)

    assert classify([named], 18, 18)[0] == (named,)
    assert classify([named], 18, 15) == ((), ())


def test_identity_of_a_partition_is_equal_on_all_versions(other_server: str, empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create table t (id int generated always as identity, k int) partition by list (k);\n"
        "create table t1 partition of t default;\n"
    )
    make(empty_database, schema.read_text())

    assert diff_schema(empty_database, schema, scratch=other_server).identical


def test_another_version_is_noted(other_server: str, empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (id int primary key, a text not null default 'x' check (a <> ''));\n")
    make(empty_database, schema.read_text())

    found = diff_schema(empty_database, schema, scratch=other_server)

    assert found.identical
    assert "was loaded on PostgreSQL" in found.notes[-1]
