"""One random change of a random schema, on a real server: it is reported, and nothing else is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.schema_diff.catalog import read_catalog
from pendingctl.schema_diff.compare import compare
from pendingctl.schema_diff.model import Catalog
from tests.schema_diff.random_schemas import SCHEMA, Reported, Schema, changed, schemas

TIMEOUT = timedelta(seconds=30)


@pytest.fixture(scope="module")
def two_databases(server_dsn: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    names = [f"pendingctl_test_{secrets.token_hex(6)}" for _ in range(2)]
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        with (
            psycopg.connect(make_conninfo(server_dsn, dbname=names[0])) as one,
            psycopg.connect(make_conninfo(server_dsn, dbname=names[1])) as other,
        ):
            yield one, other
        for name in names:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def catalog_of(connection: psycopg.Connection, schema: Schema) -> Catalog:
    connection.execute(schema.sql().encode())
    try:
        return read_catalog(connection, None, TIMEOUT, schemas=[SCHEMA])
    finally:
        connection.rollback()


def reported(expected: Catalog, actual: Catalog) -> set[Reported]:
    found = compare(expected, actual, lambda *_: None, column_order=True)
    return {(each.kind, each.object, each.attribute) for each in found}


@given(schemas())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_schema_does_not_differ_from_itself(
    two_databases: tuple[psycopg.Connection, psycopg.Connection], schema: Schema
) -> None:
    one, other = two_databases

    assert reported(catalog_of(one, schema), catalog_of(other, schema)) == set()


@given(changed())
@settings(max_examples=70, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_change_is_reported(
    two_databases: tuple[psycopg.Connection, psycopg.Connection], change: tuple[Schema, Schema, set[Reported]]
) -> None:
    one, other = two_databases
    before, after, expected = change

    ours, theirs = catalog_of(one, before), catalog_of(other, after)

    assert reported(ours, theirs) == reported(theirs, ours) == expected
