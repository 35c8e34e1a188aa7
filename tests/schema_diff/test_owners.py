"""Owners of objects in a database whose owner is another role than the one that loads schema.sql."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pendingctl.schema_diff import Difference, Options, diff_schema

OWNER = "pendingctl_test_owner"


@pytest.fixture
def loader(given: str) -> str:
    """The role of the tests, which is also that of a throw-away server."""
    return str(conninfo_to_dict(given)["user"])


@pytest.fixture
def owned(given: str, server_dsn: str) -> Iterator[str]:
    """A database with another owner."""
    database = sql.Identifier(str(conninfo_to_dict(given)["dbname"]))
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} superuser").format(sql.Identifier(OWNER)))
        connection.execute(sql.SQL("alter database {} owner to {}").format(database, sql.Identifier(OWNER)))
        yield given
        connection.execute(sql.SQL("drop database {} with (force)").format(database))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(OWNER)))


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


def owners(dsn: str, schema: Path, scratch: str) -> tuple[Difference, ...]:
    found = diff_schema(dsn, schema, scratch=scratch, options=Options(privileges=True)).differences
    assert {each.attribute for each in found} <= {"owner"}
    return found


def make(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


def test_role_that_a_file_names_is_not_the_one_that_loads_it(owned: str, schema: Path, loader: str) -> None:
    make(owned, "create table t (a int)", "create schema s")
    schema.write_text(
        f"create table t (a int);\nalter table t owner to {loader};\ncreate schema s authorization {loader};\n"
        f"create table u (a int);\nalter table u owner to {loader};\n"
    )
    make(owned, "create table u (a int)", f"alter table u owner to {OWNER}")

    (found,) = owners(owned, schema, "local")

    assert (found.object, found.expected, found.actual) == ("public.u", loader, "(database owner)")


def test_role_that_loads_a_file_stands_for_the_owner_of_the_database(owned: str, schema: Path) -> None:
    make(owned, "create table t (a int)", f"alter table t owner to {OWNER}")
    schema.write_text("create table t (a int);\n")

    assert owners(owned, schema, "local") == ()
    assert owners(owned, schema, "database") == ()


def test_file_that_names_the_role_that_loads_it_beside_the_live_database_is_noted(
    owned: str, schema: Path, loader: str
) -> None:
    make(owned, "create table t (a int)")
    schema.write_text(f"create table t (a int);\nalter table t owner to {loader};\n")

    found = diff_schema(owned, schema, scratch="database", options=Options(privileges=True))

    assert found.notes == (
        f"schema.sql names {loader}, which loaded it and therefore stands for the owner of the database, {OWNER}: "
        "--scratch local tells the two apart",
    )
    assert diff_schema(owned, schema, scratch="database").notes == ()


def test_policy_for_the_role_that_loads_a_file_is_one_for_the_owner_of_the_database(owned: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\ncreate policy p on t to current_user, pg_monitor using (true);\n")
    make(owned, "create table t (a int)", f"alter table t owner to {OWNER}")
    make(owned, f"create policy p on t to {OWNER}, pg_monitor using (true)")

    assert owners(owned, schema, "local") == ()
