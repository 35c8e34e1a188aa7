"""Comparing schema.sql with a folder of yoyo migrations."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.schema import migrations
from pendingctl.schema_diff import diff_migrations
from pendingctl.schema_diff.emptying import refuse_unless_empty
from tests.commands import run

SCHEMA = """
create role reporter;
create table customer (id bigint primary key, email text not null);
create index by_email on customer (email);
grant select on customer to reporter;
grant select on customer to "Some Body";
"""
FILES = {
    "20260101_01_a1b2C-first.sql": "create role reporter;\ncreate table customer (id bigint primary key);\n",
    "20260101_01_x9y8Z-second.sql": "-- depends: 20260101_01_a1b2C-first\n"
    "alter table customer add email text not null;\n"
    'grant select on customer to reporter, "Some Body";\n',
    "20260102_01_a1b2C-third.sql": "-- depends: 20260101_01_x9y8Z-second\n-- transactional: false\n"
    "create index concurrently by_email on customer (email);\n",
}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.sql"
    path.write_text(SCHEMA)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


def test_migrations_that_produce_the_schema_are_identical(folder: Path, schema: Path) -> None:
    found = diff_migrations(folder, schema)

    assert (found.differences, found.notes, found.uncompared) == ((), (), ())


def test_drift_of_migrations_is_reported(folder: Path, schema: Path) -> None:
    (folder / "20260103_01_a1b2C-fourth.sql").write_text("alter table customer alter email type varchar(9);\n")

    (found,) = diff_migrations(folder, schema).differences

    assert (found.object, found.attribute, found.expected, found.actual, found.line) == (
        "public.customer.email",
        "type",
        "text",
        "character varying(9)",
        3,
    )


def test_pendingctls_migrations_produce_its_own_schema() -> None:
    result = run("diff-schema", "--migrations", str(migrations.migrations_directory()))

    assert (result.exit_code, result.stdout) == (0, "identical\n"), result.output


def test_failing_migration_is_named(folder: Path, schema: Path) -> None:
    (folder / "20260104_01_a1b2C-fails.sql").write_text("alter table nowhere add a int;\n")

    with pytest.raises(InvalidInput, match='20260104_01_a1b2C-fails failed: relation "nowhere" does not exist'):
        diff_migrations(folder, schema)


def test_one_given_database_is_used_for_both_sides_and_left_empty(
    folder: Path, tmp_path: Path, empty_database: str
) -> None:
    (folder / "20260101_01_a1b2C-first.sql").write_text("create table customer (id bigint primary key);\n")
    (folder / "20260101_01_x9y8Z-second.sql").write_text(
        "-- depends: 20260101_01_a1b2C-first\nalter table customer add email text not null;\n"
    )
    schema = tmp_path / "schema.sql"
    schema.write_text("create table customer (id bigint primary key, email text);\n")

    found = diff_migrations(folder, schema, scratch=empty_database)

    assert [(each.object, each.attribute) for each in found.differences] == [
        ("public.customer.email", "nullability"),
        ("public.by_email", "presence"),
    ]
    with psycopg.connect(empty_database) as connection:
        refuse_unless_empty(connection)
