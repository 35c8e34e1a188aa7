"""An application's own `organization`, and the schema that a connection leads to: shared, or refused untouched."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.embedded import throwaway_pair
from pendingctl.errors import DatabaseFailed, InvalidInput
from pendingctl.schema import migrations
from tests.commands import complaint, run
from tests.embedded.servers import until_shown

OTHER_SCHEMA = "?options=-csearch_path%3Dpendingctl"

UNFIT = {
    "bigint": ("create table organization (id bigint primary key)", "public.organization.id is of type bigint"),
    "uuid": ("create table organization (id uuid primary key)", "public.organization.id is of type uuid"),
    "composite key": (
        "create table organization (region text, id text, primary key (region, id))",
        "public.organization.id is not unique by itself",
    ),
    "no key": ("create table organization (id text)", "not unique by itself"),
    "deferrable key": ("create table organization (id text primary key deferrable)", "not unique by itself"),
    "partial key": (
        "create table organization (id text, gone bool); create unique index on organization (id) where not gone",
        "not unique by itself",
    ),
    "unique expression": (
        "create table organization (id text); create unique index on organization (lower(id))",
        "not unique by itself",
    ),
    "key named otherwise": (
        "create table organization (slug text primary key)",
        "public.organization has no column id",
    ),
    "dropped id": (
        "create table organization (id text primary key, slug text); alter table organization drop column id",
        "has no column id",
    ),
    "partitioned by another column": (
        "create table organization (id text, region text, primary key (id, region)) partition by list (region)",
        "not unique by itself",
    ),
    "view": ("create view organization as select 'acme'::text as id", "public.organization is a view"),
    "materialized view": (
        "create materialized view organization as select 'acme'::text as id; create unique index on organization (id)",
        "is a materialized view",
    ),
    "foreign table": (
        "create foreign data wrapper none; create server elsewhere foreign data wrapper none;"
        "create foreign table organization (id text) server elsewhere",
        "is a foreign table",
    ),
    "sequence": ("create sequence organization", "is a sequence"),
    "composite type": ("create type organization as (id text)", "is a composite type"),
    "unlogged table": ("create unlogged table organization (id text primary key)", "is an unlogged"),
    "domain over bigint": (
        "create domain number as bigint; create table organization (id number primary key)",
        "is of type number, not text",
    ),
    "another schema of the search_path": (
        "create schema app; create table app.organization (id uuid primary key);"
        "do $$ begin execute format('alter database %I set search_path = public, app', current_database()); end $$",
        "app.organization.id is of type uuid",
    ),
}

FIT = {
    "varchar": "create table organization (id varchar(40) primary key, plan text)",
    "char": "create table organization (id char(4) primary key)",
    "domain over a domain over text": (
        "create domain slug as text check (value <> ''); create domain tenant as slug;"
        "create table organization (id tenant primary key)"
    ),
    "unique beside another key": "create table organization (id text unique, number bigint primary key default 1)",
    "partitioned by id": (
        "create table organization (id text primary key) partition by hash (id);"
        "create table organization_0 partition of organization for values with (modulus 1, remainder 0)"
    ),
    "another schema of the search_path": (
        "create schema app; create table app.organization (id text primary key);"
        "do $$ begin execute format('alter database %I set search_path = public, app', current_database()); end $$"
    ),
}


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the database that is migrated."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield connection


def leading_to(dsn: str, search_path: str) -> str:
    return make_conninfo(dsn, options=f"-csearch_path={search_path}")


def ours_in(connection: psycopg.Connection, schema: str) -> set[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(%s) and relkind = 'r' and relname in "
        "('pendingctl_migration', 'pending_interactions', 'sweep_cycle')",
        (schema,),
    )
    return {name for (name,) in rows}


@contextmanager
def role(connection: psycopg.Connection) -> Iterator[str]:
    """A role that owns nothing and may nothing beyond connecting."""
    name = f"bot_{connection.info.dbname}"
    connection.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
    try:
        yield name
    finally:
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("kind", UNFIT)
def test_an_organization_that_cannot_be_referenced_is_refused_before_anything_is_applied(
    empty_dsn: str, empty: psycopg.Connection, kind: str
) -> None:
    making, reason = UNFIT[kind]
    empty.execute(making)

    for arguments in ((), ("--check",), ("--dry-run",), ("--to", "0002_pending_interactions")):
        said = complaint(run("migrate", *arguments, "--dsn", empty_dsn), 2)
        assert reason in said
        assert OTHER_SCHEMA in said
    assert ours_in(empty, "public") == set()


@pytest.mark.parametrize("kind", UNFIT)
def test_what_the_refusal_advises_works(empty_dsn: str, empty: psycopg.Connection, kind: str) -> None:
    empty.execute(UNFIT[kind][0])
    empty.execute("create schema pendingctl")

    assert run("migrate", "--dsn", leading_to(empty_dsn, "pendingctl")).exit_code == 0

    assert ours_in(empty, "pendingctl") == {"pendingctl_migration", "pending_interactions", "sweep_cycle"}
    assert ours_in(empty, "public") == set()


@pytest.mark.parametrize("kind", FIT)
def test_an_organization_that_can_be_referenced_is_shared_and_outlives_a_rollback(
    empty_dsn: str, empty: psycopg.Connection, kind: str
) -> None:
    empty.execute(FIT[kind])

    applied = migrations.apply(empty_dsn)
    with psycopg.connect(empty_dsn) as pod:
        pod.execute("insert into organization values ('acme')")
        pod.execute(
            "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
            "values ('q', 'acme', 'slack', 'U1', '{}')"
        )
        pod.commit()
        migrations.rollback(empty_dsn, len(applied))
        assert pod.execute("select id::text from organization").fetchall() == [("acme",)]


def test_a_collation_for_which_different_ids_are_equal_is_refused(empty_dsn: str, empty: psycopg.Connection) -> None:
    try:
        empty.execute("create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this Postgres is built without ICU")
    empty.execute("create table organization (id text collate loose primary key)")

    with pytest.raises(InvalidInput, match=r"the collation of public\.organization\.id"):
        migrations.apply(empty_dsn)


def test_an_organization_that_the_role_may_not_reference_is_refused_before_anything_is_applied(
    empty_dsn: str, empty: psycopg.Connection
) -> None:
    empty.execute("create table organization (id text primary key)")
    with role(empty) as bot:
        empty.execute(sql.SQL("grant create on schema public to {}").format(sql.Identifier(bot)))
        dsn = make_conninfo(empty_dsn, user=bot)

        with pytest.raises(DatabaseFailed, match=f"grant references on public.organization to {bot}"):
            migrations.apply(dsn)

        assert ours_in(empty, "public") == set()
        assert migrations.status(dsn).applied == ()
        empty.execute(sql.SQL("grant references (id) on organization to {}").format(sql.Identifier(bot)))
        assert migrations.apply(dsn)


def test_a_role_that_may_not_create_tables_is_refused(empty_dsn: str, empty: psycopg.Connection) -> None:
    empty.execute("revoke create on schema public from public")
    with role(empty) as bot:
        said = complaint(run("migrate", "--dsn", make_conninfo(empty_dsn, user=bot)), 3)

    assert "permission denied for schema public; grant it" in said


@pytest.mark.parametrize(("search_path", "named"), [("", "empty"), ("nowhere", "nowhere")])
def test_a_search_path_without_a_schema_is_refused(empty_dsn: str, search_path: str, named: str) -> None:
    for arguments in ((), ("--check",), ("--dry-run",), ("--rollback", "1", "--yes")):
        said = complaint(run("migrate", *arguments, "--dsn", leading_to(empty_dsn, search_path)), 2)
        assert f"no schema of the search_path ({named}) is there for this role" in said


def test_two_copies_in_one_database_work_side_by_side(empty_dsn: str, empty: psycopg.Connection) -> None:
    empty.execute("create schema one; create schema two")
    one, two = leading_to(empty_dsn, "one"), leading_to(empty_dsn, "two")

    with ThreadPoolExecutor(2) as pods:
        applied = list(pods.map(migrations.apply, (one, two)))

    assert applied[0] == applied[1]
    empty.execute("insert into one.organization (id) values ('acme')")
    migrations.rollback(two, len(applied[1]))
    assert migrations.status(one).pending == ()
    assert migrations.status(two).applied == ()
    assert empty.execute("select id from one.organization").fetchall() == [("acme",)]


def test_tables_in_a_later_schema_of_the_search_path_are_not_divided(empty_dsn: str, empty: psycopg.Connection) -> None:
    """The new migrations' tables would go to the first schema, and the marks of the old ones would stay behind."""
    empty.execute("create schema bot")
    migrations.apply(empty_dsn, to="0003_answer")

    for arguments in ((), ("--check",), ("--dry-run",), ("--rollback", "1", "--yes")):
        said = complaint(run("migrate", *arguments, "--dsn", leading_to(empty_dsn, "bot,public")), 2)
        assert "pendingctl's tables are in schema public, but schema bot comes first" in said
        assert "?options=-csearch_path%3Dpublic" in said
    assert ours_in(empty, "bot") == set()

    assert migrations.apply(leading_to(empty_dsn, "bot"))
    assert migrations.status(leading_to(empty_dsn, "bot,public")).pending == ()


def test_another_copys_organizations_are_neither_shared_nor_dropped(empty_dsn: str, empty: psycopg.Connection) -> None:
    empty.execute("create schema one; create schema two")
    one, two = leading_to(empty_dsn, "one"), leading_to(empty_dsn, "two,one")
    migrations.apply(leading_to(empty_dsn, "two"), to="0001_organization")
    migrations.apply(one, to="0001_organization")

    migrations.rollback(two, 1)
    with pytest.raises(InvalidInput, match=r"one\.organization belongs to another copy of pendingctl"):
        migrations.apply(two)

    assert empty.execute("select to_regclass('one.organization') is not null").fetchone() == (True,)


def test_a_database_that_is_read_only_by_default_is_refused_with_the_settings_name(
    empty_dsn: str, empty: psycopg.Connection
) -> None:
    empty.execute(
        sql.SQL("alter database {} set default_transaction_read_only = on").format(sql.Identifier(empty.info.dbname))
    )

    said = complaint(run("migrate", "--dsn", empty_dsn), 3)

    assert "default_transaction_read_only is on" in said
    assert ours_in(empty, "public") == set()
    assert migrations.apply(make_conninfo(empty_dsn, options="-cdefault_transaction_read_only=off"))
    assert "nothing is pending" in run("migrate", "--dsn", empty_dsn).stdout
    assert "default_transaction_read_only" in complaint(
        run("migrate", "--rollback", "1", "--yes", "--dsn", empty_dsn), 3
    )


@pytest.mark.once
def test_a_standby_is_refused_unless_nothing_is_pending() -> None:
    with throwaway_pair() as pair:
        assert "is a standby" in complaint(run("migrate", "--dsn", pair.standby.dsn), 3)
        applied = migrations.apply(pair.dsn)
        until_shown(pair)

        assert migrations.apply(pair.standby.dsn) == []
        assert migrations.status(pair.standby.dsn).applied == tuple(applied)
