"""Connections, pools and what an error of the database means; no password is ever printed."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from pendingctl import PendingStore, PutOutcome, Scope, open_pool
from pendingctl.cli.app import app
from pendingctl.embedded import throwaway_server
from pendingctl.errors import DatabaseFailed, DatabaseUnreachable, InvalidInput, NotFound, NotMigrated
from pendingctl.postgres.connections import Borrowed, CommandConnection, SingleConnection, connect
from pendingctl.postgres.pool import StorePool
from tests.outages import away

SCOPE = Scope("acme", "slack", "U1")


async def test_the_server_learns_which_command_connects(dsn: str) -> None:
    for given, name in ((dsn, "pendingctl list"), (make_conninfo(dsn, application_name="mine"), "mine")):
        connection = await connect(given, application="pendingctl list")
        async with connection:
            assert connection.info.parameter_status("application_name") == name


@pytest.fixture
def nobody_listens() -> Iterator[int]:
    """A port that is taken, on which nobody accepts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_server_that_is_down_is_unreachable(nobody_listens: int) -> None:
    with pytest.raises(DatabaseUnreachable, match="cannot be reached") as raised:
        await connect(f"host=127.0.0.1 port={nobody_listens} password=s3cret", application="test")

    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_a_pool_reports_it_too(nobody_listens: int) -> None:
    async with open_pool(f"host=127.0.0.1 port={nobody_listens}", timeout=0.5) as pool:
        with pytest.raises(DatabaseUnreachable):
            await PendingStore(pool).inspection.get("q")


async def test_missing_tables_say_run_migrate(empty_dsn: str) -> None:
    connection = await connect(empty_dsn, application="test")
    async with connection:
        store = PendingStore(SingleConnection(connection))
        with pytest.raises(NotMigrated, match="run: pendingctl migrate"):
            await store.inspection.find()
        with pytest.raises(NotMigrated):
            await store.put("q", SCOPE, {})


async def test_tables_of_the_version_before_say_run_migrate(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("alter table pending_interactions drop column answer")
    opened = await connect(dsn, application="test")
    async with opened:
        with pytest.raises(NotMigrated, match=r"answer.*run: pendingctl migrate"):
            await PendingStore(SingleConnection(opened)).inspection.get("q")


async def test_a_connection_lost_in_the_middle_is_unreachable_and_the_pool_recovers(
    dsn: str, connection: psycopg.Connection
) -> None:
    async with open_pool(dsn, max_size=1) as pool:
        store = PendingStore(pool)
        await store.put("q", SCOPE, {})
        with psycopg.connect(dsn) as blocking:
            blocking.execute("select from pending_interactions for update")
            waiting = asyncio.create_task(store.put("q", SCOPE, {}))
            await _terminate_the_waiting_one(connection)

            with pytest.raises(DatabaseUnreachable):
                await waiting

        assert await store.inspection.get("q") is not None


async def test_whoever_waits_for_a_connection_has_one_when_the_database_is_back(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool gives up after a second, until somebody asks it for a connection; here nobody else does."""

    async def borrow() -> None:
        async with Borrowed(pool) as connection:
            await connection.execute("select")

    async with open_pool(dsn, timeout=30) as pool:
        assert isinstance(pool, StorePool)
        # One that it opens beside the first would be lost while it is lent.
        await pool.wait()
        await borrow()
        with away(dsn):
            # What it has is lost, which it may not have noticed yet.
            pool.suspect(time.monotonic())
            borrowing = asyncio.create_task(borrow())
            async with asyncio.timeout(20):
                while "reconnection attempt" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        await borrowing


async def test_a_statement_that_takes_too_long_says_what_to_do(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool:
        await PendingStore(pool).put("q", SCOPE, {})
    connection.execute(f"alter database {connection.info.dbname} set statement_timeout = '100ms'")
    # Of all sessions but this one.
    with psycopg.connect(dsn, options="-c statement_timeout=0") as blocking:
        blocking.execute("select from pending_interactions for update")
        async with open_pool(dsn) as pool:
            with pytest.raises(DatabaseFailed, match="statement timeout"):
                await PendingStore(pool).put("q", SCOPE, {})


async def test_a_missing_right_is_named(dsn: str, connection: psycopg.Connection) -> None:
    role = f"nobody_{connection.info.dbname}"
    connection.execute(f"create role {role} login")
    try:
        opened = await connect(make_conninfo(dsn, user=role), application="test")
        async with opened:
            with pytest.raises(DatabaseFailed, match="permission denied for table pending_interactions; grant it"):
                await PendingStore(SingleConnection(opened)).inspection.find()
    finally:
        connection.execute(f"drop role {role}")


def _is_let_in(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_wrong_password_is_reported_in_one_line_without_it() -> None:
    with throwaway_server() as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("create role bot login password 'right'")
        (server.data_directory / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("select pg_reload_conf()")
            # The postmaster reads the file in its own time.
            for _ in range(6_000):
                if not _is_let_in(make_conninfo(server.dsn, user="bot", password="wrong")):
                    break
                time.sleep(0.01)
        dsn = make_conninfo(server.dsn, user="bot", password="s3cret")

        result = CliRunner().invoke(app, ["list", "--dsn", dsn])

    assert result.exit_code == 3
    assert 'password authentication failed for user "bot"' in result.stderr
    assert "s3cret" not in result.output
    assert result.stderr.count("\n") == 1


async def test_an_error_in_a_lent_connection_rolls_it_back(dsn: str) -> None:
    opened = await connect(dsn, application="test")
    async with opened:
        store = PendingStore(SingleConnection(opened))
        with pytest.raises(InvalidInput):
            await store.put_many([("a", SCOPE, {}), ("", SCOPE, {})])

        assert opened.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert await store.inspection.get("a") is None


async def test_an_error_where_each_statement_has_a_transaction_rolls_it_back(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(f"alter database {connection.info.dbname} set default_transaction_isolation = serializable")
    opened = await connect(dsn, application="test")
    async with opened:
        store = PendingStore(SingleConnection(opened))
        with pytest.raises(NotFound):
            await store.put("q", Scope("nowhere", "slack", "U1"), {})

        assert opened.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert (await store.put("q", SCOPE, {})).outcome is PutOutcome.CREATED


async def _terminate_the_waiting_one(connection: psycopg.Connection) -> None:
    for _ in range(1_000):
        terminated = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where wait_event_type = 'Lock' and datname = current_database()"
        )
        if terminated.fetchone() == (True,):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


async def test_a_cancellation_is_heeded_whenever_it_comes(dsn: str) -> None:
    """Also at the moment at which a pool has a connection again, when Python 3.11 forgets it."""
    async with open_pool(dsn, max_size=1) as pool:
        store = PendingStore(pool)
        for later in range(30):
            async with pool.connection():
                waiting = asyncio.create_task(store.leases.due())
                await asyncio.sleep(0.02)
            for _ in range(later):
                await asyncio.sleep(0)
            if waiting.done():
                break
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert not (await store.leases.due()).answers


async def test_a_cancellation_is_heeded_too_when_a_pool_closes(nobody_listens: int) -> None:
    """As of what works for as long as a process: it would meet a closed pool for ever."""
    for later in range(30):
        pool = open_pool(f"host=127.0.0.1 port={nobody_listens}")
        await pool.open()
        waiting = asyncio.create_task(PendingStore(pool).leases.due())
        async with asyncio.timeout(60):
            while not pool.get_stats().get("requests_waiting"):  # noqa: ASYNC110
                await asyncio.sleep(0)
        closing = asyncio.create_task(pool.close())
        for _ in range(later):
            await asyncio.sleep(0)
        is_over = waiting.done()
        waiting.cancel()
        with pytest.raises(DatabaseUnreachable if is_over else asyncio.CancelledError):
            await waiting
        await closing
        if is_over:
            return
    raise AssertionError("whoever waited has not learned that the pool is closed")


async def test_tasks_that_share_a_commands_connection_open_one(dsn: str, connection: psycopg.Connection) -> None:
    source = CommandConnection(dsn, application="shared")
    lent = await asyncio.gather(*(source.getconn() for _ in range(5)))
    try:
        assert len(set(lent)) == 1
        sessions = connection.execute(
            "select count(*) from pg_stat_activity where application_name = 'shared' and datname = current_database()"
        )
        assert sessions.fetchone() == (1,)
    finally:
        await source.close()


async def test_whoever_borrows_a_commands_connection_takes_no_reply_from_another_task(dsn: str) -> None:
    source = CommandConnection(dsn, application="shared")

    async def slow() -> tuple[object, ...] | None:
        async with Borrowed(source) as borrowed:
            return await (await borrowed.execute("select 1 from pg_sleep(0.2)")).fetchone()

    try:
        await source.getconn()
        waiting = asyncio.create_task(slow())
        until = time.monotonic() + 20
        # Without a pause, so that the reply is here before the event loop has seen it.
        while not waiting.done() and time.monotonic() < until:
            time.sleep(0.01)  # noqa: ASYNC251
            await source.getconn()
            await asyncio.sleep(0)
        assert await waiting == (1,)
        assert time.monotonic() < until
    finally:
        await source.close()
