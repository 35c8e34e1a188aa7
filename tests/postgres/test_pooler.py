"""Through PgBouncer in transaction mode everything works but migrations, which say why not."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typer.testing import CliRunner

from pendingctl import Claim, Click, Delivery, Limit, PendingStore, RateLimiter, Scope, open_pool
from pendingctl.cli.app import app
from pendingctl.diagnosis.findings import Verdict
from pendingctl.doctor import examine, examine_schema
from pendingctl.errors import DatabaseFailed, InvalidInput, UnfitSetting
from pendingctl.events import listening as listening_module
from pendingctl.events.following import Following
from pendingctl.events.model import Event, NewEvent, StreamName
from pendingctl.events.ring import Turn
from pendingctl.events.streams import Streams
from pendingctl.events.waking import key_of
from pendingctl.postgres.connections import connect
from pendingctl.postgres.pool import StorePool
from pendingctl.postgres.time_limits import Purpose
from pendingctl.race.plan.schedule import NEED_AN_OWN_SERVER, FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race
from pendingctl.schema import migrations
from tests.deliveries import Worker, claimed, run_out, until
from tests.events.writers import CHAT, append, datas, given
from tests.limits.conftest import wait_for_locks
from tests.pod.idling import statements_a_second

POOLER_PORT = "6432"
COPY_FIRST = r"-c search_path=copy,\ public"


@pytest.fixture(scope="session")
def pgbouncer() -> str:
    """Where PgBouncer is; installed first where Debian's package can be, and skipped with the reason elsewhere."""
    found = _find_pgbouncer()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "--yes", "--no-install-recommends", "pgbouncer"],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            timeout=180,
            check=False,
        )
        found = _find_pgbouncer()
    if found is None:
        pytest.skip("PgBouncer is not installed on this machine, and cannot be (Debian's package pgbouncer)")
    return found


def _find_pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


@pytest.fixture
def pooled(dsn: str, pgbouncer: str) -> Iterator[str]:
    """The migrated database, through a pooler that hands its few sessions on after each transaction."""
    with pooler(dsn, pgbouncer) as through:
        yield through


@contextmanager
def pooler(dsn: str, pgbouncer: str, setting: str = "") -> Iterator[str]:
    server = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value}
    # Over a socket in a folder of its own: a port that is free now may be somebody else's in a moment.
    folder = Path("/tmp", f"pendingctl-test-pooler-{os.getpid()}-{time.monotonic_ns()}")
    folder.mkdir(mode=0o755)
    backend = " ".join(f"{name}={server[name]}" for name in ("host", "port", "user", "password") if name in server)
    account = "postgres" if "postgres" in (user.pw_name for user in pwd.getpwall()) else "nobody"
    (folder / "pgbouncer.ini").write_text(
        f"""
        [databases]
        * = {backend}
        in_statement_mode = {backend} dbname={server["dbname"]} pool_mode=statement
        [pgbouncer]
        listen_port = {POOLER_PORT}
        unix_socket_dir = {folder}
        auth_type = any
        pool_mode = transaction
        default_pool_size = 20
        {setting}
        {f"user = {account}" if os.geteuid() == 0 else ""}
        """
    )
    if os.geteuid() == 0:
        shutil.chown(folder, account)
    running = subprocess.Popen(
        [pgbouncer, "-q", str(folder / "pgbouncer.ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    through = make_conninfo(host=str(folder), port=POOLER_PORT, user=server.get("user"), dbname=server["dbname"])
    try:
        _until_it_answers(through, running)
        yield through
    finally:
        running.kill()
        running.wait()
        shutil.rmtree(folder)


def _until_it_answers(dsn: str, running: subprocess.Popen[bytes]) -> None:
    for _ in range(3_000):
        assert running.poll() is None, "PgBouncer did not start"
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("PgBouncer does not answer")


async def test_streams_are_written_and_read(pooled: str, connection: psycopg.Connection) -> None:
    connection.execute("listen pendingctl_stream")
    connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")
    talk = StreamName("acme", "talk")
    async with open_pool(pooled, max_size=4) as pool:
        streams = Streams(pool)
        # More often than the driver needs to prepare a statement, on more connections than the pooler has sessions.
        await asyncio.gather(*(streams.append(talk, [NewEvent("said", str(n))]) for n in range(30)))
        await streams.append_many({talk: [NewEvent("said", "last")]})
        assert await streams.ring.turn() is Turn.TURNED
        page = await streams.read(talk)
        await streams.settled()

    assert [item.seq for item in page.items if isinstance(item, Event)] == list(range(1, 32))
    assert any(each.payload == key_of(talk) for each in connection.notifies(timeout=20))


async def test_an_idle_pod_that_polls_its_streams_asks_six_statements_a_second_at_most(pooled: str) -> None:
    assert await statements_a_second(pooled, is_listening=False) <= 6.0


@pytest.mark.law(1)
async def test_many_clients_claim_through_few_sessions(pooled: str) -> None:
    async with open_pool(pooled, min_size=20, max_size=20) as pool:
        # A click has little time, and none for connections that are still to be made.
        await pool.wait()
        store = PendingStore(pool)
        for round in range(30):
            await store.put(f"q{round}", Scope("acme", "slack", "U1"), {})
            clicks = [
                Click(
                    question_id=f"q{round}",
                    organization_id="acme",
                    connection_id="slack",
                    user_id="U1",
                    delivery_key=f"key-{number}",
                )
                for number in range(20)
            ]
            results = await asyncio.gather(*(store.claim(click) for click in clicks))
            assert [type(result) for result in results].count(Claim) == 1
        assert len(await store.inspection.find(limit=100)) == 30


@pytest.mark.law(19)
async def test_limits_hold_through_few_sessions_and_leave_no_setting_to_the_next(
    pooled: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the time that a take has most goes into the wait for one of the sessions.
    monkeypatch.setattr(Purpose.LIMIT, "seconds", 30.0)
    # Another one than the server's own, which a session has to which nobody has left a setting.
    wait_for_locks(monkeypatch, 29)
    limit = Limit(1, timedelta(hours=1), burst=7)
    async with open_pool(pooled, min_size=10, max_size=10) as pool:
        await pool.wait()
        pods = [RateLimiter(pool, if_unreachable="raise") for _ in range(5)]
        taken = await asyncio.gather(*(pod.take("acme", "k", limit) for pod in pods for _ in range(8)))
        assert [each.allowed for each in taken].count(True) == 7
        left = set()
        async with AsyncExitStack() as stack:
            # Each in a transaction, and so in a session of its own.
            for _ in range(10):
                lent = await stack.enter_async_context(pool.connection())
                await stack.enter_async_context(lent.transaction())
                left.add(await (await lent.execute("show lock_timeout")).fetchone())
        assert left == {connection.execute("show lock_timeout").fetchone()}


@pytest.mark.law(6)
async def test_answers_are_delivered_through_few_sessions(pooled: str, connection: psycopg.Connection) -> None:
    async with open_pool(pooled, min_size=10, max_size=10) as pool:
        store = PendingStore(pool)
        for number in range(40):
            await claimed(store, f"q{number}")
        run_out(connection)
        workers = [Worker(), Worker()]
        async with Delivery(store, workers[0]), Delivery(store, workers[1]):
            await until(lambda: sum(len(worker.answers) for worker in workers) >= 40, 60)
        assert sorted(workers[0].ids + workers[1].ids) == sorted(f"q{number}" for number in range(40))
        assert (await store.statistics.counts()).total.undelivered == 0


@pytest.mark.law(6)
async def test_what_is_acknowledged_is_durable_through_a_pooler(pooled: str, connection: psycopg.Connection) -> None:
    """Its sessions are handed on: a level that a session kept would be somebody else's next."""
    connection.execute(
        """
        create table committed (level text);
        create function note() returns trigger language plpgsql as $$
        begin
            insert into committed values (current_setting('synchronous_commit'));
            return null;
        end $$;
        create constraint trigger note after insert or update on pending_interactions
            deferrable initially deferred for each row execute function note();
        """
    )
    connection.execute(f"alter database {connection.info.dbname} set synchronous_commit = off")
    async with open_pool(pooled, min_size=10, max_size=10) as pool:
        await pool.wait()
        store = PendingStore(pool)
        await asyncio.gather(*(claimed(store, f"q{number}") for number in range(20)))
        levels = connection.execute("select distinct level from committed").fetchall()
        # Ten sessions at once: one of them may be older than the database's new default, and has the one before.
        all_lent = asyncio.Barrier(10)

        async def is_as_it_was() -> bool:
            async with pool.connection() as lent, lent.transaction():
                cursor = await lent.execute(
                    "select setting = reset_val from pg_settings where name = 'synchronous_commit'"
                )
                await all_lent.wait()
                return await cursor.fetchone() == (True,)

        unchanged = await asyncio.gather(*(is_as_it_was() for _ in range(10)))

    assert (levels, unchanged) == ([("on",)], [True] * 10)


async def test_a_race_through_a_pooler_passes(pooled: str) -> None:
    result = await simulate_race(pooled, RaceSettings(pods=3, questions=20, clicks=8, seed=1))

    assert (result.verdict, result.reasons, result.violations) == ("pass", (), ())


@pytest.mark.long
async def test_faults_strike_through_a_pooler_too(pooled: str) -> None:
    kinds = tuple(kind for kind in FaultKind if kind not in NEED_AN_OWN_SERVER)

    result = await simulate_race(pooled, RaceSettings(pods=3, questions=30, clicks=8, seed=1, faults=kinds))

    assert (result.verdict, result.reasons, result.violations) == ("pass", (), ())
    assert all(fault.planned == fault.landed > 0 for fault in result.faults)


async def test_a_broken_store_is_caught_through_a_pooler(pooled: str) -> None:
    result = await simulate_race(pooled, RaceSettings(3, 20, 8, 1, implementation="select-then-update"))

    assert "single_winner" in {violation.law for violation in result.violations}


def test_every_command_works_through_a_pooler(pooled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENDINGCTL_DSN", pooled)
    scope = ("--org", "acme", "--connection", "slack", "--user", "U1")
    for arguments in (
        ("enqueue", *scope, "--question", "Deploy?", "--id", "q", "--count", "1500"),
        ("claim", "q-1", *scope, "--value", "yes"),
        ("list", "--state", "claimed"),
        ("show", "q-1"),
        ("stats",),
        ("withdraw", "q-3", "--org", "acme", "--connection", "slack", "--user", "U1", "--yes"),
        ("withdraw", "--state", "pending", "--conversation", "C7", "--yes"),
        ("redeliver", "q-1", "--yes"),
        ("redeliver", "--state", "undelivered", "--yes"),
        ("repair-cards", "--org", "acme", "--yes"),
        ("answer", "q-4", "--value", "yes", "--reason", "nobody is there"),
        ("delete", "q-2", *scope, "--yes"),
        ("sweep", "--all", "--max-age", "1s"),
        ("migrate", "--check"),
        ("migrate", "--dry-run"),
        ("diff-schema",),
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (arguments, result.output)


def test_migrations_through_a_pooler_are_refused_with_the_reason(pooled: str) -> None:
    with pytest.raises(InvalidInput, match="goes through a pooler"):
        migrations.apply(pooled)
    with pytest.raises(InvalidInput, match="goes through a pooler"):
        migrations.rollback(pooled, 1)


async def test_a_pooler_in_statement_mode_is_refused_with_the_reason(pooled: str) -> None:
    in_statement_mode = make_conninfo(pooled, dbname="in_statement_mode")

    with pytest.raises(UnfitSetting, match=r"pool_mode is 'statement': .*set pool_mode = transaction"):
        await connect(in_statement_mode, application="a test")
    async with open_pool(in_statement_mode, timeout=1) as pool:
        assert isinstance(pool, StorePool)
        await until(lambda: pool.trouble is not None)
        with pytest.raises(UnfitSetting, match="pool_mode"):
            await Streams(pool).append(StreamName("acme", "talk"), [NewEvent("said", "one")])


async def test_a_schema_that_a_pooler_does_not_pass_on_is_refused_with_what_does(pooled: str) -> None:
    with pytest.raises(DatabaseFailed, match="alter role … set search_path"):
        await connect(make_conninfo(pooled, options="-csearch_path=pendingctl"), application="a test")


async def test_a_schema_that_a_pooler_leaves_out_in_silence_is_refused_too(
    dsn: str, pgbouncer: str, connection: psycopg.Connection
) -> None:
    connection.execute("create schema copy")
    with pooler(dsn, pgbouncer, "ignore_startup_parameters = options") as through:
        in_a_schema = make_conninfo(through, options=COPY_FIRST)
        with pytest.raises(UnfitSetting, match="alter the role or the database"):
            await connect(in_a_schema, application="a test")
        connection.execute(f"alter database {connection.info.dbname} set search_path = copy, public")
    with pooler(dsn, pgbouncer, "ignore_startup_parameters = options") as through:
        await (await connect(make_conninfo(through, options=COPY_FIRST), application="a test")).close()


async def test_doctor_sees_the_pooler_and_all_that_is_behind_it(pooled: str) -> None:
    checks = [*await examine(pooled), *examine_schema(pooled)]

    (pooler,) = [each.finding for each in checks if each.name == "pooler"]
    assert "a pooler in transaction mode" in pooler.sentence
    assert [each.name for each in checks if each.finding.verdict is Verdict.FAIL or each.facts is None] == []


@pytest.mark.once
async def test_streams_are_polled_through_a_pooler_unless_the_listener_leads_past_it(
    pooled: str,
    dsn: str,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append(connection, "one")
    async with open_pool(pooled) as pool:
        polling, listening = Following(pool), Following(pool, listen_dsn=dsn)
        subscriptions = [polling.subscribe(CHAT)]
        await given(subscriptions[0], 1)
        await until(lambda: "polled instead" in caplog.text, 60)
        # What comes through is heard, however slow the machine.
        monkeypatch.setattr(listening_module, "ECHO_SECONDS", 60.0)
        subscriptions.append(listening.subscribe(CHAT))
        await given(subscriptions[1], 1)
        await until(lambda: listening.is_listening, 60)
        assert not polling.is_listening
        for number in range(5):
            append(connection, str(number), wakes=True)
            for subscription in subscriptions:
                assert datas(await given(subscription, 1, within=20)) == [str(number)]
        assert not polling.is_listening
        assert caplog.text.count("polled instead") == 1
        for each in (polling, listening):
            await each.drain(0)
