"""Nothing waits for the database for ever: each purpose has a limit, and then the connection is hung up."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from pendingctl import open_pool
from pendingctl.embedded import throwaway_server
from pendingctl.errors import DatabaseUnreachable, InvalidInput, NotConnected
from pendingctl.limits import Limit, RateLimiter
from pendingctl.postgres import sessions
from pendingctl.postgres.connections import (
    Borrowed,
    CommandConnection,
    Connection,
    ConnectionSource,
    Pool,
    SingleConnection,
    connect,
    in_transaction,
    prepare_connection,
)
from pendingctl.postgres.time_limits import Purpose
from tests.faults.moments import came_true
from tests.faults.proxy import Proxy, running_proxy
from tests.locks import waiting_for_a_lock
from tests.statements import CLAIM, LOCK_THE_ROW, run, taking

PoolOf: TypeAlias = Callable[[str], AbstractAsyncContextManager[Pool]]

BACKEND = "select pg_backend_pid()"


@pytest.mark.parametrize("purpose", Purpose)
def test_the_server_reports_a_lock_before_the_connection_is_hung_up(purpose: Purpose) -> None:
    assert purpose.value.lock is None or 0 < purpose.value.lock < purpose.seconds
    assert purpose.lock_timeout == f"{int((purpose.value.lock or 0) * 1000)}ms"


def test_a_claim_can_be_tried_twice_within_the_bridges_reply() -> None:
    assert 2 * CLAIM < 2.5


@contextmanager
def locked_row(dsn: str) -> Iterator[None]:
    with psycopg.connect(dsn) as application:
        application.execute(LOCK_THE_ROW)
        yield


@asynccontextmanager
async def foreign_pool(dsn: str) -> AsyncIterator[Pool]:
    """One that the application has made itself."""
    async with AsyncConnectionPool(dsn, min_size=1, max_size=1, configure=prepare_connection, open=False) as pool:
        yield pool


@asynccontextmanager
async def own_pool(dsn: str) -> AsyncIterator[Pool]:
    async with open_pool(dsn, max_size=1) as pool:
        yield pool


@pytest.fixture
def unwatching(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that end for no other reason than a cancellation: half a second later they miss their client, too."""
    watching = "client_connection_check_interval"
    settings = [replace(each, value="0") if each.name == watching else each for each in sessions._SETTINGS]
    monkeypatch.setattr(sessions, "_SETTINGS", settings)


@pytest.mark.usefixtures("unwatching")
@pytest.mark.parametrize("pool_of", [own_pool, foreign_pool])
async def test_a_statement_that_waits_too_long_is_given_up_and_not_cancelled(
    dsn: str, connection: psycopg.Connection, pool_of: PoolOf
) -> None:
    async with pool_of(dsn) as pool:
        before = await run(pool, BACKEND)
        with locked_row(dsn):
            with taking(CLAIM - 0.1), pytest.raises(DatabaseUnreachable, match=r"no reply within 1\.2 s"):
                await run(pool, LOCK_THE_ROW)
            with taking(0):
                assert await run(pool, BACKEND) != before
            assert waiting_for_a_lock(connection) == 1, "the statement goes on, nobody has cancelled it"


@pytest.mark.usefixtures("unwatching")
@pytest.mark.parametrize("pool_of", [own_pool, foreign_pool])
async def test_a_task_that_is_cancelled_ends_at_once_and_cancels_no_statement(
    dsn: str, connection: psycopg.Connection, pool_of: PoolOf
) -> None:
    async with pool_of(dsn) as pool:
        before = await run(pool, BACKEND)
        with locked_row(dsn):
            waiting = asyncio.create_task(run(pool, LOCK_THE_ROW, purpose=Purpose.READ))
            assert await came_true(lambda: waiting_for_a_lock(connection) == 1)
            with taking(0):
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            with taking(0):
                assert await run(pool, BACKEND) != before
            assert waiting_for_a_lock(connection) == 1, "the statement goes on, nobody has cancelled it"


@pytest.mark.parametrize("through_cancellation", [False, True])
@pytest.mark.once
async def test_a_commit_that_waits_for_its_standby_is_never_acknowledged(through_cancellation: bool) -> None:
    """Cancelled, it would be: Postgres warns, and says that it has committed."""
    with (
        throwaway_server(settings={"synchronous_standby_names": "nobody"}) as server,
        psycopg.connect(server.dsn, autocommit=True) as outside,
    ):
        outside.execute("set synchronous_commit to local")
        outside.execute("create table noted (word text)")

        def waits() -> bool:
            row = outside.execute("select count(*) from pg_stat_activity where wait_event = 'SyncRep'").fetchone()
            return row == (1,)

        async with open_pool(server.dsn, max_size=1) as pool:
            writing = asyncio.create_task(in_one_transaction(pool, "insert into noted values ('written')"))
            assert await came_true(waits)
            if through_cancellation:
                writing.cancel()
            with taking(0), pytest.raises((DatabaseUnreachable, asyncio.CancelledError)):
                await writing
            assert await run(pool, "select count(*) from noted") == 0
            assert await came_true(waits)


async def in_one_transaction(
    pool: Pool, statement: str, proxy: Proxy | None = None, error: Exception | None = None
) -> None:
    """Run the statement, and let the connection fall silent or the block fail before it ends."""
    async with in_transaction(pool, purpose=Purpose.CLAIM) as connection:
        await connection.execute(statement.encode())
        if proxy is not None:
            proxy.fall_silent()
        if error is not None:
            raise error


@asynccontextmanager
async def silent_pool(dsn: str, connection: psycopg.Connection, size: int) -> AsyncIterator[tuple[Pool, Proxy]]:
    """All of its connections are silent, and new ones are not."""
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn, min_size=size, max_size=size) as pool:
        await pool.wait()
        proxy.fall_silent()
        yield pool, proxy
        await proxy.hang_up()


@pytest.mark.parametrize("size", [1, 10])
async def test_silent_connections_cost_one_limit_in_all(dsn: str, connection: psycopg.Connection, size: int) -> None:
    async with silent_pool(dsn, connection, size) as (pool, _):
        with taking(CLAIM - 0.1), pytest.raises(DatabaseUnreachable, match="no reply"):
            await run(pool)
        with taking(0):
            for _ in range(2 * size):
                await run(pool)


async def test_connections_that_replied_meanwhile_are_kept(dsn: str, connection: psycopg.Connection) -> None:
    """As where the server is slow, or one connection alone is lost."""
    async with open_pool(dsn, min_size=2, max_size=2) as pool:
        await pool.wait()
        with locked_row(dsn):
            waiting = asyncio.create_task(run(pool, LOCK_THE_ROW))
            assert await came_true(lambda: waiting_for_a_lock(connection) == 1)
            kept = await run(pool, BACKEND)
            with pytest.raises(DatabaseUnreachable):
                await waiting
            assert kept in {await run(pool, BACKEND) for _ in range(2)}


async def test_silence_before_a_rollback_leaves_the_blocks_own_error(dsn: str, connection: psycopg.Connection) -> None:
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn, max_size=1) as pool:
        with taking(CLAIM - 0.1), pytest.raises(LookupError, match="of the block"):
            await in_one_transaction(pool, "select 1", proxy, LookupError("of the block"))
        with taking(0):
            await run(pool)


async def test_silence_before_a_commit_is_no_success(dsn: str, connection: psycopg.Connection) -> None:
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn, max_size=1) as pool:
        with pytest.raises(DatabaseUnreachable, match="no reply"):
            await in_one_transaction(pool, "select 1", proxy)


async def test_the_pools_own_check_of_silent_connections_ends(dsn: str, connection: psycopg.Connection) -> None:
    async with silent_pool(dsn, connection, 2) as (pool, _):
        with taking(0):
            await pool.check()
        with taking(0):
            await run(pool)


async def test_a_commands_connection_is_opened_again_after_silence(dsn: str, connection: psycopg.Connection) -> None:
    async with running_proxy(dsn, connection) as proxy:
        source = CommandConnection(proxy.dsn, application="test")
        await run(source)
        proxy.fall_silent()
        with pytest.raises(DatabaseUnreachable, match="no reply"):
            await run(source)
        await run(source)
        await source.close()


async def test_connections_that_the_server_closed_cost_nobody_an_error(
    dsn: str, connection: psycopg.Connection
) -> None:
    """As a failover does, or a server's idle_session_timeout."""
    command = CommandConnection(dsn, application="test")
    async with open_pool(dsn, min_size=10) as pool:
        await pool.wait()
        await run(command)
        connection.execute(
            "select pg_terminate_backend(pid, 60000) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        sources: list[ConnectionSource] = [*[pool] * 20, command]
        for source in sources:
            with taking(0):
                await run(source)
    await command.close()


async def test_a_pool_that_is_used_up_says_so_within_the_purposes_limit(dsn: str) -> None:
    async with open_pool(dsn, max_size=1) as pool, pool.connection():
        with taking(CLAIM - 0.1), pytest.raises(NotConnected, match=r"was free within 1\.2 s"):
            await run(pool)


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[str]:
    """A database that is reached over TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed on this machine")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-keyout", str(tmp_path / "server.key"), "-out", str(tmp_path / "server.crt")),
        ],
        check=True,
        capture_output=True,
    )
    # An address of its own, since the port is not to be chosen; and Debian's server, since the wheel's has no TLS.
    address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(2, 254)}"
    with ExitStack() as running:
        try:
            server = running.enter_context(throwaway_server(major=15, settings={"listen_addresses": address}))
        except InvalidInput as error:
            pytest.skip(str(error))
        data = server.data_directory
        for name in ("server.key", "server.crt"):
            owned = data / name
            owned.write_bytes((tmp_path / name).read_bytes())
            os.chown(owned, data.stat().st_uid, -1)
            owned.chmod(0o600)
        (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.0/8 trust\n")
        over_tls = make_conninfo(server.dsn, host=address, sslmode="require")
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("alter system set ssl = on")
            connection.execute("select pg_reload_conf()")
        for _ in range(500):
            try:
                psycopg.connect(over_tls).close()
            except psycopg.OperationalError:
                time.sleep(0.01)
            else:
                break
        yield over_tls


@pytest.mark.once
@pytest.mark.usefixtures("unwatching")
@pytest.mark.parametrize("through_cancellation", [False, True])
async def test_the_limit_holds_over_tls_too(encrypted: str, through_cancellation: bool) -> None:
    with psycopg.connect(encrypted, autocommit=True) as connection, psycopg.connect(encrypted) as holder:
        connection.execute("create table organization (id text primary key)")
        connection.execute("insert into organization values ('acme')")
        async with open_pool(encrypted, max_size=1) as pool:
            assert await run(pool, "select ssl from pg_stat_ssl where pid = pg_backend_pid()") is True
            holder.execute(LOCK_THE_ROW)
            waiting = asyncio.create_task(run(pool, LOCK_THE_ROW))
            assert await came_true(lambda: waiting_for_a_lock(connection) == 1)
            if through_cancellation:
                waiting.cancel()
            with taking(0), pytest.raises((DatabaseUnreachable, asyncio.CancelledError)):
                await waiting
            await run(pool)
            assert waiting_for_a_lock(connection) == 1, "the statement goes on, nobody has cancelled it"


async def test_a_callers_own_error_is_not_taken_for_the_databases(pool: Pool) -> None:
    for error in (FileNotFoundError("of the caller"), ValueError("of the caller"), TimeoutError("of the caller")):
        with pytest.raises(type(error), match="of the caller"):
            await in_one_transaction(pool, "select 1", error=error)


async def test_a_single_connection_is_limited_too(dsn: str) -> None:
    opened: Connection = await connect(dsn, application="test")
    source = SingleConnection(opened)
    with locked_row(dsn), taking(0), pytest.raises(DatabaseUnreachable, match="no reply"):
        await run(source, LOCK_THE_ROW)
    assert opened.closed


async def test_a_long_piece_of_work_goes_on_as_long_as_it_gets_ahead(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + passed)
    lending = Borrowed(pool, purpose=Purpose.BULK)
    async with lending as borrowed:
        for _ in range(8):
            await borrowed.execute("select 1")
            passed += Purpose.BULK.seconds / 4
            lending.go_on()


async def test_what_was_given_up_leaves_no_session_that_waits_for_a_locked_table(
    pool: Pool, connection: psycopg.Connection
) -> None:
    limiter = RateLimiter(pool, if_unreachable="raise")
    limit = Limit(rate=1, per=timedelta(seconds=1), burst=1)
    with connection.transaction():
        connection.execute("lock table pending_rate_limit in access exclusive mode")
        given_up = await asyncio.gather(
            *(limiter.take("acme", str(number), limit) for number in range(10)), return_exceptions=True
        )
        assert {type(each) for each in given_up} <= {DatabaseUnreachable, NotConnected}
        assert await came_true(lambda: not waiting_for_a_lock(connection))
