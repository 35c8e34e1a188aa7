"""The migrations, and each gap of yoyo that is closed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pendingctl import PendingStore, State
from pendingctl.errors import DatabaseFailed, InvalidInput, MigrationFailed, Refused
from pendingctl.schema import migrations
from tests.questions import PAYLOAD, SCOPE, click

OURS = [
    "0001_organization",
    "0002_pending_interactions",
    "0003_answer",
    "0004_delivery",
    "0005_delivery_indexes",
]


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the database that is migrated."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield connection


def folder(path: Path, **files: str) -> Path:
    """A folder of migrations; `a__rollback` becomes a.rollback.sql."""
    for name, text in files.items():
        suffix = "" if name.endswith("_py") else ".sql"
        file = name.replace("__rollback", ".rollback").replace("_py", ".py").lstrip("m") + suffix
        (path / file).write_text(text, encoding="utf-8")
    return path


def tables(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    )
    return {name for (name,) in rows.fetchall()}


def test_the_migrations_apply_once_and_roll_back_to_nothing(empty_dsn: str, empty: psycopg.Connection) -> None:
    assert migrations.apply(empty_dsn) == OURS
    assert migrations.apply(empty_dsn) == []
    assert migrations.status(empty_dsn).pending == ()
    assert tables(empty) == {"organization", "pending_interactions", "pendingctl_migration", "sweep_cycle"}

    assert migrations.rollback(empty_dsn, 5) == OURS[::-1]
    assert tables(empty) == {"pendingctl_migration"}
    assert migrations.apply(empty_dsn) == OURS


def test_every_migration_has_its_rollback() -> None:
    for file in migrations.migrations_directory().glob("*.sql"):
        if not file.name.endswith(".rollback.sql"):
            assert file.with_suffix(".rollback.sql").is_file(), file.name


def test_each_step_leads_back_to_where_it_came_from(empty_dsn: str, empty: psycopg.Connection) -> None:
    def structure() -> list[tuple[object, ...]]:
        return empty.execute(
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_schema = 'public' "
            "union all select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2"
        ).fetchall()

    migrations.apply(empty_dsn, to=OURS[0])
    for id in OURS[1:]:
        before = structure()
        assert migrations.apply(empty_dsn, to=id) == [id]
        assert structure() != before
        migrations.rollback(empty_dsn, 1)
        assert structure() == before
        migrations.apply(empty_dsn, to=id)


def test_looking_writes_nothing_and_needs_no_right(empty_dsn: str, empty: psycopg.Connection) -> None:
    role = f"reader_{empty.info.dbname}"
    empty.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    empty.execute(sql.SQL("alter role {} set default_transaction_read_only = on").format(sql.Identifier(role)))
    reader = make_conninfo(empty_dsn, user=role)
    try:
        assert migrations.status(reader).pending == tuple(OURS)
        assert [step.id for step in migrations.pending_steps(reader)] == OURS
        assert "create table pending_interactions" in migrations.pending_steps(reader)[1].sql
        assert tables(empty) == set()
    finally:
        empty.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


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


def test_ddl_waits_for_a_lock_only_so_long(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, 2)
    with psycopg.connect(dsn) as busy:
        # The end of the long transaction, should the migration wait for it.
        busy.execute("set idle_in_transaction_session_timeout = '10s'")
        busy.execute("select count(*) from pending_interactions")
        started = time.monotonic()

        with pytest.raises(MigrationFailed, match=r"got no lock within 0.3 s"):
            migrations.apply(dsn, lock_timeout=timedelta(seconds=0.3))

        assert time.monotonic() - started < 5
        # Nobody stands in the queue behind it.
        connection.execute("select count(*) from pending_interactions")
    assert migrations.apply(dsn) == OURS[3:]


def test_pods_of_the_version_before_work_while_it_is_migrated(dsn: str, connection: psycopg.Connection) -> None:
    """The statements of the version before 0004 know nothing of deliveries: what they claim is delivered."""
    migrations.rollback(dsn, 2)
    older = [
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
        "values (%(id)s, 'acme', 'slack', 'U1', '{}')",
        "update pending_interactions set claimed_at = now(), answer = 'yes', delivery_key = 'k' "
        "where id = %(id)s and claimed_at is null",
        "select id, answer, delivery_key, xmin::text from pending_interactions limit 1",
        "delete from pending_interactions where created_at < now() - interval '24 hours'",
    ]
    ended = threading.Event()

    def work(name: str) -> int:
        rounds = 0
        with psycopg.connect(dsn, autocommit=True) as pod:
            while not ended.is_set() or rounds < 10:
                for statement in older:
                    pod.execute(statement.encode(), {"id": f"{name}-{rounds}"})
                rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pods:
        working = [pods.submit(work, f"pod-{number}") for number in range(3)]
        assert migrations.apply(dsn) == OURS[3:]
        ended.set()
        rounds = sum(each.result() for each in working)

    assert connection.execute(
        "select count(*), count(claimed_at), count(delivery_due_at) from pending_interactions"
    ).fetchone() == (rounds, rounds, 0)


async def test_pods_of_the_version_before_cannot_lose_an_undelivered_answer(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click("q"), lease=timedelta(seconds=30))
    reopen = (
        "update pending_interactions set ask_number = ask_number + 1, created_at = now(), "
        "claimed_at = null, answer = null, delivery_key = null where id = 'q' and claimed_at is not null"
    )

    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(reopen)

    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.answer) == (State.UNDELIVERED, "yes")


def test_what_is_undelivered_keeps_the_migration_from_being_rolled_back(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload, "
        "claimed_at, delivery_due_at) values ('q', 'acme', 'slack', 'U1', '{}', now(), 'infinity')"
    )

    with pytest.raises(MigrationFailed, match="there are undelivered answers"):
        migrations.rollback(dsn, 2)

    connection.execute("update pending_interactions set delivery_due_at = null")
    migrations.rollback(dsn, 1)


def test_up_to_a_migration(empty_dsn: str) -> None:
    assert migrations.apply(empty_dsn, to=OURS[1]) == OURS[:2]
    assert migrations.status(empty_dsn).pending == tuple(OURS[2:])
    assert migrations.apply(empty_dsn, to=OURS[0]) == []
    with pytest.raises(InvalidInput, match="no migration nowhere; there are: 0001_organization"):
        migrations.apply(empty_dsn, to="nowhere")


def test_a_migration_without_rollback_is_said_before_anything_is_undone(
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


def test_only_what_was_confirmed_is_rolled_back(dsn: str, connection: psycopg.Connection) -> None:
    confirmed = migrations.rollback_candidates(dsn, 1)
    migrations.rollback(dsn, 1)

    with pytest.raises(Refused, match="nothing was rolled back"):
        migrations.rollback(dsn, 1, confirmed=confirmed)

    assert "pending_interactions" in tables(connection)


def test_a_database_of_a_newer_version_is_left_alone(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("insert into pendingctl_migration (id, content_sha256) values ('0099_later', 'x')")

    assert migrations.status(dsn).unknown == ("0099_later",)
    assert migrations.apply(dsn) == []
    with pytest.raises(InvalidInput, match="newer pendingctl applied 0099_later"):
        migrations.rollback(dsn, 1)


class TestAnApplicationsOwnOrganization:
    """An application that has a table organization with a text id keeps it."""

    @pytest.fixture
    def owned(self, empty: psycopg.Connection) -> psycopg.Connection:
        empty.execute("create table organization (id text primary key, plan text not null)")
        empty.execute("insert into organization values ('acme', 'free')")
        return empty

    def test_is_neither_altered_nor_dropped(self, empty_dsn: str, owned: psycopg.Connection) -> None:
        migrations.apply(empty_dsn)
        owned.execute(
            "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
            "values ('q', 'acme', 'slack', 'U1', '{}')"
        )
        migrations.rollback(empty_dsn, 3)

        assert owned.execute("select * from organization").fetchall() == [("acme", "free")]


class TestAnyDsnThatLibpqTakes:
    """yoyo's own parser refuses most of these."""

    @pytest.fixture
    def parts(self, empty_dsn: str) -> dict[str, str]:
        given = {"port": "5432", "host": "localhost", **conninfo_to_dict(empty_dsn)}
        return {name: str(given[name]) for name in ("host", "port", "user", "password", "dbname") if given.get(name)}

    def test_key_and_value(self, parts: dict[str, str]) -> None:
        assert migrations.apply(make_conninfo(**parts)) == OURS

    def test_uri(self, parts: dict[str, str]) -> None:
        user = parts.get("user", "")
        password = ":" + quote(parts["password"], safe="") if "password" in parts else ""
        place = f"host={quote(parts['host'], safe='')}&port={parts['port']}"
        assert migrations.apply(f"postgresql://{user}{password}@/{parts['dbname']}?{place}") == OURS

    def test_uri_with_an_escaped_socket_folder(self, parts: dict[str, str]) -> None:
        if not parts["host"].startswith("/"):
            pytest.skip("the test server has no unix socket")
        host = quote(parts["host"], safe="")
        assert migrations.apply(f"postgres://{parts['user']}@{host}:{parts['port']}/{parts['dbname']}") == OURS

    def test_several_hosts(self, parts: dict[str, str], tmp_path: Path) -> None:
        hosts = f"{tmp_path},{parts['host']}"
        dsn = make_conninfo(**{**parts, "host": hosts, "port": f"5432,{parts['port']}"})
        assert migrations.apply(f"{dsn} target_session_attrs=read-write") == OURS

    def test_service(self, parts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = "\n".join(f"{name}={value}" for name, value in parts.items())
        (tmp_path / "services").write_text(f"[bot]\n{lines}\n", encoding="utf-8")
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        assert migrations.apply("service=bot") == OURS

    def test_libpqs_own_variables(self, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
        for name, value in parts.items():
            monkeypatch.setenv(names[name], value)
        assert migrations.apply("") == OURS

    def test_an_option_of_the_string_is_kept(self, parts: dict[str, str], empty: psycopg.Connection) -> None:
        empty.execute('create schema "Bot Tables"')
        dsn = make_conninfo(**parts, options='-c search_path="Bot\\ Tables"')
        assert migrations.apply(dsn) == OURS
        assert tables(empty) == set()
        assert migrations.status(dsn).pending == ()


def test_an_unreachable_server_and_a_malformed_dsn_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFailed, match="cannot be reached"):
        migrations.status(f"host={tmp_path} dbname=x")
    with pytest.raises(InvalidInput) as raised:
        migrations.status("postgresql://u:s3cret@h/d?nosuch=1")
    assert "s3cret" not in str(raised.value)


def _until(connection: psycopg.Connection, condition: str) -> None:
    for _ in range(1_000):
        if connection.execute(condition).fetchone() == (True,):
            return
        time.sleep(0.01)
    raise AssertionError(f"never came true: {condition}")
