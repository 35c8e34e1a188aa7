"""Any folder of migrations: each gap of yoyo that is closed, and many runs at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from pendingctl.errors import InvalidInput, MigrationFailed
from pendingctl.schema import migrations
from tests.schema.migrated import OURS, folder, tables


def test_of_many_runs_at_once_one_applies(empty_dsn: str, empty: psycopg.Connection) -> None:
    waited: list[bool] = []

    with ThreadPoolExecutor(8) as pods:
        runs = [pods.submit(migrations.apply, empty_dsn, on_wait=lambda: waited.append(True)) for _ in range(8)]

    assert sorted(len(run.result()) for run in runs) == [0] * 7 + [len(OURS)]
    assert empty.execute("select count(*) from pendingctl_migration").fetchone() == (len(OURS),)


def test_a_run_waits_while_another_builds_an_index(empty_dsn: str, tmp_path: Path) -> None:
    """A session that waited inside the server would hold a snapshot, which the index build would wait for."""
    files = folder(
        tmp_path,
        m0001_table="""
            create table t (a int);
            insert into t select generate_series(1, 1000);
            create function slowly(a int) returns int language plpgsql immutable
            as $$ begin perform pg_sleep(0.0005); return a; end $$;
        """,
        m0002_index="-- transactional: false\ncreate index concurrently t_a on t (slowly(a));",
    )

    with ThreadPoolExecutor(3) as pods:
        runs = [pods.submit(migrations.apply, empty_dsn, files) for _ in range(3)]

    assert sorted(len(run.result(timeout=60)) for run in runs) == [0, 0, 2]


def test_a_killed_run_leaves_no_lock_and_no_trace(empty_dsn: str, empty: psycopg.Connection, tmp_path: Path) -> None:
    files = folder(tmp_path, m0001_slow="create table t (a int); select pg_sleep(600);")
    program = (
        "import sys; from pathlib import Path; from pendingctl.schema import migrations;"
        "migrations.apply(sys.stdin.readline().strip(), Path(sys.argv[1]))"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(files)], stdin=subprocess.PIPE, text=True)
    assert run.stdin is not None
    with run.stdin as program_input:
        program_input.write(empty_dsn + "\n")
    _until(
        empty,
        "select exists (select from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active'"
        " and pid <> pg_backend_pid() and datname = current_database())",
    )

    run.send_signal(signal.SIGKILL)
    run.wait()

    _until(
        empty,
        "select not exists (select from pg_locks join pg_database on oid = database "
        "where locktype = 'advisory' and datname = current_database())",
    )
    assert migrations.apply(empty_dsn) == OURS
    assert "t" not in tables(empty)


def test_an_edited_applied_file_is_named(empty_dsn: str, tmp_path: Path) -> None:
    files = folder(tmp_path, m0001_a="create table a (n int);\n", m0002_b="create table b (n int);")
    migrations.apply(empty_dsn, files)
    folder(tmp_path, m0001_a="create table a (n int);\r\n")
    assert migrations.status(empty_dsn, files).pending == ()

    folder(tmp_path, m0001_a="create table a (n bigint);")

    for look in (migrations.status, migrations.apply, migrations.pending_steps):
        with pytest.raises(InvalidInput, match="0001_a was edited"):
            look(empty_dsn, files)
    with pytest.raises(InvalidInput, match="0001_a was edited"):
        migrations.rollback(empty_dsn, 1, files)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m0002_broken_py", "this is not python"),
        ("m0002_broken_py", "raise RuntimeError('no')"),
        ("m0002_broken", "-- depends: 0009_nowhere\nselect 1;"),
        ("m0002_broken", "-- transactional: perhaps\nselect 1;"),
    ],
)
def test_a_file_that_does_not_load_stops_everything(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path, name: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    files = folder(tmp_path, m0001_a="create table a (n int);", m0003_c="create table c (n int);", **{name: text})

    with pytest.raises(InvalidInput, match="0002_broken does not load"):
        migrations.apply(empty_dsn, files)

    assert tables(empty) == set()
    assert capfd.readouterr() == ("", "")


def test_broken_utf8_in_a_file_is_an_error(empty_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"select '\xff';")

    with pytest.raises(InvalidInput, match="0001_a does not load"):
        migrations.apply(empty_dsn, tmp_path)


def test_two_files_with_the_same_number_are_an_error(empty_dsn: str, tmp_path: Path) -> None:
    files = folder(tmp_path, m0001_a="select 1;", m0001_b="select 1;")

    with pytest.raises(InvalidInput, match="0001_a and 0001_b share the number 0001"):
        migrations.apply(empty_dsn, files)


def test_a_failing_migration_leaves_nothing_and_keeps_those_before_it(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(
        tmp_path, m0001_a="create table a (n int);", m0002_b="create table b (n int); select 1/0;", m0003_c="select 1;"
    )

    with pytest.raises(MigrationFailed, match=r"0002_b failed: division by zero"):
        migrations.apply(empty_dsn, files)

    assert tables(empty) == {"a", "pendingctl_migration"}
    assert migrations.status(empty_dsn, files).pending == ("0002_b", "0003_c")


def test_a_migration_and_its_mark_commit_together(empty_dsn: str, empty: psycopg.Connection, tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        m0001_a="select 1;",
        m0002_b="create table b (n int); alter table pendingctl_migration rename to gone;",
    )

    with pytest.raises(MigrationFailed, match="0002_b"):
        migrations.apply(empty_dsn, files)

    assert tables(empty) == {"pendingctl_migration"}
    assert migrations.status(empty_dsn, files).pending == ("0002_b",)


def test_what_a_migration_selects_is_not_printed(
    empty_dsn: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    migrations.apply(empty_dsn, folder(tmp_path, m0001_a="select 'noise';"))

    assert capfd.readouterr() == ("", "")


def test_nested_comments_and_bodies_are_read_as_the_server_does(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(
        tmp_path,
        m0001_a="""
        /* one /* two; */ drop table nowhere; */
        create table a (n int default 1); -- 50%; %s
        create function f() returns int language sql begin atomic select 1; select 2; end;
        do $body$ begin insert into a values (length('a;b')); end $body$;
        """,
    )

    migrations.apply(empty_dsn, files)

    assert empty.execute("select n, f() from a").fetchone() == (3, 2)


def test_an_index_built_concurrently_can_be_repeated(empty_dsn: str, empty: psycopg.Connection, tmp_path: Path) -> None:
    files = folder(
        tmp_path,
        m0001_t="create table t (n int); insert into t values (1), (1);",
        m0002_i="-- transactional: false\n"
        "drop index concurrently if exists t_n;\ncreate unique index concurrently t_n on t (n);",
    )
    with pytest.raises(MigrationFailed, match="0002_i"):
        migrations.apply(empty_dsn, files)
    empty.execute("delete from t where ctid = '(0,1)'")

    assert migrations.apply(empty_dsn, files) == ["0002_i"]
    assert empty.execute("select indisvalid from pg_index where indexrelid = 't_n'::regclass").fetchone() == (True,)


def test_a_migration_without_rollback_is_named_before_anything_is_undone(
    empty_dsn: str, empty: psycopg.Connection, tmp_path: Path
) -> None:
    files = folder(
        tmp_path,
        m0001_a="create table a (n int);",
        m0002_b="create table b (n int);",
        m0002_b__rollback="drop table b;",
    )
    migrations.apply(empty_dsn, files)

    with pytest.raises(InvalidInput, match=r"0001_a has no 0001_a.rollback.sql"):
        migrations.rollback(empty_dsn, 2, files)

    assert tables(empty) >= {"a", "b"}


def _until(connection: psycopg.Connection, condition: str) -> None:
    for _ in range(6_000):
        if connection.execute(condition).fetchone() == (True,):
            return
        time.sleep(0.01)
    raise AssertionError(f"never came true: {condition}")
