"""What a rollback loses: nothing that was accepted since it looked, and nothing that its confirmation leaves out."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from pendingctl import PendingStore
from pendingctl.errors import MigrationFailed, NotMigrated
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from pendingctl.schema import migrations
from tests.cli.terminals import written
from tests.commands import document, run
from tests.deliveries import LEASE
from tests.locks import until_waiting_for_a_lock
from tests.patience import be_patient
from tests.processes import ending
from tests.questions import PAYLOAD, SCOPE, click
from tests.schema.migrated import PATIENT, steps_back_to

CLAIM = (
    "update pending_interactions set claimed_at = now(), answer = 'yes', delivery_due_at = now() where id = 'q'"
    " and claimed_at is null"
)


async def roll_back(dsn: str, id: str) -> list[str]:
    return await asyncio.to_thread(migrations.rollback, dsn, steps_back_to(dsn, id), lock_timeout=PATIENT)


@contextmanager
def held_before_the_columns_go(connection: psycopg.Connection) -> Iterator[None]:
    """Hold a rollback up where it has looked for answers and has not dropped anything yet."""
    connection.execute(
        "create function wait_for_the_test() returns event_trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock(7); end $$"
    )
    connection.execute(
        "create event trigger held on ddl_command_start when tag in ('ALTER TABLE') "
        "execute function wait_for_the_test()"
    )
    connection.execute("select pg_advisory_lock(7)")
    yield
    connection.execute("select pg_advisory_unlock(7)")


async def test_a_rollback_waits_for_a_claim_that_is_under_way_and_then_refuses(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    with psycopg.connect(dsn) as claiming:
        claiming.execute(CLAIM)
        rolling_back = asyncio.create_task(roll_back(dsn, "0004_delivery"))
        await until_waiting_for_a_lock(connection)
        claiming.commit()

    with pytest.raises(MigrationFailed, match="there are undelivered answers; see: pendingctl list"):
        await rolling_back
    assert connection.execute("select answer, delivery_due_at is null from pending_interactions").fetchall() == [
        ("yes", False)
    ]


async def test_a_claim_that_comes_while_a_rollback_holds_the_table_is_refused_not_dropped(
    store: PendingStore, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The claim is to wait for the rollback, however slow that is.
    be_patient(monkeypatch, Purpose.CLAIM)
    await store.put("q", SCOPE, PAYLOAD)
    await asyncio.to_thread(migrations.rollback, dsn, steps_back_to(dsn, "0004_delivery") - 1)
    with held_before_the_columns_go(connection):
        rolling_back = asyncio.create_task(roll_back(dsn, "0004_delivery"))
        await until_waiting_for_a_lock(connection)
        claiming = asyncio.create_task(store.claim(click(), lease=LEASE))
        await until_waiting_for_a_lock(connection, sessions=2)

    assert await rolling_back == ["0004_delivery"]
    with pytest.raises(NotMigrated):
        await claiming
    assert connection.execute("select claimed_at, answer from pending_interactions").fetchall() == [(None, None)]


async def test_a_claim_is_seen_whatever_isolation_the_role_has(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute(
        sql.SQL("alter database {} set default_transaction_isolation = 'serializable'").format(
            sql.Identifier(connection.info.dbname)
        )
    )
    with psycopg.connect(dsn) as claiming:
        claiming.execute(CLAIM)
        rolling_back = asyncio.create_task(roll_back(dsn, "0004_delivery"))
        await until_waiting_for_a_lock(connection)
        claiming.commit()

    with pytest.raises(MigrationFailed, match="there are undelivered answers"):
        await rolling_back


@pytest.mark.parametrize(
    ("was", "reason"),
    [
        ("delivery_due_at = 'infinity', claimed_at = now()", "there are undelivered answers of applications"),
        ("claimed_at = null", "there are open questions of applications"),
    ],
)
async def test_what_an_application_has_not_finished_is_not_given_to_another(
    pool: Pool, dsn: str, connection: psycopg.Connection, was: str, reason: str
) -> None:
    await PendingStore(pool).put("unnamed", SCOPE, PAYLOAD)
    await PendingStore(pool, application="billing").put("q", SCOPE, PAYLOAD)
    connection.execute(f"update pending_interactions set {was} where id = 'q'".encode())

    with pytest.raises(MigrationFailed, match=f"{reason}, .* would mix up"):
        await roll_back(dsn, "0006_askings")

    connection.execute("update pending_interactions set claimed_at = now(), delivery_due_at = null where id = 'q'")
    assert await roll_back(dsn, "0006_askings") == ["0006_askings"]
    assert connection.execute("select id from pending_interactions order by id").fetchall() == [("q",), ("unnamed",)]


async def test_a_question_that_an_application_asks_during_a_rollback_is_seen(
    dsn: str, connection: psycopg.Connection
) -> None:
    await asyncio.to_thread(migrations.rollback, dsn, steps_back_to(dsn, "0006_askings") - 1)
    with psycopg.connect(dsn) as asking:
        asking.execute(
            "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload, "
            "application) values ('q', 'acme', 'slack', 'U1', '{}', 'billing')"
        )
        rolling_back = asyncio.create_task(roll_back(dsn, "0006_askings"))
        await until_waiting_for_a_lock(connection)
        asking.commit()

    with pytest.raises(MigrationFailed, match="there are open questions of applications"):
        await rolling_back


def test_a_table_that_references_the_organizations_keeps_them(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("create table invoice (organization_id text references organization)")

    with pytest.raises(MigrationFailed, match=r"rollback of 0001_organization failed: .*invoice depends on"):
        migrations.rollback(dsn, steps_back_to(dsn, "0001_organization"))

    assert connection.execute("select id from organization order by id").fetchall() == [("acme",), ("globex",)]


def test_a_rollback_does_not_wait_for_an_applications_own_organization(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as application:
        application.execute("create table organization (id text primary key)")
        migrations.apply(empty_dsn)
        migrations.rollback(empty_dsn, steps_back_to(empty_dsn, "0002_pending_interactions"))
        with application.transaction():
            application.execute("lock table organization in access exclusive mode")

            assert migrations.rollback(empty_dsn, 1, lock_timeout=timedelta(seconds=1)) == ["0001_organization"]


def test_a_rollback_that_fails_midway_names_what_is_rolled_back(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
        "values ('q', 'acme', 'slack', 'U1', '{}')"
    )
    connection.execute(CLAIM)

    with pytest.raises(MigrationFailed, match=r"undelivered.*; rollback of .*0005_delivery_indexes is done"):
        migrations.rollback(dsn, steps_back_to(dsn, "0004_delivery"))


def test_every_rollback_says_what_it_loses() -> None:
    for file in migrations.migrations_directory().glob("*.rollback.sql"):
        assert "-- loses: " in file.read_text(encoding="utf-8"), file.name


def test_a_dry_run_says_what_would_be_lost(dsn: str) -> None:
    count = steps_back_to(dsn, "0001_organization")
    said = document(run("migrate", "--rollback", str(count), "--dry-run", "-o", "json", "--dsn", dsn))

    assert "every question, those without an answer too" in said["would_lose"]
    assert "the organizations, where the table is pendingctl's own" in said["would_lose"]
    assert "nothing" not in said["would_lose"]
    assert migrations.status(dsn).pending == ()


def test_the_confirmation_says_what_is_lost(dsn: str) -> None:
    ours, theirs = pty.openpty()
    count = steps_back_to(dsn, "0003_answer")
    command = subprocess.Popen(
        [sys.executable, "-m", "pendingctl", "migrate", "--rollback", str(count)],
        env={**os.environ, "PENDINGCTL_DSN": dsn},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    with ending(command):
        os.close(theirs)
        said = written(ours, b"[y/N]")
        os.write(ours, b"n\n")
        command.communicate(timeout=60)
    os.close(ours)

    assert b"Lost for good: " in said
    assert b"the answers, and the delivery keys" in said
    assert b"who answered" in said
    assert command.returncode == 2
    assert migrations.status(dsn).pending == ()
