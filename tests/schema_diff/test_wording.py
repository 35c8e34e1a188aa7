"""The text of differences, and GitHub's annotations."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.schema_diff import Difference, SchemaDiff, Uncompared, report


def verdict(*differences: Difference) -> SchemaDiff:
    return SchemaDiff(Path("schema.sql"), differences, ())


def printed(*differences: Difference) -> list[str]:
    return [f"{report.place('s.sql', line.line)}{line.text('s.sql')}" for line in report.lines(verdict(*differences))]


def test_line_has_the_values_of_both_sides() -> None:
    assert printed(Difference("column", "public.t.a", "default", "5", "6", 2)) == [
        "s.sql:2: column public.t.a default: s.sql says 5 / database says 6"
    ]
    assert printed(Difference("index", "public.i", "predicate", None, "(a > 0)", None)) == [
        "s.sql: index public.i predicate: s.sql says nothing / database says (a > 0)"
    ]


def test_only_the_first_differing_line_of_two_texts_is_shown() -> None:
    assert printed(Difference("function", "public.f()", "body", "begin\n  one;\nend", "begin\n  two;\nend", 2)) == [
        "s.sql:2: function public.f() body line 2: s.sql says   one; / database says   two;"
    ]
    assert printed(Difference("function", "public.f()", "body", "begin\nend\n;", "begin\nend", 2)) == [
        "s.sql:2: function public.f() body line 3: s.sql says ; / database says nothing"
    ]
    assert printed(Difference("view", "public.v", "options", "a\nb", None, 2)) == [
        "s.sql:2: view public.v options: s.sql says a\nb / database says nothing"
    ]


def test_folded_objects_are_counted_on_the_line() -> None:
    missing = Difference(
        "table", "public.t", "presence", "table", None, 1, {"column": 3, "index": 2, "policy": 2, "constraint": 1}
    )
    assert printed(missing) == [
        "s.sql:1: table public.t presence: s.sql says table with 3 columns, 2 indexes, 2 policies, 1 constraint / "
        "database says nothing"
    ]


def test_likely_rename_is_one_line() -> None:
    old = Difference("column", "public.t.a", "presence", "text", None, 3, renamed_to="public.t.b")
    new = Difference("column", "public.t.b", "presence", None, "text", 1, renamed_from="public.t.a")
    assert printed(old, new) == [
        "s.sql:3: column public.t.a name: s.sql says public.t.a / database says public.t.b, likely renamed"
    ]


@pytest.mark.parametrize(
    ("file", "line", "message", "command"),
    [
        (Path("schema.sql"), 12, "a: b, c", "::error file=schema.sql,line=12::a: b, c"),
        (Path("db/s,1:2.sql"), None, "x", "::error file=db/s%2C1%3A2.sql::x"),
        (Path("s.sql"), 1, "100%\r\n::warning::x", "::error file=s.sql,line=1::100%25%0D%0A::warning::x"),
        (Path.cwd() / "db" / "s.sql", 1, "x", "::error file=db/s.sql,line=1::x"),
        (Path("/nowhere/s.sql"), 1, "x", "::error file=/nowhere/s.sql,line=1::x"),
    ],
)
def test_annotation_is_escaped_for_the_runner(file: Path, line: int | None, message: str, command: str) -> None:
    assert report.annotation("error", message, file, line) == command


def test_annotations_include_drift_and_what_was_not_compared() -> None:
    compared = SchemaDiff(
        Path("s.sql"),
        (Difference("column", "public.t.a", "default", "5", "6", 2),),
        (),
        (Uncompared("rules", "rules are not compared"),),
    )
    assert list(report.github(compared, Path("db/s.sql"))) == [
        "::error file=db/s.sql,line=2::column public.t.a default: s.sql says 5 / database says 6",
        "::warning file=db/s.sql::rules are not compared",
    ]
