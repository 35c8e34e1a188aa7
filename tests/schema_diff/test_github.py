"""The annotations of a pull request."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.schema_diff import Difference, SchemaDiff, Uncompared, github


def changed(name: str, attribute: str = "type") -> Difference:
    return Difference("column", f"public.t.{name}", attribute, "1", "2", 3, file="s.sql")


def commands(*differences: Difference, uncompared: int = 0) -> list[str]:
    left = tuple(Uncompared(f"kind {number}", f"kind {number} is not compared") for number in range(uncompared))
    compared = SchemaDiff((Path("s.sql"),), differences, (), left)
    return list(github.workflow_commands(compared, Path.cwd()))


@pytest.mark.parametrize(
    ("file", "line", "message", "command"),
    [
        (Path("schema.sql"), 12, "a: b, c", "::error file=schema.sql,line=12::a: b, c"),
        (Path("db/s,1:2.sql"), None, "x", "::error file=db/s%2C1%3A2.sql::x"),
        (Path("s.sql"), 1, "100%\r\n::warning::x", "::error file=s.sql,line=1::100%25%0D%0A::warning::x"),
        (Path.cwd() / "db" / "s.sql", 1, "x", "::error file=db/s.sql,line=1::x"),
        (Path("/nowhere/s.sql"), 1, "x", "::error file=/nowhere/s.sql,line=1::x"),
        (None, None, "x", "::error::x"),
    ],
)
def test_annotation_is_escaped_for_the_runner(file: Path | None, line: int | None, message: str, command: str) -> None:
    assert github.annotation("error", message, file, line, Path.cwd()) == command


def test_annotations_include_drift_and_what_was_not_compared() -> None:
    assert commands(changed("a"), uncompared=1) == [
        "::error file=s.sql,line=3::column public.t.a type: s.sql says 1 / database says 2",
        "::warning file=s.sql::kind 0 is not compared",
    ]


def test_ten_annotations_have_no_notice() -> None:
    assert len(commands(*(changed(f"c{number}") for number in range(10)))) == 10


def test_annotations_beyond_the_tenth_are_counted() -> None:
    shown = commands(*(changed(f"c{number}") for number in range(13)), uncompared=12)

    errors = [each for each in shown if each.startswith("::error ")]
    warnings = [each for each in shown if each.startswith("::warning ")]
    notices = [each for each in shown if each.startswith("::notice::")]
    assert (len(errors), len(warnings)) == (10, 10)
    assert [notice.partition(":: ")[2] or notice for notice in notices] == [
        "::notice::3 more of 13 differences: GitHub shows 10, the log of this step has all of them",
        "::notice::2 more of 12 kinds of objects that are not compared: GitHub shows 10, the log of this step has all "
        "of them",
    ]


def test_the_worst_come_first() -> None:
    comment, type_ = changed("a", "comment"), changed("b")
    lacking = Difference("table", "public.u", "presence", "table", None, 9, file="s.sql")
    unprotected = Difference("table", "public.t", "row_security", "on", "off", 2, file="s.sql")

    shown = commands(*(changed(f"c{number}", "comment") for number in range(12)), comment, type_, lacking, unprotected)

    assert [each.partition("::")[2].partition("::")[2].partition(":")[0] for each in shown[:4]] == [
        "table public.u presence",
        "table public.t row_security",
        "column public.t.b type",
        "column public.t.c0 comment",
    ]


def test_folder_and_own_schema_are_no_file_to_annotate(tmp_path: Path) -> None:
    extra = Difference("table", "public.u", "presence", None, "table", None)
    for given in ((tmp_path,), (), (Path("a.sql"), Path("b.sql"))):
        (command,) = github.workflow_commands(SchemaDiff(given, (extra,), ()), tmp_path)
        assert command.startswith("::error::table public.u presence: ")


def test_root_is_the_nearest_repository_or_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "repository" / "service" / "db" / "schema.sql"
    file.parent.mkdir(parents=True)
    monkeypatch.chdir(file.parent)

    assert github.repository_root(file, None) == file.parent
    assert github.repository_root(file, tmp_path) == tmp_path
    # A worktree and a submodule have a file of that name.
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere\n")
    assert github.repository_root(Path("schema.sql"), tmp_path) == tmp_path / "repository"
    assert github.annotation("error", "x", Path("schema.sql"), 1, tmp_path / "repository") == (
        "::error file=service/db/schema.sql,line=1::x"
    )
