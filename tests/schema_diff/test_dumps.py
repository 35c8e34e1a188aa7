"""Files that pg_dump and pg_dumpall wrote, for a server of another version, with whatever options."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.embedded import find_binaries, throwaway_server
from pendingctl.errors import InvalidInput
from pendingctl.schema_diff import Options, diff_schema
from pendingctl.schema_diff.load import load
from pendingctl.schema_diff.parse import read_script
from pendingctl.schema_diff.scratch import Scratch

SCHEMA = """
    create schema other;
    create type mood as enum ('a', 'b');
    create table customer (id bigint generated always as identity primary key, name text default 'it''s \\ ü', m mood);
    create table orders (id serial primary key, customer bigint references customer deferrable initially deferred);
    create table other.log (id int primary key) partition by range (id);
    create table other.log1 partition of other.log for values from (1) to (100);
    create index on orders (customer) where customer > 1;
    create view named as select o.id, c.name from orders o join customer c on c.id = o.customer;
    create function f(a int) returns int language plpgsql as $$
    begin
      return a; -- ß
    end
    $$;
    create function on_update() returns trigger language plpgsql as 'begin return new; end';
    create trigger tr before update on orders for each row execute function on_update();
    alter table orders enable row level security;
    create policy po on orders using (id > 3);
    create publication pub for table orders;
    alter default privileges in schema other grant select on tables to pg_monitor;
    grant select on orders to pg_monitor;
    comment on table orders is E'two\\nlines, ''quoted'', äöü';
    insert into customer (name) values ('one'), (E'tab\\tand \\\\ backslash');
    select lo_create(4711);
"""
# pg_dump 14 leaves it out.
COMMENT_ON_PUBLIC = "comment on schema public is 'ours';"


def pg_dump(dsn: str, *options: str, newest: bool = False, program: str = "pg_dump") -> bytes:
    with psycopg.connect(dsn) as connection:
        major = None if newest else connection.info.server_version // 10000
    command = [str(find_binaries(major).directory / program), *options, "-d", dsn]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


def made(dsn: str, text: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(text.encode())
    return dsn


@pytest.mark.parametrize("newest", [False, True], ids=["own-version", "newest-version"])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--schema-only", "-n", "public", "-n", "other"),
        ("--clean",),
        ("--clean", "--if-exists"),
        ("--create",),
        ("--create", "--clean"),
        ("--inserts",),
        ("--schema-only", "--encoding=LATIN1"),
        ("--schema-only", "--quote-all-identifiers"),
    ],
    ids=" ".join,
)
def test_a_dump_of_the_database_is_identical(given: str, schema: Path, options: tuple[str, ...], newest: bool) -> None:
    with psycopg.connect(given) as connection:
        is_dumped = newest or connection.info.server_version >= 150000
    made(given, SCHEMA + (COMMENT_ON_PUBLIC if is_dumped else ""))
    schema.write_bytes(pg_dump(given, *options, newest=newest))

    found = diff_schema(given, schema, scratch="auto", options=Options(ignore=("publications *", "publication *")))

    assert (found.differences, found.uncompared) == ((), ())


def test_what_the_server_does_not_take_or_has_already_is_noted(given: str, schema: Path) -> None:
    schema.write_text(
        "set no_such_setting = 0;\n"
        "set default_table_access_method = nosuch;\n"
        "select pg_catalog.set_config('no_such_setting', '', false);\n"
        "create schema public;\n"
        "create extension plpgsql;\n"
        "comment on extension nosuch is 'x';\n"
        "drop table gone;\n"
        "alter table only gone drop constraint gone_pkey;\n"
        "drop function gone();\n"
        "security label for dummy on schema public is 'x';\n"
        "select * from pg_catalog.pg_restore_relation_stats('version', '180000'::integer);\n"
        "begin;\nset no_such_setting = 1;\ncreate table t (a int);\ndrop view gone;\ncommit;\n"
    )
    made(given, "create table t (a int)")

    found = diff_schema(given, schema, scratch="database")

    assert found.identical
    with psycopg.connect(given) as connection:
        major = connection.info.server_version // 10000
    assert found.notes[:4] == (
        f"line 1: set no_such_setting = 0 was passed over: PostgreSQL {major} does not take it (and 4 more)",
        "line 4: create schema public was passed over: it is there already (and 1 more)",
        "line 6: comment on extension nosuch is 'x' was passed over: the object is missing, or another role's",
        "line 7: drop table gone was passed over: there is nothing to drop (and 3 more)",
    )


@pytest.mark.parametrize(
    "text",
    [
        "create schema app;\ncreate schema app;\n",
        "create extension plpgsql;\ncreate schema public create table t (a int);\n",
        "alter table gone add a int;\n",
        "comment on table gone is 'x';\n",
        "set search_path = 1, ;\n",
        "grant selct on schema public to pg_monitor;\n",
    ],
)
def test_a_mistake_is_still_refused(given: str, schema: Path, text: str) -> None:
    schema.write_text("select 1;\n" + text)

    with pytest.raises(InvalidInput, match=r"schema\.sql:[23]:"):
        diff_schema(given, schema, scratch="local")


def test_roles_that_are_missing_on_a_shared_server_are_noted(given: str, schema: Path) -> None:
    schema.write_text(
        "create table t (a int);\nalter table t owner to nobody_here;\ngrant select on t to nobody_here;\n"
        "alter default privileges for role nobody_here grant select on tables to nobody_here;\n"
    )
    made(given, "create table t (a int)")

    found = diff_schema(given, schema, scratch="database", options=Options(privileges=True))

    assert found.identical
    assert found.notes == (
        "line 2: alter table t owner to nobody_here was passed over: the role is missing (and 2 more)",
    )


@pytest.fixture(scope="module")
def whole_server(server_dsn: str) -> Iterator[str]:
    with psycopg.connect(server_dsn) as connection:
        major = connection.info.server_version // 10000
    with throwaway_server(major=major) as server:
        made(server.dsn, "create role owner_of_bot login; create role reader")
        made(server.dsn, "grant reader to owner_of_bot")
        made(server.dsn, "create database bot")
        made(server.dsn, "alter database bot set work_mem = '8MB'")
        made(server.dsn, "alter role owner_of_bot in database bot set work_mem = '9MB'")
        made(make_conninfo(server.dsn, dbname="bot"), SCHEMA + "alter table orders owner to owner_of_bot;")
        yield server.dsn


@pytest.mark.parametrize("options", [(), ("--clean",), ("--clean", "--if-exists")], ids=["plain", "clean", "if-exists"])
def test_a_dump_of_a_server_is_that_of_its_only_database_with_objects(
    whole_server: str, schema: Path, options: tuple[str, ...]
) -> None:
    schema.write_bytes(pg_dump(whole_server, *options, program="pg_dumpall"))

    found = diff_schema(make_conninfo(whole_server, dbname="bot"), schema, options=Options(privileges=True))

    assert (found.differences, found.uncompared) == ((), ())


def test_a_dump_of_a_server_with_two_databases_is_refused_at_the_second(whole_server: str, schema: Path) -> None:
    made(whole_server, "create database shop")
    made(make_conninfo(whole_server, dbname="shop"), "create table t (a int)")
    schema.write_bytes(pg_dump(whole_server, "--schema-only", program="pg_dumpall"))
    made(whole_server, "drop database shop")

    with pytest.raises(InvalidInput, match="objects of a second database; dump the one to compare by itself"):
        diff_schema(make_conninfo(whole_server, dbname="bot"), schema)


# transactions of the file


@pytest.mark.parametrize(
    "text",
    [
        "begin; create schema app; set local search_path = app; create table t (a int); commit;create table u (a int);",
        "create schema app; begin; set local search_path = app; create table t (a int); end; create table u (a int);",
        "create schema app; create table u (a int); begin; lock table u; create table app.t (a int); commit;",
        "create schema app; begin; create temp table x (a int) on commit drop; create table app.t (a int); commit;"
        "begin; create temp table x (a int) on commit drop; commit; create table u (a int);",
        "create schema app; create table app.t (a int); begin; create table u (a int); savepoint s;"
        "create table gone (a int); rollback to savepoint s; release savepoint s; commit and chain;"
        "create table gone (a int); rollback;",
        "create schema app; create table u (a int); create table app.t (a int);"
        "begin; create table p (a int primary key); create table c (a int references p deferrable initially deferred);"
        "insert into c values (1); insert into p values (1); commit; drop table c, p;",
        "begin transaction isolation level serializable; set transaction read write; create schema app;"
        "create table u (a int); create table app.t (a int); set constraints all deferred; commit;",
    ],
)
@pytest.mark.parametrize("scratch", ["local", "database"])
def test_transactions_of_a_file_have_their_meaning(given: str, schema: Path, text: str, scratch: str) -> None:
    schema.write_text(text)
    made(given, "create schema app; create table app.t (a int); create table u (a int)")

    found = diff_schema(given, schema, scratch=scratch)

    assert (found.differences, found.notes) == ((), ())


def test_a_transaction_that_is_never_committed_is_noted_and_has_no_effect(given: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\nbegin;\ncreate table u (a int);\n")
    made(given, "create table t (a int)")

    found = diff_schema(given, schema, scratch="database")

    assert found.identical
    assert found.notes == ("line 2: this transaction is never committed and was rolled back, as psql does",)


@pytest.mark.parametrize("statement", ["prepare transaction 'x'", "commit prepared 'x'", "rollback prepared 'x'"])
def test_prepared_transactions_are_refused(schema: Path, statement: str) -> None:
    schema.write_text(f"begin;\n{statement};\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:2:1: A prepared transaction reaches outside"):
        read_script(schema)


def test_a_deferred_constraint_that_fails_is_named_at_the_commit(given: str, schema: Path) -> None:
    schema.write_text(
        "begin;\ncreate table p (a int primary key);\n"
        "create table c (a int references p deferrable initially deferred);\ninsert into c values (1);\ncommit;\n"
    )

    with pytest.raises(InvalidInput, match=r"schema\.sql:5:1: does not load: .*violates foreign key"):
        load(Scratch(given, 0, shared=True), read_script(schema), {})
