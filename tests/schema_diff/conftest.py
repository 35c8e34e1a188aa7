"""A database to compare with: one for all cases, emptied before each, since creating one takes 0.25 s."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

_EMPTY = """
    do $$
    declare
        each text;
    begin
        for each in
            select format('drop event trigger if exists %I', evtname) from pg_event_trigger
            union all
            select format('alter extension plpgsql drop %s %s', found.type, found.identity)
            from pg_depend dep cross join lateral pg_identify_object(dep.classid, dep.objid, 0) found
            where dep.refclassid = 'pg_extension'::regclass and dep.deptype = 'e' and dep.objid >= 16384
                and dep.classid <> 'pg_type'::regclass
                and dep.refobjid = (select oid from pg_extension where extname = 'plpgsql')
            union all
            select format('drop extension if exists %I cascade', extname) from pg_extension where extname <> 'plpgsql'
            union all
            select format('drop transform if exists for %s language %I cascade', trftype::regtype, lanname)
            from pg_transform join pg_language on pg_language.oid = trflang
            union all
            select format('drop cast if exists (%s as %s)', castsource::regtype, casttarget::regtype) from pg_cast
            where oid >= 16384 and not exists (
                select from pg_depend dep
                where dep.classid = 'pg_cast'::regclass and dep.objid = pg_cast.oid and dep.deptype in ('i', 'e')
            )
            union all
            select format('drop schema if exists %I cascade', nspname) from pg_namespace
            where nspname !~ '^pg_' and nspname <> 'information_schema'
            union all
            select format('drop access method if exists %I cascade', amname) from pg_am where oid >= 16384
            union all
            select format('drop publication if exists %I', pubname) from pg_publication
            union all
            select format('drop foreign data wrapper if exists %I cascade', fdwname) from pg_foreign_data_wrapper
            union all
            select format('drop language if exists %I cascade', lanname) from pg_language where oid >= 16384
        loop
            execute each;
        end loop;
        alter default privileges grant execute on functions to public;
        create schema public;
        grant usage on schema public to public;
        if current_setting('server_version_num')::integer < 150000 then
            grant create on schema public to public;
        end if;
    end
    $$
"""


@contextmanager
def new_database(server_dsn: str) -> Iterator[str]:
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    yield make_conninfo(server_dsn, dbname=name)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def create_cellar(connection: psycopg.Connection) -> None:
    """Create the tablespace that some cases name."""
    if connection.execute("select from pg_tablespace where spcname = 'cellar'").fetchone() is None:
        connection.execute("set allow_in_place_tablespaces = on")
        connection.execute("create tablespace cellar location ''")


def empty(dsn: str) -> None:
    """Drop whatever a case created."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        connection.execute(_EMPTY)


@pytest.fixture(scope="session")
def reused_database(server_dsn: str) -> Iterator[str]:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        create_cellar(connection)
    with new_database(server_dsn) as dsn:
        yield dsn


@pytest.fixture
def given(server_dsn: str) -> Iterator[str]:
    """A second database, empty."""
    with new_database(server_dsn) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def scratch_dsn(server_dsn: str) -> Iterator[str]:
    """An empty database for all cases, which each comparison must leave empty: quicker than creating one each time."""
    with new_database(server_dsn) as dsn:
        yield dsn


@pytest.fixture
def empty_database(reused_database: str) -> str:
    empty(reused_database)
    return reused_database
