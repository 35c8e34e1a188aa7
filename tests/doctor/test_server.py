"""doctor on a server with one thing wrong with it or its sessions: it is named, and its remedy works."""

from __future__ import annotations

import asyncio
import re

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.diagnosis.findings import Verdict
from pendingctl.doctor import examine, examine_schema
from pendingctl.embedded import throwaway_server
from pendingctl.embedded.pair import throwaway_pair
from pendingctl.schema import migrations
from tests.deliveries import until
from tests.doctor.examining import QUESTION, failing, finding, of, run_remedy, unread
from tests.embedded.servers import until_shown
from tests.locks import until_waiting_for_a_lock


@pytest.mark.once
async def test_a_standby_is_named_and_all_else_is_read_there_too() -> None:
    with throwaway_pair(settings={"cluster_name": "bot"}) as pair:
        migrations.apply(pair.primary.dsn)
        until_shown(pair)
        on_standby = [*await examine(pair.standby.dsn), *examine_schema(pair.standby.dsn)]
        through_both = await examine(pair.dsn)

    assert failing(on_standby) == ["primary", "durability"]
    assert unread(on_standby) == []
    assert "this server is a standby" in of(on_standby, "primary").sentence
    assert "target_session_attrs=read-write" in of(on_standby, "primary").remedies[0]
    assert of(through_both, "primary").verdict is Verdict.OK
    assert "fsync is off" in of(through_both, "durability").sentence


async def test_a_database_that_takes_no_writes_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(f"alter database {connection.info.dbname} set default_transaction_read_only = on")

    primary = await finding(dsn, "primary")

    assert (primary.verdict, "read_only is on" in primary.sentence) == (Verdict.FAIL, True)


async def test_whoever_blocks_a_claim_is_named_and_can_be_ended(
    dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pendingctl.diagnosis.sessions.WAIT_SECONDS", 0.0)
    connection.execute(QUESTION)
    holder = psycopg.connect(make_conninfo(dsn, application_name="report"))
    holder.execute("select from pending_interactions for update")
    waiter = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    waiting = asyncio.create_task(waiter.execute("update pending_interactions set pod = 'p'"))
    await until_waiting_for_a_lock(connection)

    locks = await finding(dsn, "locks")

    pid = holder.info.backend_pid
    waits = rf"1 session waits for a lock on our tables, the longest for \d+ m?s, held by pid {pid} \(report"
    assert re.match(waits, locks.sentence)
    assert locks.remedies == (f"select pg_terminate_backend({pid})",)
    run_remedy(connection, locks.remedies[0])
    await waiting
    assert (await finding(dsn, "locks")).verdict is Verdict.OK
    holder.close()
    await waiter.close()


async def test_an_old_transaction_is_named_and_can_be_ended(
    dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pendingctl.diagnosis.sessions.OLD_TRANSACTION_SECONDS", 0.0)
    holder = psycopg.connect(make_conninfo(dsn, application_name="report"))
    holder.execute("select from pending_interactions")

    transactions = await finding(dsn, "transactions")

    pid = holder.info.backend_pid
    assert (
        f"vacuum is held back, and dead rows pile up: pid {pid} (report, idle in transaction)" in transactions.sentence
    )
    run_remedy(connection, transactions.remedies[0])
    gone = "select not exists (select from pg_stat_activity where pid = %s)"
    await until(lambda: connection.execute(gone, [pid]).fetchone() == (True,))
    assert (await finding(dsn, "transactions")).verdict is Verdict.OK
    holder.close()


@pytest.mark.once
async def test_a_prepared_transaction_that_holds_a_row_is_named_and_can_be_rolled_back() -> None:
    with throwaway_server(settings={"max_prepared_transactions": "1"}) as server:
        migrations.apply(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("insert into organization (id) values ('acme')")
            connection.execute(QUESTION)
            connection.execute("begin; select from pending_interactions for update; prepare transaction 'forgotten'")

            locks = await finding(server.dsn, "locks")

            assert "a prepared transaction holds locks" in locks.sentence
            show, then = locks.remedies[0].split("; then: ")
            row = connection.execute(show.encode()).fetchone()
            assert row is not None
            run_remedy(connection, then.replace("GID", row[0]))
            assert (await finding(server.dsn, "locks")).verdict is Verdict.OK


@pytest.mark.once
async def test_a_slot_that_keeps_the_log_is_named_and_can_be_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendingctl.diagnosis.sessions.MOST_KEPT_BYTES", 1)
    with (
        throwaway_server(settings={"wal_level": "replica", "max_wal_senders": "1"}) as server,
        psycopg.connect(server.dsn, autocommit=True) as connection,
    ):
        migrations.apply(server.dsn)
        assert (await finding(server.dsn, "slots")).sentence == "no replication slot keeps any of the log"
        connection.execute("select pg_create_physical_replication_slot('forgotten', true)")
        connection.execute("create table written (n integer)")

        slots = await finding(server.dsn, "slots")

        assert slots.verdict is Verdict.WARN
        assert "forgotten (physical, inactive) keeps" in slots.sentence
        run_remedy(connection, slots.remedies[1].partition(": ")[2])
        assert (await finding(server.dsn, "slots")).verdict is Verdict.OK


async def test_a_setting_that_the_library_refuses_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(f"alter database {connection.info.dbname} set session_replication_role = replica")

    settings = await finding(dsn, "settings")

    assert (settings.verdict, "session_replication_role" in settings.sentence) == (Verdict.FAIL, True)


async def test_a_server_that_does_not_write_to_its_disk_is_named(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own server is one, which says that nothing of it is to last."""
    assert (await finding(dsn, "durability")).verdict is Verdict.WARN
    monkeypatch.setattr("pendingctl.diagnosis.server.THROWAWAY_CLUSTER", "another")

    durability = await finding(dsn, "durability")

    assert (durability.verdict, "fsync is off" in durability.sentence) == (Verdict.FAIL, True)
