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
        **{"line": 1, "file": "schema.sql", "folded": folded, "renamed_to": None, "renamed_from": None},
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


def test_github_annotations_name_the_lines_and_stand_beside_them(empty_database: str, schema: Path) -> None:
    schema.write_text(DRIFTED)
    make(empty_database, DRIFTED, "alter table t alter a set default 6")
    sentence = "column public.t.a default: schema.sql says 5 / database says 6\n"

    shown = run(*diff(empty_database, "--github"))
    assert shown.stdout == f"::error file=schema.sql,line=1::{sentence}schema.sql:1: {sentence}differences: 1\n"
    as_json = run(*diff(empty_database, "--github", "-o", "json"))
    assert as_json.stderr == f"::error file=schema.sql,line=1::{sentence}"
    assert json.loads(as_json.stdout)["identical"] is False


def test_github_shows_ten_annotations_and_every_line(empty_database: str, schema: Path) -> None:
    columns = [f"c{number} int" for number in range(12)]
    schema.write_text(f"create table t (\n{', '.join(columns)}\n);\ncreate table u (a int);\n")
    make(empty_database, f"create table t ({', '.join(columns).replace('int', 'bigint')})")

    shown = run(*diff(empty_database, "--github")).stdout.splitlines()

    assert shown[0].startswith("::error file=schema.sql,line=4::table public.u presence: ")
    assert sum(line.startswith("::error ") for line in shown) == 10
    assert shown[10].startswith("::notice::3 more of 13 differences")
    assert sum(line.startswith("schema.sql:") for line in shown) == 13
    assert shown[-1] == "differences: 13"


def test_github_annotation_has_the_path_from_the_repositorys_root(
    empty_database: str, schema: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    folder = schema.parent / "service" / "db"
    folder.mkdir(parents=True)
    (schema.parent / ".git").mkdir()
    (folder / "schema.sql").write_text(DRIFTED)
    monkeypatch.chdir(folder)

    assert "::error file=service/db/schema.sql,line=1::" in run(*diff(empty_database, "--github")).stdout

    (schema.parent / ".git").rmdir()
    assert "::error file=schema.sql,line=1::" in run(*diff(empty_database, "--github")).stdout
    monkeypatch.setenv("GITHUB_WORKSPACE", str(schema.parent))
    assert "::error file=service/db/schema.sql,line=1::" in run(*diff(empty_database, "--github")).stdout
    (folder / "schema.sql").write_text("create tabel t;\n")
    assert run(*diff(empty_database, "--github")).stderr.startswith("::error file=service/db/schema.sql,line=1::")


def test_github_annotation_names_the_line_that_does_not_load(empty_database: str, schema: Path) -> None:
    schema.write_text("select 1;\ncreate tabel t;\n")

    result = run(*diff(empty_database, "--github"))

    assert result.exit_code == 2
    assert result.stderr.startswith('::error file=schema.sql,line=2::syntax error at or near "tabel"\nerror: ')


def test_github_annotates_an_error_without_a_line(schema: Path) -> None:
    schema.write_text("")

    result = run("diff-schema", "--schema", "schema.sql", "--migrations", "nowhere", "--github")

    assert result.exit_code == 2
    assert result.stderr.startswith("::error::nowhere is not a folder of migrations\nerror: nowhere")


def test_several_files_and_folders_are_one_schema(empty_database: str, schema: Path) -> None:
    tables = schema.parent / "tables"
    tables.mkdir()
    schema.write_text("create schema app;\n\\ir types.sql\n")
    (schema.parent / "types.sql").write_text("create domain app.amount numeric;\n")
    (tables / "1-customer.sql").write_text("\nset search_path = app;\ncreate table customer (id int, name text);\n")
    (tables / "2-bill.sql").write_text("create table bill (\n  total amount\n);\n")
    make(
        empty_database,
        "create schema app",
        "create domain app.amount numeric(9, 2)",
        "create table app.customer (id int, name varchar(9))",
        "create table app.bill (total text)",
        "create table public.extra ()",
    )

    shown = run(*diff(empty_database, "--schema", "tables"))

    assert shown.stdout.splitlines() == [
        "types.sql:1: domain app.amount type: types.sql says numeric / database says numeric(9,2)",
        "tables/2-bill.sql:2: column app.bill.total type: 2-bill.sql says app.amount / database says text",
        "tables/1-customer.sql:3: column app.customer.name type: 1-customer.sql says text / "
        "database says character varying(9)",
        "table public.extra presence: the files say nothing / database says table",
        "differences: 4",
    ]
    found = document(run(*diff(empty_database, "--schema", "tables", "-o", "json")))["differences"]
    assert [(each["file"], each["line"]) for each in found] == [
        ("types.sql", 1),
        ("tables/2-bill.sql", 2),
        ("tables/1-customer.sql", 3),
        (None, None),
    ]


def test_error_in_an_included_file_has_its_line(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\n\\ir more.sql\n")
    (schema.parent / "more.sql").write_text("\n\nalter table u add b int;\n")

    result = run(*diff(empty_database, "--github"))

    assert result.exit_code == 2
    assert result.stderr.startswith(
        '::error file=more.sql,line=3::does not load: relation "u" does not exist\nerror: more.sql:3:1: does not load'
    )


def test_migrations_say_what_differs(schema: Path) -> None:
    folder = schema.parent / "migrations"
    folder.mkdir()
    (folder / "0001-a.sql").write_text("create table t (a int);\n")
    schema.write_text("create table t (a bigint);\n")

    result = run("diff-schema", "--schema", "schema.sql", "--migrations", "migrations", "--github")

    sentence = "column public.t.a type: schema.sql says bigint / migrations say integer\n"
    assert result.stdout == f"::error file=schema.sql,line=1::{sentence}schema.sql:1: {sentence}differences: 1\n"


def test_serial_against_identity_is_one_line(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "create table t (id bigint generated always as identity);\n"
        "create table p (id serial, k int) partition by list (k);\n"
        "create table p1 partition of p for values in (1);\n"
    )
    make(
        empty_database,
        "create sequence ids",
        "create table t (id bigint not null default nextval('ids'))",
        "alter sequence ids owned by t.id",
        "create table p (id int generated by default as identity, k int) partition by list (k)",
        "create table p1 partition of p for values in (1)",
    )

    assert run(*diff(empty_database)).stdout.splitlines() == [
        "schema.sql:2: column public.p.id identity: schema.sql says serial / database says by default, and so 1 column",
        "schema.sql:1: column public.t.id identity: schema.sql says always / database says serial (public.ids)",
        "differences: 2",
    ]


def test_partitions_are_left_out_on_request(empty_database: str, schema: Path) -> None:
    parent = "create table event (at date, id serial, primary key (at, id)) partition by range (at)"
    day = "create table event_{0} partition of event for values from ('2026-01-{0}') to ('2026-01-{1}')"
    schema.write_text(f"{parent};\n{day.format('01', '02')};\n")
    make(
        empty_database,
        parent,
        day.format("02", "03") + " partition by list (id)",
        "create table event_02_1 partition of event_02 for values in (1)",
        "create index on event_02_1 (id)",
        "alter table event_02_1 set (autovacuum_enabled = off)",
        "create table event_default partition of event default",
        "create table other ()",
    )

    assert run(*diff(empty_database)).exit_code == 1
    shown = run(*diff(empty_database, "--without", "partitions"))
    assert shown.stdout.splitlines() == [
        "schema.sql: table public.other presence: schema.sql says nothing / database says table",
        "differences: 1",
    ]
    make(empty_database, "drop table other")
    assert run(*diff(empty_database, "--without", "partitions")).stdout == "identical\n"


def test_bookkeeping_of_other_migration_tools_is_left_out_on_request(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\n")
    make(
        empty_database,
        "create table t (a int)",
        "create table alembic_version (version_num varchar(32) primary key)",
        "create table django_migrations (id bigint generated by default as identity primary key)",
        "create schema sqitch",
        "create table sqitch.changes (change_id text primary key)",
    )

    assert run(*diff(empty_database)).exit_code == 1
    assert run(*diff(empty_database, "--without", "bookkeeping")).stdout == "identical\n"


def test_replication_is_left_out_on_request(empty_database: str, schema: Path) -> None:
    schema.write_text("create table t (a int);\n")
    make(empty_database, "create table t (a int)", "create publication dbz_publication for table t")

    assert run(*diff(empty_database)).exit_code != 0
    assert run(*diff(empty_database, "--without", "replication")).stdout == "identical\n"


def test_unknown_group_is_refused(schema: Path) -> None:
    schema.write_text("")

    said = complaint(run("diff-schema", "--schema", "schema.sql", "--migrations", ".", "--without", "views"), 2)

    assert "partitions, bookkeeping, replication, not views" in said


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
