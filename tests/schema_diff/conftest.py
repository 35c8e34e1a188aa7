"""A database to compare with: one for all cases, emptied before each, since making one takes a quarter of a second."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

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
            select format('drop schema %I cascade', nspname) from pg_namespace
            where nspname !~ '^pg_' and nspname <> 'information_schema'
            union all
            select format('drop access method %I cascade', amname) from pg_am where oid >= 16384
            union all
            select format('drop event trigger %I', evtname) from pg_event_trigger
            union all
            select format('drop publication %I', pubname) from pg_publication
            union all
            select format('drop foreign data wrapper %I cascade', fdwname) from pg_foreign_data_wrapper
            union all
            select format('drop cast (%s as %s)', castsource::regtype, casttarget::regtype) from pg_cast
            where oid >= 16384
        loop
            execute each;
        end loop;
        create schema public;
        grant usage on schema public to public;
    end
    $$
"""


@pytest.fixture(scope="session")
def reused_database(server_dsn: str) -> Iterator[str]:
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    yield make_conninfo(server_dsn, dbname=name)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def empty_database(reused_database: str) -> str:
    with psycopg.connect(reused_database, autocommit=True) as connection:
        connection.execute("set client_min_messages = error")
        connection.execute(_EMPTY)
    return reused_database
