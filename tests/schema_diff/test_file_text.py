"""Encodings and line ends: of the file, of the database, and of the user's environment."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.errors import InvalidInput
from pendingctl.schema import migrations
from pendingctl.schema_diff import diff_migrations, diff_schema
from pendingctl.schema_diff.parse import read_script

SCHEMA = r"""
create table t (a text default 'ü\d' check (a <> 'ß'));
comment on table t is 'wörds \ back';
create function f() returns text language plpgsql as $$
begin
  return 'ä\n';
end
$$;
create function tr() returns trigger language plpgsql as 'begin return new; end';
create trigger x before update on t for each row when (old.a <> new.a) execute function tr('ö', 'b\c');
"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


@pytest.fixture(params=["UTF8", "LATIN1", "SQL_ASCII"])
def encoded(server_dsn: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database in each encoding."""
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    options = sql.SQL("template template0 encoding {} lc_collate 'C' lc_ctype 'C'").format(request.param)
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} {}").format(sql.Identifier(name), options))
        yield make_conninfo(server_dsn, dbname=name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def make(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True, client_encoding="UTF8") as connection:
        connection.execute(text.encode())


@pytest.mark.parametrize("conforming", ["on", "off"])
@pytest.mark.parametrize("client", ["", "LATIN1", "SQL_ASCII"])
def test_texts_are_equal_whatever_the_encodings(
    encoded: str, schema: Path, client: str, conforming: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = make_conninfo(encoded, options=f"-c standard_conforming_strings={conforming}")
    make(dsn, SCHEMA)
    schema.write_text(SCHEMA, encoding="utf-8")
    if client:
        monkeypatch.setenv("PGCLIENTENCODING", client)

    for scratch in ("local", "database"):
        found = diff_schema(dsn, schema, scratch=scratch)
        assert (found.differences, found.notes, found.uncompared) == ((), (), ())


def test_a_database_without_an_encoding_may_hold_bytes_of_any(encoded: str, schema: Path) -> None:
    make(encoded, "create table t (a int);")
    with psycopg.connect(encoded, autocommit=True, client_encoding="LATIN1") as connection:
        connection.execute("comment on table t is 'wörds'".encode("latin-1"))
    schema.write_text("create table t (a int);\ncomment on table t is 'wörds';\n", encoding="utf-8")

    found = diff_schema(encoded, schema, scratch="local").differences

    with psycopg.connect(encoded) as connection:
        has_encoding = connection.info.parameter_status("server_encoding") != "SQL_ASCII"
    assert [each.actual for each in found] == ([] if has_encoding else ["w\\xf6rds"])


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ("set client_encoding = 'LATIN1';", "latin-1"),
        ("SET client_encoding TO 'WIN1252';", "cp1252"),
        ("set names 'LATIN9';", "iso8859-15"),
        ("set client_encoding = 'UTF8';", "utf-8"),
        ("set client_encoding = 'LATIN1';", "utf-8"),
    ],
)
def test_a_file_is_read_in_the_encoding_that_it_declares(given: str, schema: Path, declared: str, codec: str) -> None:
    text = "create table t (a text default 'ü');\ncomment on table t is 'wörds';\n"
    make(given, text)
    schema.write_text(f"{declared}\n{text}", encoding=codec)

    found = diff_schema(given, schema, scratch="database")

    assert (found.differences, found.notes) == ((), ())


def test_an_encoding_that_nobody_knows_is_no_excuse(schema: Path, given: str) -> None:
    schema.write_bytes(b"set client_encoding = 'NOSUCH';\n-- \xe9\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:2: not UTF-8"):
        diff_schema(given, schema)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("others_line_end", ["\n", "\r\n", "\r"])
def test_line_ends_of_a_checkout_are_no_difference(
    tmp_path: Path, schema: Path, line_end: str, others_line_end: str
) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    schema.write_bytes(SCHEMA.replace("\n", line_end).encode())
    (folder / "0001_all.sql").write_bytes(SCHEMA.replace("\n", others_line_end).encode())

    found = diff_migrations(folder, schema)

    assert (found.differences, found.notes, found.uncompared) == ((), (), ())


def test_bodies_that_another_checkout_has_created_are_equal(given: str, schema: Path) -> None:
    body = "create function f() returns int language plpgsql as $$\nbegin\n  return 1;\nend\n$$;\n"
    comment = "comment on function f() is 'two\nlines';\n"
    make(given, (body + comment).replace("\n", "\r\n"))

    for text in (body + comment, (body + comment).replace("\n", "\r\n"), body.replace("\n", "\r\n") + comment):
        schema.write_bytes(text.encode())
        assert diff_schema(given, schema, scratch="database").identical


def test_a_carriage_return_that_somebody_wrote_is_compared(given: str, schema: Path, tmp_path: Path) -> None:
    text = "create table t (a text default 'x\ry\r\nz');\n-- one line\n"
    make(given, text)
    schema.write_bytes(text.encode())
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_all.sql").write_bytes(text.encode())
    assert diff_schema(given, schema, scratch="database").identical
    assert diff_migrations(folder, schema).identical

    schema.write_bytes(text.replace("\r\n", "\n").encode())

    (found,) = diff_schema(given, schema, scratch="database").differences
    assert found.attribute == "default"


def test_line_numbers_are_those_of_the_file(given: str, schema: Path) -> None:
    schema.write_bytes(b"select 1;\r\n\r\ncreate tabel t;\r\n")

    with pytest.raises(InvalidInput, match=r"schema\.sql:3:8: syntax error"):
        diff_schema(given, schema)


def test_a_search_path_without_any_schema_is_named(given: str) -> None:
    migrations.apply(given)

    with pytest.raises(InvalidInput, match=r"no schema of the search_path \(nowhere\) is there"):
        diff_schema(make_conninfo(given, options="-c search_path=nowhere"))


@pytest.mark.parametrize(
    "statement",
    [
        r"create table t (a text default 'it\'s');",
        r"comment on table t is 'a', 'it\' and';",
        "comment on table t is 'it\\'';\ncreate table u (a int);",
        "insert into t values ('it\\'', 'x',\n'y');",
    ],
)
def test_backslash_before_a_quote_is_refused_with_what_to_write(schema: Path, statement: str) -> None:
    schema.write_text(f"set standard_conforming_strings = off;\n{statement}\n")

    with pytest.raises(InvalidInput) as refused:
        read_script(schema)

    complaint, excerpt, caret = str(refused.value).splitlines()
    assert re.match(r".*schema\.sql:2:\d+: (syntax error|unterminated quoted string) at or near \".{,60}", complaint)
    assert complaint.endswith(r"""; write E'it\'s' or 'it''s', since a backslash in '…' is read as a character""")
    assert (excerpt.strip(), caret.strip()) == (statement.splitlines()[0], "^")


def test_other_mistakes_say_nothing_of_backslashes(schema: Path) -> None:
    for statement in (r"comment on t is E'it\'s' oops;", "select 'x;", "select 'x" + 999 * "y"):
        schema.write_text(f"{statement}\nselect 1;\n")
        with pytest.raises(InvalidInput) as refused:
            read_script(schema)
        assert "backslash" not in str(refused.value)
        assert len(str(refused.value).splitlines()) == 3
