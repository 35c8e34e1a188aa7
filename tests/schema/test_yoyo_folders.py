"""Folders of migrations as people have them: what yoyo does with them, and where a run must do better."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.errors import InvalidInput, MigrationFailed
from pendingctl.schema import migrations
from tests.commands import document, run
from tests.schema.migrated import folder, tables, write


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2024-05-01-a", "2024-06-02-b"),
        ("2024-05-01-a", "2024-05-01-b"),
        ("2024_05_01_a", "2024_05_01_b"),
        ("20240501_users", "20240501_orders"),
        ("20240501120000_users", "20240501120000_orders"),
        ("1.0-a", "1.1-b"),
        ("1.0-a", "1.0-b"),
        ("20240501_01_AbCdE", "20240501_01_FgHiJ"),
        ("20240501_01_AbCdE-users", "20240501_01_FgHiJ-orders"),
        ("v1-a", "v1-b"),
        ("0001_a", "0002_a"),
        ("0001", "00010"),
    ],
)
def test_names_that_yoyo_tells_apart_are_no_collision(empty_dsn: str, tmp_path: Path, one: str, other: str) -> None:
    files = write(tmp_path, **{f"{one}.sql": "select 1;", f"{other}.sql": "select 2;"})

    assert migrations.apply(empty_dsn, files) == sorted([one, other])


def test_one_number_in_two_branches_is_an_order_that_nobody_decided(empty_dsn: str, tmp_path: Path) -> None:
    files = folder(tmp_path, m0001_a="select 1;", m0001_b="select 1;")
    with pytest.raises(InvalidInput, match="0001_a and 0001_b share the number 0001"):
        migrations.apply(empty_dsn, files)

    folder(tmp_path, m0001_a="-- depends: 0001_b\nselect 1;")

    assert migrations.apply(empty_dsn, files) == ["0001_b", "0001_a"]


def test_one_name_in_sql_and_in_python_is_refused(empty_dsn: str, tmp_path: Path) -> None:
    files = write(tmp_path, **{"0001_a.sql": "select 1;", "0001_a.py": "steps = []"})

    with pytest.raises(InvalidInput, match=r"both 0001_a\.sql and 0001_a\.py"):
        migrations.apply(empty_dsn, files)


def test_a_circle_of_migrations_is_named(empty_dsn: str, tmp_path: Path) -> None:
    files = folder(tmp_path, m0001_a="-- depends: 0002_b\nselect 1;", m0002_b="-- depends: 0001_a\nselect 1;")

    with pytest.raises(InvalidInput, match="in a circle: 0001_a, 0002_b"):
        migrations.apply(empty_dsn, files)


def test_post_apply_runs_after_migrations_were_applied_and_only_then(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    count = "insert into run values (current_setting('search_path'));"
    files = folder(
        tmp_path,
        m0001_a="create table run (path text); select set_config('search_path', '', false);",
        **{"post-apply": count, "post-apply-more_py": f"from yoyo import step\nsteps = [step({count!r})]"},
    )

    assert migrations.apply(empty_dsn, files) == ["0001_a"]
    assert [each.id for each in migrations.pending_steps(empty_dsn, files)] == []
    assert migrations.apply(empty_dsn, files) == []
    assert empty.execute("select count(*), min(path) from run").fetchone() == (2, '"$user", public')

    folder(tmp_path, m0002_b="select 1;", m0003_c="select 1;")
    assert [each.id for each in migrations.pending_steps(empty_dsn, files)] == [
        "0002_b",
        "0003_c",
        "post-apply-more",
        "post-apply",
    ]
    assert migrations.apply(empty_dsn, files, to="0002_b") == ["0002_b"]
    assert empty.execute("select count(*) from run").fetchone() == (4,)
    assert migrations.status(empty_dsn, files).pending == ("0003_c",)


def test_a_failing_post_apply_is_named_and_the_migrations_stay(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(tmp_path, m0001_a="create table a (n int);", **{"post-apply": "create table b (n int); select 1/0;"})

    with pytest.raises(MigrationFailed, match="apply of post-apply failed: division by zero; apply of 0001_a is done"):
        migrations.apply(empty_dsn, files)

    assert tables(empty) == {"a", "pendingctl_migration"}
    assert migrations.status(empty_dsn, files).pending == ()


def test_the_migration_applied_last_is_rolled_back_first(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(
        tmp_path,
        m0001_a="select 1;",
        m0003_c="create table c (n int);",
        m0003_c__rollback="drop table c;",
    )
    migrations.apply(empty_dsn, files)
    folder(tmp_path, m0002_b="create table b (n int);", m0002_b__rollback="drop table b;")
    migrations.apply(empty_dsn, files)

    assert migrations.rollback_candidates(empty_dsn, 2, files) == ["0002_b", "0003_c"]
    assert migrations.rollback(empty_dsn, 1, files) == ["0002_b"]
    assert tables(empty) == {"c", "pendingctl_migration"}
    assert migrations.status(empty_dsn, files).pending == ("0002_b",)


def test_the_order_survives_a_clock_that_was_set_back(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(tmp_path, m0002_b="select 1;", m0002_b__rollback="select 1;")
    migrations.apply(empty_dsn, files)
    empty.execute("update pendingctl_migration set applied_at = now() + interval '1 hour'")
    folder(tmp_path, m0001_a="select 1;", m0001_a__rollback="select 1;")
    migrations.apply(empty_dsn, files)

    assert migrations.rollback(empty_dsn, 2, files) == ["0001_a", "0002_b"]


def test_check_looks_as_far_as_it_is_asked_to(empty_dsn: str) -> None:
    run("migrate", "--to", "0002_pending_interactions", "--dsn", empty_dsn)

    behind = run("migrate", "--check", "--to", "0003_answer", "-o", "json", "--dsn", empty_dsn)
    done = run("migrate", "--check", "--to", "0002_pending_interactions", "-o", "json", "--dsn", empty_dsn)
    unknown = run("migrate", "--check", "--to", "nowhere", "--dsn", empty_dsn)

    assert (behind.exit_code, document(behind)["pending"]) == (1, ["0003_answer"])
    assert (done.exit_code, document(done)["pending"]) == (0, [])
    assert unknown.exit_code == 2
    assert "there is no migration nowhere" in unknown.stderr


def test_a_schema_of_the_path_that_is_missing_is_named_and_nothing_is_created_elsewhere(
    empty_dsn: str, empty: psycopg.Connection
) -> None:
    for path in ("app", "app,public", '"Two words", public', 'public_, "$user", public'):
        dsn = make_conninfo(empty_dsn, options=f"-c search_path={path}".replace(", ", ",").replace("o w", "o\\ w"))
        for look in (migrations.status, migrations.apply):
            with pytest.raises(InvalidInput, match="of the search_path"):
                look(dsn)

    assert tables(empty) == set()
    migrations.apply(make_conninfo(empty_dsn, options="-c search_path=public,app"))
    assert migrations.status(make_conninfo(empty_dsn, options="-c search_path=app,public")).pending == ()


def test_a_command_says_in_which_schema_the_tables_are(empty_dsn: str, empty: psycopg.Connection) -> None:
    empty.execute("create schema bot")
    migrations.apply(make_conninfo(empty_dsn, options="-c search_path=bot"))

    for command in (["list"], ["stats"], ["show", "q"], ["sweep"]):
        said = run(*command, "--dsn", empty_dsn)

        assert said.exit_code == 3
        assert "tables are in schema bot, which the search_path" in said.stderr
        assert "-csearch_path%3Dbot" in said.stderr
        assert "run: pendingctl migrate" not in said.stderr


@pytest.mark.parametrize("transactional", ["true", "false"])
def test_a_checkout_with_carriage_returns_creates_the_same(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path, transactional: str
) -> None:
    text = (
        f"-- transactional: {transactional}\n"
        "create function f() returns text language plpgsql as $$\nbegin\n  return 'a\nb';\nend\n$$;\n"
    )
    files = write(
        tmp_path,
        **{"0001_f.sql": text.replace("\n", "\r\n"), "0001_f.rollback.sql": "drop function f();\r\n"},
    )

    migrations.apply(empty_dsn, files)

    assert empty.execute("select f(), strpos(prosrc, chr(13)) from pg_proc where proname = 'f'").fetchone() == (
        "a\nb",
        0,
    )
    write(tmp_path, **{"0001_f.sql": text})
    assert migrations.status(empty_dsn, files).pending == ()
    assert migrations.rollback(empty_dsn, 1, files) == ["0001_f"]


def test_a_carriage_return_within_a_string_stays(empty_dsn: str, empty: psycopg.Connection, tmp_path: Path) -> None:
    files = write(tmp_path, **{"0001_a.sql": "create table a as\nselect 'x\ry\r\nz' as t;\n"})

    migrations.apply(empty_dsn, files)

    assert empty.execute("select t from a").fetchone() == ("x\ry\r\nz",)


def test_a_byte_order_mark_and_a_locale_without_utf_8_do_no_harm(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "0001_a.sql").write_text("create table a as select 'ü' as t;", encoding="utf-8-sig")
    program = (
        "import sys; from pathlib import Path; from pendingctl.schema import migrations;"
        "migrations.apply(sys.stdin.readline().strip(), Path(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program, str(tmp_path)],
        input=empty_dsn,
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        text=True,
        check=True,
        timeout=60,
    )

    assert empty.execute("select t from a").fetchone() == ("ü",)
