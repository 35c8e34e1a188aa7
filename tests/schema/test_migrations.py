"""Our own migrations: forth and back, beside pods of the version before, and in an application's own database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import PendingStore, State
from pendingctl.errors import InvalidInput, MigrationFailed, Refused
from pendingctl.schema import migrations
from tests.questions import PAYLOAD, SCOPE, click
from tests.schema.migrated import OURS, PATIENT, steps_back_to, tables


def test_the_migrations_apply_once_and_roll_back_to_nothing(empty_dsn: str, empty: psycopg.Connection) -> None:
    assert migrations.apply(empty_dsn) == OURS
    assert migrations.apply(empty_dsn) == []
    assert migrations.status(empty_dsn).pending == ()
    assert tables(empty) == {
        "organization",
        "pending_applications",
        "pending_interactions",
        "pending_pods",
        "pending_rate_limit",
        "pending_stream",
        "pending_stream_event",
        "pending_stream_event_0",
        "pending_stream_event_1",
        "pending_stream_event_2",
        "pending_stream_event_3",
        "pending_stream_ring",
        "pending_trail",
        "pendingctl_migration",
        "sweep_cycle",
    }

    assert migrations.rollback(empty_dsn, len(OURS)) == OURS[::-1]
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


@pytest.mark.law(10)
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


def test_ddl_waits_for_a_lock_only_so_long(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0004_delivery"))
    with psycopg.connect(dsn) as busy:
        # The end of the long transaction, should the migration wait for it.
        busy.execute("set idle_in_transaction_session_timeout = '60s'")
        busy.execute("select count(*) from pending_interactions")

        with pytest.raises(MigrationFailed, match=r"got no lock within 0.3 s"):
            migrations.apply(dsn, lock_timeout=timedelta(seconds=0.3))

        # Nobody stands in the queue behind it.
        connection.execute("select count(*) from pending_interactions")
    assert migrations.apply(dsn) == OURS[3:]


def test_pods_of_the_version_before_work_while_it_is_migrated(dsn: str, connection: psycopg.Connection) -> None:
    """The statements of the version before 0004 know nothing of deliveries: what they claim is delivered."""
    migrations.rollback(dsn, steps_back_to(dsn, "0004_delivery"))
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
        try:
            assert migrations.apply(dsn, lock_timeout=PATIENT) == OURS[3:]
        finally:
            ended.set()
        rounds = sum(each.result() for each in working)

    assert connection.execute(
        "select count(*), count(claimed_at), count(delivery_due_at) from pending_interactions"
    ).fetchone() == (rounds, rounds, 0)


@pytest.mark.law(6)
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
        migrations.rollback(dsn, steps_back_to(dsn, "0004_delivery"))

    connection.execute("update pending_interactions set delivery_due_at = null")
    migrations.rollback(dsn, 1)


def test_up_to_a_migration(empty_dsn: str) -> None:
    assert migrations.apply(empty_dsn, to=OURS[1]) == OURS[:2]
    assert migrations.status(empty_dsn).pending == tuple(OURS[2:])
    assert migrations.apply(empty_dsn, to=OURS[0]) == []
    with pytest.raises(InvalidInput, match="no migration nowhere; there are: 0001_organization"):
        migrations.apply(empty_dsn, to="nowhere")


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
        migrations.rollback(empty_dsn, len(OURS))

        assert owned.execute("select * from organization").fetchall() == [("acme", "free")]
