"""Migrations 0006 and 0007 on a live table: its rows, pods of the version before, and the way back and forth again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from pendingctl import PendingStore, PutOutcome, open_pool
from pendingctl.errors import MigrationFailed
from pendingctl.schema import migrations
from tests.commands import Cli
from tests.locks import until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, click
from tests.schema import pods_before
from tests.schema.migrated import OURS, PATIENT, steps_back_to

BEFORE = OURS[4]
# The first number that is drawn. No id can have been asked so often by pods that counted from 1.
FIRST = 2**30

PARAMETERS: dict[str, object] = {
    "id": "q",
    "organization_id": "acme",
    "connection_id": "slack",
    "expected_user_id": "U1",
    "payload": '{"question": {"text": "Deploy?", "options": ["yes", "no"]}}',
    "awaited_for": None,
    "answer": "yes",
    "delivery_key": "key",
    "ask_number": None,
    "lease": None,
    "lease_token": None,
    "pod": "older",
    "limit": 10,
    "most_attempts": 20,
    "organization_ids": ["acme"],
    "connection_ids": ["slack"],
    "max_age": timedelta(hours=24),
    "include_undelivered": False,
    "batch_size": 100,
}


class OlderPod:
    """A pod of the version before, as a role that may use the tables and nothing else."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def run(self, statement: LiteralString, **changed: object) -> list[dict[str, object]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, {**PARAMETERS, **changed}).fetchall()

    def number(self, statement: LiteralString, **changed: object) -> int:
        (row,) = self.run(statement, **changed)
        assert isinstance(row["ask_number"], int)
        return row["ask_number"]


@pytest.fixture
def restricted(dsn: str, connection: psycopg.Connection) -> Iterator[str]:
    """The database as a role that has privileges on the tables alone."""
    role = sql.Identifier(f"pod_{connection.info.dbname}")
    connection.execute(sql.SQL("create role {} login").format(role))
    connection.execute(
        sql.SQL(
            "grant select, insert, update, delete on pending_interactions, pending_trail, sweep_cycle to {0}; "
            "grant select on organization to {0}"
        ).format(role)
    )
    yield make_conninfo(dsn, user=f"pod_{connection.info.dbname}")
    connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))


@pytest.fixture
def older_pod(restricted: str) -> Iterator[OlderPod]:
    with psycopg.connect(restricted, autocommit=True) as opened:
        yield OlderPod(opened)


def test_a_live_table_keeps_its_rows_and_is_not_rewritten(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0006_askings"))
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload, "
        "ask_number, claimed_at, delivery_due_at, awaited_until) "
        "select 'q' || n, 'acme', 'slack', 'U1', '{}', n, case n % 2 when 0 then now() end, "
        "       case n % 4 when 0 then now() end, now() from generate_series(1, 1000) as n"
    )
    columns = "id, entry_payload, ask_number, created_at, claimed_at, delivery_due_at, awaited_until, xmin"
    rows = f"select {columns} from pending_interactions order by id"
    file = "select pg_relation_filenode('pending_interactions')"
    before = connection.execute(rows).fetchall(), connection.execute(file).fetchall()

    assert migrations.apply(dsn) == OURS[5:]

    assert (connection.execute(rows).fetchall(), connection.execute(file).fetchall()) == before
    assert connection.execute("select distinct application, request_key from pending_interactions").fetchall() == [
        ("", None)
    ]


@pytest.mark.law(12)
async def test_questions_of_pods_before_are_asked_again_above_all_their_numbers(
    dsn: str, connection: psycopg.Connection, store: PendingStore
) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0006_askings"))
    connection.execute("alter table pending_interactions alter column ask_number set default 1")
    older = OlderPod(connection)
    for _ in range(3):
        older.run(pods_before.INSERT)
        older.run(pods_before.CLAIM)
        older.run(pods_before.REOPEN)
    assert older.run("select ask_number from pending_interactions") == [{"ask_number": 4}]
    migrations.apply(dsn)

    stored = await store.put("q", SCOPE, {"question": {"text": "Deploy now?"}})

    assert (stored.outcome, stored.ask_number >= FIRST) == (PutOutcome.SUPERSEDED, True)


@pytest.mark.law(12)
def test_numbers_begin_above_those_of_the_rows(dsn: str, connection: psycopg.Connection) -> None:
    """Should somebody have counted further than any pod does."""
    migrations.rollback(dsn, steps_back_to(dsn, "0006_askings"))
    connection.execute("alter table pending_interactions alter column ask_number set default 1")
    OlderPod(connection).run(pods_before.INSERT)
    connection.execute("update pending_interactions set ask_number = 2000000000")
    migrations.apply(dsn)

    assert OlderPod(connection).number(pods_before.INSERT, id="another") == 2_000_000_001


@pytest.mark.law(12)
def test_a_numbering_that_was_rolled_back_goes_on_where_it_was(dsn: str, connection: psycopg.Connection) -> None:
    older = OlderPod(connection)
    drawn = []
    for _ in range(2):
        drawn.append(older.number(pods_before.INSERT))
        older.run(pods_before.CLAIM)
        drawn.append(older.number(pods_before.REOPEN))
        connection.execute("delete from pending_interactions")
        migrations.rollback(dsn, steps_back_to(dsn, "0006_askings"))
        drawn.append(older.number(pods_before.INSERT))
        for _ in range(3):
            older.run(pods_before.CLAIM)
            drawn.append(older.number(pods_before.REOPEN))
        connection.execute("delete from pending_interactions")
        migrations.apply(dsn)

    assert drawn == sorted(set(drawn))


@pytest.mark.parametrize("steps", [OURS[5:], OURS[6:]], ids=["both", "the indexes"])
def test_they_are_rolled_back_and_applied_again(dsn: str, cli: Cli, steps: list[str]) -> None:
    assert migrations.rollback(dsn, len(steps)) == steps[::-1]
    assert migrations.apply(dsn) == steps

    assert cli("diff-schema").exit_code == 0


def test_a_freshly_migrated_database_is_as_the_schema_says(cli: Cli) -> None:
    compared = cli("diff-schema")

    assert compared.exit_code == 0, compared.output


async def roll_back_one(dsn: str) -> list[str]:
    return await asyncio.to_thread(migrations.rollback, dsn, 1, lock_timeout=PATIENT)


async def test_a_rollback_waits_for_the_claim_that_it_would_drop(
    dsn: str, connection: psycopg.Connection, store: PendingStore
) -> None:
    """It checks under the lock that makes the check true: the claim that came before is seen."""
    await store.put("q", SCOPE, PAYLOAD)
    migrations.rollback(dsn, steps_back_to(dsn, "0005_delivery_indexes"))
    with psycopg.connect(dsn) as claiming:
        claiming.execute(
            "update pending_interactions set claimed_at = now(), answer = 'yes', delivery_due_at = now() where id = 'q'"
        )
        rolling_back = asyncio.create_task(roll_back_one(dsn))
        await until_waiting_for_a_lock(connection)
        claiming.commit()

    with pytest.raises(MigrationFailed, match="there are undelivered answers"):
        await rolling_back
    assert connection.execute("select answer from pending_interactions").fetchone() == ("yes",)


async def test_a_rollback_waits_for_an_applications_claim(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool:
        await PendingStore(pool, application="deployer").put("q", SCOPE, PAYLOAD)
    migrations.rollback(dsn, steps_back_to(dsn, "0007_asking_indexes"))
    with psycopg.connect(dsn) as claiming:
        claiming.execute("update pending_interactions set claimed_at = now(), delivery_due_at = now() where id = 'q'")
        rolling_back = asyncio.create_task(roll_back_one(dsn))
        await until_waiting_for_a_lock(connection)
        claiming.commit()

    with pytest.raises(MigrationFailed, match="undelivered answers of applications"):
        await rolling_back


# Pods of the version before, on the migrated tables, with privileges on the tables alone.


@pytest.mark.law(12)
def test_pods_before_draw_numbers_that_never_meet(older_pod: OlderPod) -> None:
    """Each id by turns is asked, answered and asked again, or swept and asked again."""
    drawn = []
    for round in range(30):
        for id in ("a", "b", "c"):
            drawn.append(older_pod.number(pods_before.INSERT, id=id))
            older_pod.run(pods_before.CLAIM, id=id)
            drawn.append(older_pod.number(pods_before.REOPEN, id=id))
            if round % 2:
                older_pod.run(pods_before.CLAIM, id=id)
                drawn.append(older_pod.number(pods_before.REOPEN, id=id))
        older_pod.run("delete from pending_interactions returning id")

    assert drawn == sorted(set(drawn))
    assert drawn[0] >= FIRST


@pytest.mark.law(12)
async def test_pods_of_both_versions_draw_numbers_that_never_meet(older_pod: OlderPod, store: PendingStore) -> None:
    drawn = [(await store.put("q", SCOPE, PAYLOAD)).ask_number]
    for round in range(20):
        older_pod.run(pods_before.CLAIM)
        if round % 2:
            drawn.append((await store.put("q", SCOPE, PAYLOAD)).ask_number)
        else:
            drawn.append(older_pod.number(pods_before.REOPEN))
        drawn.append((await store.put(f"another-{round}", SCOPE, PAYLOAD)).ask_number)

    assert drawn == sorted(set(drawn))


@pytest.mark.law(12)
def test_the_greatest_number_that_a_row_can_hold_is_asked_again(
    older_pod: OlderPod, connection: psycopg.Connection
) -> None:
    older_pod.run(pods_before.INSERT)
    older_pod.run(pods_before.CLAIM)
    connection.execute("update pending_interactions set ask_number = 2147483647")

    connection.execute("update pending_interactions set ask_number = default")

    assert connection.execute("select ask_number < 2147483647 from pending_interactions").fetchone() == (True,)


def test_what_pods_before_do_still_works(older_pod: OlderPod, connection: psycopg.Connection) -> None:
    token = UUID(int=1)
    stored = older_pod.number(pods_before.INSERT)
    assert older_pod.number(pods_before.REFRESH) == stored
    (claim,) = older_pod.run(pods_before.CLAIM, lease=timedelta(0), lease_token=token, ask_number=stored)
    (leased,) = older_pod.run(pods_before.LEASE, lease=timedelta(seconds=30))
    marked = older_pod.run(pods_before.MARK_DELIVERED, ask_number=stored, lease_token=leased["lease_token"])
    connection.execute("update pending_interactions set card = '1', card_due_at = now()")
    (card,) = older_pod.run(pods_before.LEASE_CARDS, lease=timedelta(seconds=30))
    connection.execute("update pending_interactions set created_at = now() - interval '25 hours'")

    assert (claim["ask_number"], leased["answer"], marked, card["card"]) == (stored, "yes", [{"id": "q"}], 1)
    assert older_pod.run(pods_before.SWEEP) == [{"id": "q"}]


async def test_what_a_pod_before_asked_again_can_be_put_anew(older_pod: OlderPod, store: PendingStore) -> None:
    """It forgets the time of an asker, and leaves the asker's name."""
    await store.put("q", SCOPE, PAYLOAD, awaited_by=UUID(int=1))
    older_pod.run(pods_before.CLAIM)
    older_pod.run(pods_before.REOPEN)

    stored = await store.put("q", SCOPE, {"question": {"text": "Deploy now?"}})

    assert stored.outcome is PutOutcome.SUPERSEDED


async def test_the_store_needs_privileges_on_its_tables_alone(restricted: str) -> None:
    async with open_pool(restricted) as pool:
        store = PendingStore(pool)
        first = await store.put("q", SCOPE, PAYLOAD)
        await store.claim(click())
        again = await store.put("q", SCOPE, PAYLOAD)

    assert (again.outcome, again.ask_number > first.ask_number) == (PutOutcome.REOPENED, True)
