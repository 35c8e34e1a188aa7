"""Generated or harmful files: their statements are skipped, refused with the line, or loaded without harm."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.schema_diff import diff_schema
from pendingctl.schema_diff.parse import read_script


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


@pytest.mark.parametrize(
    "statement",
    [
        "copy t to '/tmp/x'",
        "copy t from '/etc/passwd'",
        "copy t from program 'id'",
        "copy (select 1) to program 'id'",
        "load 'x'",
        "create database x",
        "drop database x",
        "alter database x set work_mem = 1",
        "alter database x rename to y",
        "alter database x owner to y",
        "alter database x with connection limit 1",
        "alter role x rename to y",
        "alter system set work_mem = 1",
        "create tablespace x location '/tmp'",
        "drop tablespace x",
        "alter tablespace x rename to y",
        "alter tablespace x set (seq_page_cost = 1)",
        "alter table all in tablespace x set tablespace y",
        "do language plpython3u 'x'",
        "do $$ x $$ language plperlu",
        "import foreign schema x from server y into z",
    ],
)
def test_statement_that_reaches_outside_is_refused(schema: Path, statement: str) -> None:
    schema.write_text(f"create table t (a int);\n\n{statement};\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:3:1: .* reaches outside the scratch database"):
        read_script(schema)


def test_the_same_words_inside_a_string_are_allowed(schema: Path) -> None:
    schema.write_text(
        "create table t (a text default 'drop database x; \\connect y');\n"
        "-- alter system set x = 1;\n"
        "create function f() returns text language sql as $$ select '\n\\restrict k\n\\connect y\n' $$;\n"
    )

    script = read_script(schema)

    assert [statement.kind for statement in script.statements] == ["CreateStmt", "CreateFunctionStmt"]
    assert script.notes == ()


@pytest.mark.parametrize(
    "line",
    ["\\connect bot", "\\c bot", "\\set ON_ERROR_STOP on", "\\echo done", "\\encoding UTF8", "\\pset pager off"],
)
def test_harmless_psql_commands_are_skipped_with_a_note(schema: Path, line: str) -> None:
    schema.write_text(f"{line}\ncreate table t (a int);\n")

    script = read_script(schema)

    assert len(script.statements) == 1
    (note,) = script.notes
    assert note.startswith("line 1: \\")


@pytest.mark.parametrize("line", ["\\i", "\\! id", "\\copy t from 'x'", "\\gexec", "\\encoding LATIN1"])
def test_other_psql_commands_are_refused(schema: Path, line: str) -> None:
    schema.write_text(f"create table t (a int);\n{line}\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:2:1: .* is a command of psql"):
        read_script(schema)


@pytest.mark.parametrize(
    "statement",
    ["grant connect on database x to y", "comment on database x is 'y'", "comment on role x is 'y'"],
)
def test_statement_on_a_shared_object_is_skipped_with_a_note(schema: Path, statement: str) -> None:
    schema.write_text(f"create table t (a int);\n{statement};\n")

    script = read_script(schema)

    assert [each.kind for each in script.statements] == ["CreateStmt"]
    assert script.notes[0].startswith("line 2: a statement on a ")


def test_rolled_back_statements_have_no_effect(empty_database: str, schema: Path) -> None:
    schema.write_text(
        "begin;\ncreate table t (a int);\nsavepoint s;\ncreate table gone (a int);\nrollback to s;\ncommit;\n"
        "begin;\ncreate table gone (a int);\nrollback;\n"
    )
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("create table t (a int)")

    assert diff_schema(empty_database, schema, scratch="database").identical


@pytest.mark.parametrize("text", ["", "\n\n", "-- nothing\n", "/* nothing */", ";;\n", "\ufeff"])
def test_empty_file_is_an_empty_schema(empty_database: str, schema: Path, text: str) -> None:
    schema.write_text(text, encoding="utf-8")
    assert diff_schema(empty_database, schema, scratch="database").differences == ()

    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("create table t (a int)")
    (found,) = diff_schema(empty_database, schema, scratch="database").differences
    assert (found.object, found.expected, found.line) == ("public.t", None, None)


def test_missing_file_is_refused(schema: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file or directory"):
        read_script(schema)


def test_file_of_five_megabytes_is_read_in_seconds(empty_database: str, schema: Path) -> None:
    rows = "".join(f"{n}\tsome text that is long enough\n" for n in range(60_000))
    body = "select 1;\n" * 100
    functions = "".join(f"create function f{n}() returns int language sql as $$ {body} $$;\n" for n in range(2_500))
    schema.write_text(
        f"create table t (a int, b text);\nCOPY public.t (a, b) FROM stdin;\n{rows}\\.\n{functions}create tabel u;\n"
    )
    assert schema.stat().st_size > 4_500_000
    last = schema.read_text().count("\n")
    # Of this process alone, however busy the machine is.
    began = time.process_time()

    with pytest.raises(InvalidInput, match=rf"schema\.sql:{last}:8: syntax error"):
        diff_schema(empty_database, schema, scratch="database")
    schema.write_text(schema.read_text().replace("create tabel u;\n", "create table u (a int);\n"))
    found = diff_schema(empty_database, schema, scratch="database")

    assert {("public.t", 1), ("public.u", last)} <= {(each.object, each.line) for each in found.differences}
    assert time.process_time() - began < 30
