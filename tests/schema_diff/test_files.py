"""A schema in several files: those named, those of a folder, and those that they include."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.schema_diff import files
from pendingctl.schema_diff.parse import read_script


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "db"
    made.mkdir()
    monkeypatch.chdir(tmp_path)
    return made


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def places(*given: str) -> list[str]:
    """The file and the line in which each statement begins."""
    script = read_script(*map(Path, given))
    found = []
    for statement in script.statements:
        offset = statement.offset + len(statement.text) - len(statement.text.lstrip())
        file, line = script.source.place(script.source.line(offset))
        found.append(f"{file}:{line} {statement.text.strip()}")
    return found


def test_files_are_read_in_the_given_order(folder: Path) -> None:
    write(folder, a="create table a ();\n", b="\ncreate table b ()")

    assert places("db/b.sql", "db/a.sql") == ["db/b.sql:2 create table b ()", "db/a.sql:1 create table a ()"]


def test_folder_is_read_in_the_order_of_names(folder: Path) -> None:
    write(folder, b="select 2", a="select 1; -- no end of line", c__a="select 3", d="select 4")
    write(folder, **{".hidden": "select 5"})
    (folder / "notes.txt").write_text("no SQL")

    assert places("db") == [
        "db/a.sql:1 select 1",
        "db/b.sql:1 select 2",
        "db/c/a.sql:1 select 3",
        "db/d.sql:1 select 4",
    ]


def test_folder_without_files_is_refused(folder: Path) -> None:
    (folder / "notes.txt").write_text("no SQL")

    with pytest.raises(InvalidInput, match=r"db is a folder without \.sql files"):
        places("db")


@pytest.mark.parametrize(
    "command",
    [
        "\\ir tables/t.sql",
        "\\include_relative 'tables/t.sql'",
        "\\i db/tables/t.sql",
        "\\i tables/t.sql;",
        "\\include tables/../tables/t.sql -- the tables",
        "\\ir tables/t.sql\r",
    ],
)
def test_files_are_included(folder: Path, command: str) -> None:
    write(folder, tables__t="\n\ncreate table t ();\n")
    write(folder, s=f"select 1;\n{command}\nselect 2;\n\nselect 3;\n")

    assert places("db/s.sql") == [
        "db/s.sql:1 select 1",
        "db/tables/t.sql:3 create table t ()",
        "db/s.sql:3 select 2",
        "db/s.sql:5 select 3",
    ]


def test_included_files_include_others_and_may_come_twice(folder: Path) -> None:
    write(folder, s="\\ir a/a.sql\n\\ir b.sql\n", a__a="\\ir ../b.sql\nselect 1", b="select 2")

    assert places("db/s.sql") == ["db/b.sql:1 select 2", "db/a/a.sql:2 select 1", "db/b.sql:1 select 2"]


def test_file_that_another_one_of_the_folder_includes_is_read_once(folder: Path) -> None:
    write(folder, schema="\\ir tables/t.sql\n", tables__t="create table t ();\n")

    assert places("db") == ["db/tables/t.sql:1 create table t ()"]


def test_the_same_words_in_a_function_or_a_comment_include_nothing(folder: Path) -> None:
    write(folder, s="-- \\i nowhere.sql\ncreate function f() returns text return '\n\\i nowhere.sql\n';\n")

    assert len(places("db/s.sql")) == 1


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("\\ir ../secret.sql", r"db/s\.sql:2:1: \.\./secret\.sql is outside of db, and nothing else is read"),
        ("\\i /etc/passwd", r"db/s\.sql:2:1: /etc/passwd is outside of db"),
        ("\\ir link.sql", r"db/s\.sql:2:1: link\.sql is outside of db"),
        ("\\ir linked/secret.sql", r"db/s\.sql:2:1: linked/secret\.sql is outside of db"),
        ("\\ir nowhere.sql", r"db/s\.sql:2:1: db/nowhere\.sql is no file"),
        ("\\ir .", r"db/s\.sql:2:1: db is no file"),
        ("\\ir s.sql", r"db/s\.sql:2:1: db/s\.sql would include itself"),
        ("\\ir a.sql", r"db/b\.sql:3:1: db/a\.sql would include itself"),
        ("\\ir bad.sql", r'db/bad\.sql:2:8: syntax error at or near "tabel"'),
        ("create table t (\n\\ir b.sql\n)", r"db/s\.sql:2:\d+: syntax error at end of input"),
        ("\\i", r"db/s\.sql:2:1: \\i is a command of psql and cannot be run here"),
        ("\\ir a.sql b.sql", r"db/s\.sql:2:1: \\ir is a command of psql and cannot be run here"),
        ("\\ir latin.sql", r"db/latin\.sql:1: not UTF-8"),
    ],
)
def test_file_that_cannot_be_included_is_refused_with_its_line(folder: Path, command: str, complaint: str) -> None:
    secret = folder.parent / "secret.sql"
    secret.write_text("the secret")
    (folder / "link.sql").symlink_to(secret)
    (folder / "linked").symlink_to(folder.parent)
    (folder / "latin.sql").write_bytes("select 'é'".encode("latin-1"))
    write(folder, s=f"select 1;\n{command}\n", a="\\ir b.sql\n", b="\n\n\\ir a.sql\n", bad="\ncreate tabel t ();\n")

    with pytest.raises(InvalidInput, match=complaint) as raised:
        places("db/s.sql")
    assert "the secret" not in str(raised.value)


def test_link_out_of_a_folder_is_refused(folder: Path) -> None:
    (folder.parent / "secret.sql").write_text("the secret")
    (folder / "a.sql").symlink_to(folder.parent / "secret.sql")

    with pytest.raises(InvalidInput, match=r"db/a\.sql is a link that leads out of db"):
        places("db")


def test_files_of_another_given_folder_are_included(folder: Path) -> None:
    write(folder, main__s="\\ir ../tables/t.sql\nselect 1;\n", tables__t="select 2;\n")

    with pytest.raises(InvalidInput, match="give its folder with --schema too"):
        places("db/main/s.sql")
    assert places("db/main/s.sql", "db/tables") == ["db/tables/t.sql:1 select 2", "db/main/s.sql:2 select 1"]


def test_files_that_include_each_other_many_times_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAXIMUM_FILES", 100)
    for number in range(8):
        write(folder, **{f"f{number}": f"\\ir f{number + 1}.sql\n" * 2})
    write(folder, f8="select 1;\n")

    with pytest.raises(InvalidInput, match="more than 100"):
        places("db/f0.sql")


def test_long_chain_of_files_is_refused(folder: Path) -> None:
    for number in range(files.MAXIMUM_DEPTH + 2):
        write(folder, **{f"f{number}": f"\\ir f{number + 1}.sql\n"})

    with pytest.raises(InvalidInput, match=r"db/f100\.sql:1:1: files include each other more than 100 deep"):
        places("db/f0.sql")


def test_notes_name_the_file_where_there_are_several(folder: Path) -> None:
    write(folder, a="\\echo a\ncreate table a ();\n", b="\n\\echo b\nbegin;\ncreate table b ();\ncommit;\n")

    notes = read_script(Path("db")).notes

    assert [note.partition(":")[0] for note in notes[:2]] == ["db/a.sql line 1", "db/b.sql line 2"]
    assert read_script(Path("db/a.sql")).notes[0].startswith("line 1: ")


def test_open_string_or_comment_ends_with_its_file(folder: Path) -> None:
    write(folder, a="select 1;\n/* open", b="select 2; */\n")

    with pytest.raises(InvalidInput, match=r"db/a\.sql:2:1: unterminated /\* comment"):
        places("db")
