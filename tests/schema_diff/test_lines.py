"""The lines of a file at which its objects are found: where they are created to stay, in the schema that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.schema_diff.locations import Locations
from pendingctl.schema_diff.model import CatalogObject
from pendingctl.schema_diff.parse import read_script

APP = "create schema app;\n"
IN_APP = f"{APP}set search_path = app;\n"


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    return tmp_path / "schema.sql"


def line(schema: Path, text: str, kind: str, name: str) -> int | None:
    schema.write_text(text)
    parts = tuple(name.split("."))
    return Locations(read_script(schema)).line(CatalogObject(kind, parts, (), kind, {}), True, "presence")


@pytest.mark.parametrize(
    ("text", "public", "app"),
    [
        (f"{APP}begin;\nset local search_path = app;\ncreate table t ();\ncommit;\ncreate table t ();", 6, 4),
        (f"{APP}begin;\nset search_path = app;\nset local search_path = public;\ncommit;\ncreate table t ();", None, 6),
        (f"{APP}begin;\nset local search_path = app;\ncommit and chain;\ncreate table t ();\ncommit;", 5, None),
        (f"{APP}set local search_path = app;\ncreate table t ();", 3, None),
        (f"{APP}begin;\nset search_path = app;\nrollback;\ncreate table t ();", 5, None),
        (f"{APP}begin;\nsavepoint a;\nset search_path = app;\nrollback to a;\ncreate table t ();\nend;", 6, None),
        (f"{APP}select pg_catalog.set_config('search_path', 'app, public', false);\ncreate table t ();", None, 3),
        (f"{APP}begin;\nselect set_config('search_path', 'app', true);\nend;\ncreate table t ();", 5, None),
        (f"{APP}set search_path = nosuch, app;\ncreate table t ();", None, 3),
        (f'{APP}set search_path = "$user", public, app;\ncreate table t ();', 3, None),
        (f"{IN_APP}reset search_path;\ncreate table t ();", 4, None),
        (f"{IN_APP}reset all;\ncreate table t ();", 4, None),
        (f"{IN_APP}discard all;\ncreate table t ();", 4, None),
        (f"{APP}alter schema app rename to old;\n{IN_APP}create table t ();", None, 5),
    ],
)
def test_schema_is_that_of_the_search_path(schema: Path, text: str, public: int | None, app: int | None) -> None:
    found = tuple(line(schema, text, "table", f"{name}.t") for name in ("public", "app"))

    assert found == (public, app)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("begin;\ncreate table t ();\nrollback;\ncreate table t ();", 4),
        ("begin;\nsavepoint a;\ncreate table t ();\nrollback to a;\ncreate table t ();\ncommit;", 5),
        ("begin;\nsavepoint a;\ncreate table t ();\nrelease a;\ncommit;", 3),
        ("begin;\nsavepoint a;\nsavepoint b;\ncreate table t ();\nrollback to a;\ncommit;", None),
        ("begin;\nsavepoint a;\nsavepoint a;\nrollback to a;\ncreate table t ();\nrollback to a;\ncommit;", None),
        ("create table t ();\nbegin;\nalter table t rename to u;\n", 1),
        ("begin;\nrollback and chain;\ncreate table t ();\nrollback;", None),
        ("create temp table t ();\ncreate table public.t ();", 2),
    ],
)
def test_what_is_rolled_back_or_temporary_has_no_line(schema: Path, text: str, expected: int | None) -> None:
    assert line(schema, text, "table", "public.t") == expected


@pytest.mark.parametrize(
    ("kind", "name", "created", "drop"),
    [
        ("table", "public.t", "create table t ();", "drop table t;"),
        ("table", "app.t", "create schema app; create table app.t ();", "drop schema app cascade;"),
        ("column", "public.t.a", "create table t (a int);", "drop table t;"),
        ("index", "public.i", "create table t (a int); create index i on t (a);", "drop table t;"),
        ("index", "public.i", "create table if not exists t (a int); create index i on t (a);", "drop index i;"),
        ("view", "public.v", "create view v as select 1;", "drop view if exists v;"),
        ("sequence", "public.s", "create sequence s;", "drop sequence public.s;"),
        ("function", "public.f.(integer)", "create function f(int) returns int return 1;", "drop function f(int);"),
        ("function", "public.f.(integer)", "create function f(int) returns int return 1;", "drop function f;"),
        ("enum", "public.e", "create type e as enum ('a');", "drop type e;"),
        (
            "trigger",
            "public.t.tr",
            "create trigger tr before insert on t execute procedure f();",
            "drop trigger tr on t;",
        ),
    ],
)
def test_what_is_dropped_and_created_again_has_the_last_line(
    schema: Path, kind: str, name: str, created: str, drop: str
) -> None:
    assert line(schema, f"{created}\n{drop}\n{created}\n", kind, name) == 3
