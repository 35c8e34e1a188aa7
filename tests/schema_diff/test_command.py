"""The command: its options, its output on stdout and stderr, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pendingctl.schema_diff.catalog import read_catalog
from pendingctl.schema_diff.model import Catalog
from tests.commands import complaint, document, run

DRIFTED = "create table t (a int default 5, b text, constraint k check (a > 0));\ncreate index i on t (b);\n"


@pytest.fixture
def schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "schema.sql"


def make(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def diff(dsn: str, *options: str, schema: str = "schema.sql") -> tuple[str, ...]:
    return ("diff-schema", "--schema", schema, "--dsn", dsn, "--scratch", "database", *options)


def test_identical_is_exit_0(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)
    make(empty_database, DRIFTED)

    result = run(*diff(empty_database))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "identical\n", "")


def test_each_difference_is_a_line_with_its_position_and_the_exit_code_is_1(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)
    make(empty_database, "create table t (a int default 6, c text, constraint k check (a > 0))")

    result = run(*diff(empty_database))

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "schema.sql:1: column public.t.a default: schema.sql says 5 / database says 6",
        "schema.sql:1: column public.t.b name: schema.sql says public.t.b / database says public.t.c, likely renamed",
        "schema.sql:2: index public.i presence: schema.sql says CREATE INDEX i ON public.t USING btree (b) / "
        "database says nothing",
        "differences: 3",
    ]


def test_index_of_a_missing_column_is_folded(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)
    make(empty_database, "create table t (a int default 5, constraint k check (a > 0))")

    (found,) = document(run(*diff(empty_database, "-o", "json")))["differences"]

    assert (found["object"], found["attribute"], found["folded"]) == ("public.t.b", "presence", {"index": 1})


def test_fields_of_the_json_output(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)

    shown = document(run(*diff(empty_database, "-o", "json")))

    assert shown["identical"] is False
    (found,) = shown["differences"]
    folded = {"column": 2, "constraint": 1, "index": 1}
    assert found == {
        **{"kind": "table", "object": "public.t", "attribute": "presence", "expected": "table", "actual": None},
        **{"line": 1, "folded": folded, "renamed_to": None, "renamed_from": None},
    }
    assert (shown["uncompared"], shown["notes"]) == ([], [])


def test_ignored_drift_is_not_reported(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)
    make(empty_database, DRIFTED, "alter table t alter a set default 6", "create table old_1 (a int)")

    assert run(*diff(empty_database, "--ignore", "public.t.a.default")).exit_code == 1
    result = run(*diff(empty_database, "--ignore", "public.t.a.default", "--ignore", "table public.old_*"))
    assert (result.exit_code, result.stdout) == (0, "identical\n")


def test_only_the_listed_schemas_are_compared(empty_database: str, schema: Path) -> None:
    schema.write_text("create schema app;\ncreate table app.t (a int);\n")
    make(empty_database, "create schema app", "create table app.t (a int)", "create table u (a int)")

    assert run(*diff(empty_database)).exit_code == 1
    assert run(*diff(empty_database, "--schemas", "app")).exit_code == 0
    assert run(*diff(empty_database, "--schemas", "app, public")).exit_code == 1
    assert "no schema" not in complaint(run(*diff(empty_database, "--schemas", "ap")), 2)
    assert "public,app" in complaint(run(*diff(empty_database, "--schemas", "app,")), 2)
    assert "--schema" in complaint(run("diff-schema", "--dsn", empty_database, "--schemas", "app"), 2)


def test_uncompared_kind_is_exit_3_unless_ignored(
    empty_database: str, schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_with_more(*arguments: Any, **options: Any) -> Catalog:
        return replace(read_catalog(*arguments, **options), uncompared={"things to come": 1})

    monkeypatch.setattr("pendingctl.schema_diff.diff.read_catalog", read_with_more)
    schema.write_text(DRIFTED)
    make(empty_database, DRIFTED)

    result = run(*diff(empty_database))
    assert (result.exit_code, result.stdout) == (3, "no difference in what was compared\n")
    assert result.stderr == "note: things to come are not compared (schema.sql has 1, the database 1)\n"
    assert run(*diff(empty_database, "--ignore", "things *")).exit_code == 0

    make(empty_database, "drop index i")
    drifted = run(*diff(empty_database))
    assert drifted.exit_code == 1
    assert "things to come" in drifted.stderr


def test_github_annotations_name_the_lines(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)
    make(empty_database, DRIFTED, "alter table t alter a set default 6")
    annotation = "::error file=schema.sql,line=1::column public.t.a default: schema.sql says 5 / database says 6\n"

    assert run(*diff(empty_database, "--github")).stdout == annotation + "differences: 1\n"
    as_json = run(*diff(empty_database, "--github", "-o", "json"))
    assert as_json.stderr == annotation
    assert json.loads(as_json.stdout)["identical"] is False


def test_github_annotation_names_the_line_that_does_not_load(empty_database: str, schema: Path) -> None:
    schema.write_text("select 1;\ncreate tabel t;\n")

    result = run(*diff(empty_database, "--github"))

    assert result.exit_code == 2
    assert result.stderr.startswith('::error file=schema.sql,line=2::syntax error at or near "tabel"\nerror: ')


def test_line_breaks_and_control_characters_in_values_are_escaped(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a text default 'x');\n")
    make(empty_database, "create table t (a text default E'a\\n::error::b\\x1b[31m[red]')")

    result = run(*diff(empty_database))

    assert result.stdout.count("\n") == 2
    assert "\x1b" not in result.stdout
    assert "[red]" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dsn", "", "--migrations", "."), "--dsn and --migrations"),
        (("--migrations", "nowhere"), "nowhere is not a folder of migrations"),
        (("--migrations", ".", "--scratch", "database"), "give --dsn"),
        (("--migrations", ".", "--scratch", ""), "--scratch is empty"),
        (("--migrations", ".", "--scratch", "postgresql://h:x@y@z/d"), "malformed connection string"),
    ],
)
def test_contradictory_options_are_refused(schema: Path, options: tuple[str, ...], message: str) -> None:
    schema.write_text("")
    assert message in complaint(run("diff-schema", "--schema", "schema.sql", *options), 2)
