"""doctor on a real server with one thing wrong at a time: it is named, and its remedy works."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import Delivery, PendingStore, __version__, open_pool
from pendingctl.diagnosis.findings import Finding, Verdict
from pendingctl.doctor import Check, examine, examine_schema
from pendingctl.embedded import throwaway_server
from pendingctl.embedded.pair import throwaway_pair
from pendingctl.events.ring import Ring, Turn
from pendingctl.schema import migrations
from tests.deliveries import Worker, claimed, run_out, until
from tests.events.writers import append
from tests.locks import until_waiting_for_a_lock
from tests.questions import age

QUESTION = """
    insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)
    values ('q', 'acme', 'slack', 'U1', '{"question": {"text": "Deploy?"}}')
"""
MANY = """
    insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)
    select 'many-' || n, 'acme', 'slack', 'U1', '{}' from generate_series(1, 20000) as n
"""


def of(checks: list[Check], name: str) -> Finding:
    (check,) = [each for each in checks if each.name == name]
    return check.finding


async def finding(dsn: str, name: str) -> Finding:
    return of(await examine(dsn), name)


def failing(checks: list[Check]) -> list[str]:
    return [each.name for each in checks if each.finding.verdict is Verdict.FAIL]


def unread(checks: list[Check]) -> list[str]:
    return [f"{each.name}: {each.finding.sentence}" for each in checks if each.facts is None]


def run_remedy(connection: psycopg.Connection, remedy: str) -> None:
    connection.execute(remedy.encode())


@contextmanager
def role(connection: psycopg.Connection, *rights: str) -> Iterator[str]:
    """A role that owns nothing, and may do what the rights say."""
    name = f"{connection.info.dbname}_role"
    as_identifier = sql.Identifier(name)
    connection.execute(sql.SQL("create role {} login").format(as_identifier))
    try:
        for right in rights:
            connection.execute(sql.SQL("grant {} to {}").format(sql.SQL(right), as_identifier))
        yield name
    finally:
        connection.execute(sql.SQL("drop owned by {0}").format(as_identifier))
        connection.execute(sql.SQL("drop role {}").format(as_identifier))


async def test_a_database_as_it_should_be_fails_nowhere(dsn: str) -> None:
    checks = [*await examine(dsn), *examine_schema(dsn)]

    assert failing(checks) == []
    assert unread(checks) == []
    assert len({each.name for each in checks}) == len(checks) == 27


@pytest.mark.once
async def test_a_standby_is_named_and_all_else_is_read_there_too() -> None:
    with throwaway_pair(settings={"cluster_name": "bot"}) as pair:
        migrations.apply(pair.primary.dsn)
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


async def test_a_missing_migration_is_named(empty_dsn: str) -> None:
    migrations.apply(empty_dsn, to="0009_ending_indexes")

    checks = [*await examine(empty_dsn), *examine_schema(empty_dsn)]

    assert {"migrations", "indexes"} <= set(failing(checks))
    assert "0010_posts … 0017_question_stream_indexes" in of(checks, "migrations").sentence
    assert of(checks, "migrations").remedies == ("pendingctl migrate",)
    assert of(checks, "drift").verdict is Verdict.WARN
    migrations.apply(empty_dsn)
    assert failing([*await examine(empty_dsn), *examine_schema(empty_dsn)]) == []


async def test_a_database_without_tables_breaks_no_check(empty_dsn: str) -> None:
    checks = [*await examine(empty_dsn), *examine_schema(empty_dsn)]

    assert failing(checks) == ["places", "migrations"]
    assert of(checks, "deliveries").verdict is Verdict.UNKNOWN
    assert "pendingctl migrate" in of(checks, "deliveries").remedies[0]


def test_without_the_parser_the_drift_is_unknown_with_how_to_install_it(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)

    drift = of(examine_schema(dsn), "drift")

    assert drift.verdict is Verdict.UNKNOWN
    assert drift.remedies == ("pip install 'pendingctl[schema,embedded]'",)


async def test_whoever_blocks_a_claim_is_named_and_can_be_ended(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(QUESTION)
    holder = psycopg.connect(make_conninfo(dsn, application_name="report"))
    holder.execute("select from pending_interactions for update")
    waiter = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    waiting = asyncio.create_task(waiter.execute("update pending_interactions set pod = 'p'"))
    await until_waiting_for_a_lock(connection)

    locks = await finding(dsn, "locks")
    for _ in range(100):
        if locks.verdict is Verdict.FAIL:
            break
        locks = await finding(dsn, "locks")

    pid = holder.info.backend_pid
    assert f"1 session waits for a lock on our tables, the longest for 1 s, held by pid {pid} (report" in locks.sentence
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


async def test_rights_that_were_revoked_are_named_and_granted_again(dsn: str, connection: psycopg.Connection) -> None:
    rights = (
        "select, insert, update, delete on pending_interactions",
        "select, insert, update on pending_applications",
        "select, insert, update, delete on pending_trail",
        "select, insert, update, delete on pending_pods",
        "select, insert, update, delete on pending_rate_limit",
        "select, update on sweep_cycle",
        "select, insert, update, delete on pending_stream",
        "select, insert, delete on pending_stream_event",
        *(f"truncate on pending_stream_event_{slot}" for slot in range(4)),
        "select, update on pending_stream_ring",
        "select on pendingctl_migration",
    )
    with role(connection, *rights) as name:
        as_role = make_conninfo(dsn, user=name)
        checks = [*await examine(as_role), *examine_schema(as_role)]
        assert failing(checks) == []
        assert unread(checks) == []
        with psycopg.connect(as_role, autocommit=True) as pod:
            # Neither the identity's sequence nor the triggers' functions ask for a right of their own.
            pod.execute(QUESTION)
            pod.execute("update pending_interactions set stream = 'talk'")
            pod.execute("update pending_interactions set ask_number = default")
            pod.execute("update pending_interactions set ask_number = ask_number + 1")
            pod.execute("delete from pending_interactions")

        connection.execute(f"revoke update, delete on pending_interactions from {name}")
        finding_of_rights = await finding(as_role, "rights")
        assert finding_of_rights.verdict is Verdict.FAIL
        assert f"role {name} lacks update, delete on public.pending_interactions" in finding_of_rights.sentence

        run_remedy(connection, finding_of_rights.remedies[0])
        assert (await finding(as_role, "rights")).verdict is Verdict.OK


async def test_a_role_without_any_right_learns_what_it_cannot_see(dsn: str, connection: psycopg.Connection) -> None:
    with role(connection) as name:
        checks = [*await examine(make_conninfo(dsn, user=name)), *examine_schema(make_conninfo(dsn, user=name))]

        assert failing(checks) == ["rights"]
        cannot_see = {each.name for each in checks if each.finding.verdict is Verdict.UNKNOWN}
        assert cannot_see >= {"migrations", "plans", "sweep", "deliveries", "cards", "orphans", "transactions"}
        assert "permission denied" in of(checks, "deliveries").sentence
        assert "pg_read_all_stats" in of(checks, "transactions").remedies[0]
        async with open_pool(dsn):
            assert "1 host has pods" in (await finding(make_conninfo(dsn, user=name), "pods")).sentence


async def test_a_role_that_only_reads_is_no_failure(dsn: str, connection: psycopg.Connection) -> None:
    with role(connection, "select on all tables in schema public") as name:
        checks = await examine(make_conninfo(dsn, user=name))

        assert failing(checks) == []
        assert "may only read" in of(checks, "rights").sentence


async def test_an_invalid_index_is_named_and_built_again(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(
        "update pg_index set indisvalid = false where indexrelid = 'idx_pending_interactions_due'::regclass"
    )

    indexes = await finding(dsn, "indexes")

    assert indexes.verdict is Verdict.FAIL
    assert "idx_pending_interactions_due is invalid" in indexes.sentence
    run_remedy(connection, indexes.remedies[0])
    assert (await finding(dsn, "indexes")).verdict is Verdict.OK


async def test_an_index_that_is_missing_is_named_with_its_statement(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("drop index idx_pending_interactions_deadline")

    indexes = await finding(dsn, "indexes")

    assert indexes.verdict is Verdict.FAIL
    run_remedy(connection, indexes.remedies[0].partition(": ")[2])
    assert (await finding(dsn, "indexes")).verdict is Verdict.OK


async def test_a_hot_statement_that_scans_a_big_table_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(MANY)
    connection.execute("analyze pending_interactions")
    assert (await finding(dsn, "plans")).verdict is Verdict.OK

    connection.execute("drop index idx_pending_interactions_unclaimed")
    connection.execute("alter table pending_interactions drop constraint pending_interactions_pkey")

    plans = await finding(dsn, "plans")
    assert plans.verdict is Verdict.WARN
    assert "LOOK" in plans.sentence
    assert "20,000 rows" in plans.sentence


async def test_tables_of_another_schema_in_the_way_are_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("create schema other; create table other.sweep_cycle (n integer)")
    hidden_by = make_conninfo(dsn, options="-csearch_path=other,public")

    places = await finding(hidden_by, "places")

    assert places.verdict is Verdict.FAIL
    assert "finds other.sweep_cycle in place of the tables of schema public" in places.sentence
    assert "csearch_path%3Dpublic" in places.remedies[0]
    assert (await finding(make_conninfo(dsn, options="-csearch_path=public"), "places")).verdict is Verdict.OK
    behind = await finding(make_conninfo(dsn, options="-csearch_path=public,other"), "places")
    assert (behind.verdict, "hide others" in behind.sentence) == (Verdict.WARN, True)


async def test_tables_that_the_search_path_does_not_find_are_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("create schema other")

    places = await finding(make_conninfo(dsn, options="-csearch_path=other"), "places")

    assert places.verdict is Verdict.FAIL
    assert "the tables are in schema public, which the search_path (other) does not find" in places.sentence


async def test_a_sweep_that_does_not_run_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(QUESTION)
    age(connection, hours=26)
    late = await finding(dsn, "sweep")
    age(connection, hours=24)
    never = await finding(dsn, "sweep")

    assert (late.verdict, never.verdict) == (Verdict.WARN, Verdict.FAIL)
    assert "nobody sweeps: 1 row is stale, the oldest since 1 d 2 h; no sweep --every" in never.sentence


async def test_an_application_that_nobody_serves_is_named(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool:
        await claimed(PendingStore(pool, application="billing"))
    assert (await finding(dsn, "orphans")).verdict is Verdict.OK
    run_out(connection)
    connection.execute("update pending_interactions set delivery_due_at = now() - interval '10 minutes'")

    orphans = await finding(dsn, "orphans")

    assert orphans.verdict is Verdict.FAIL
    assert (
        "of application 'billing' 1 ending waits to be delivered, the longest for 10 min: no pod serves it"
        in orphans.sentence
    )
    assert "application='billing'" in orphans.remedies[0]
    worker = Worker()
    async with open_pool(dsn) as pool, Delivery(PendingStore(pool, application="billing"), worker):
        await until(lambda: worker.ids == ["q"])
    assert (await finding(dsn, "orphans")).verdict is Verdict.OK


async def test_a_stuck_answer_is_named_with_its_remedy(
    dsn: str, store: PendingStore, connection: psycopg.Connection
) -> None:
    await claimed(store)
    connection.execute("update pending_interactions set delivery_due_at = 'infinity'")

    deliveries = await finding(dsn, "deliveries")

    assert (deliveries.verdict, "1 ending is stuck" in deliveries.sentence) == (Verdict.FAIL, True)
    await store.leases.redeliver(["q"])
    assert (await finding(dsn, "deliveries")).verdict is Verdict.OK


async def test_a_card_that_nobody_posts_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(QUESTION)
    connection.execute("update pending_interactions set post_due_at = now() - interval '1 hour'")

    checks = await examine(dsn)

    assert "due for 1 h" in of(checks, "cards").sentence
    assert "it registers acme/slack" in of(checks, "orphans").remedies[0]


async def test_pods_are_known_by_their_sessions(dsn: str) -> None:
    assert (await finding(dsn, "pods")).verdict is Verdict.UNKNOWN

    async with open_pool(dsn), open_pool(dsn, application="pendingctl pod 0.0.9 old-host"):
        pods = await finding(dsn, "pods")

    assert pods.verdict is Verdict.WARN
    assert "2 hosts have pods with 2 sessions" in pods.sentence
    assert f"versions 0.0.9, {__version__}" in pods.sentence


async def test_pods_are_known_by_what_they_note(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool, Delivery(PendingStore(pool, pod="bot-1"), Worker()):
        await until(lambda: connection.execute("select from pending_pods").fetchone() is not None)
        alive = await finding(dsn, "pods")
        connection.execute("update pending_pods set seen_at = now() - interval '2 minutes', answers = 2")
        connection.execute(QUESTION)
        connection.execute("update pending_interactions set post_due_at = now() - interval '1 hour'")
        dead = await finding(dsn, "pods")

    assert (alive.verdict, alive.sentence) == (Verdict.OK, f"1 pod is alive: bot-1; version {__version__}")
    assert dead.verdict is Verdict.FAIL
    assert dead.sentence == "no pod is alive, and something has been due for 1 h; bot-1 died 2 min ago with 2 answers"


async def test_a_role_that_may_not_read_the_notes_knows_pods_by_their_sessions(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute("drop table pending_pods")

    async with open_pool(dsn):
        assert "1 host has pods with 1 session" in (await finding(dsn, "pods")).sentence


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


async def test_sequences_that_were_not_copied_are_named_and_set(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool:
        await claimed(PendingStore(pool), "q")
    append(connection, "one")
    assert (await finding(dsn, "sequences")).verdict is Verdict.OK
    # As a logical replica has them: rows are copied, and no sequence's state.
    connection.execute("alter table pending_interactions alter column ask_number restart")
    connection.execute("alter table pending_trail alter column id restart")
    connection.execute("alter table pending_stream alter column id restart")

    behind = await finding(dsn, "sequences")

    assert (behind.verdict, len(behind.remedies)) == (Verdict.FAIL, 3)
    for remedy in behind.remedies:
        run_remedy(connection, remedy)
    assert (await finding(dsn, "sequences")).verdict is Verdict.OK


async def test_a_ring_that_nothing_can_be_appended_to_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("delete from pending_stream_ring")
    gone = await finding(dsn, "ring")
    run_remedy(connection, gone.remedies[0])
    connection.execute("alter table pending_stream_event detach partition pending_stream_event_2")
    detached = await finding(dsn, "ring")
    run_remedy(connection, detached.remedies[0])

    assert (gone.verdict, "pending_stream_ring is gone" in gone.sentence) == (Verdict.FAIL, True)
    assert (detached.verdict, "pending_stream_event_2 is no part" in detached.sentence) == (Verdict.FAIL, True)
    assert await finding(dsn, "ring") == Finding(Verdict.OK, "the ring of streams holds no event")


async def test_a_ring_that_nobody_turns_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("update pending_stream_ring set turned_at = now() - interval '10 hours'")
    unused = await finding(dsn, "ring")
    append(connection, "x")
    late = await finding(dsn, "ring")
    async with open_pool(dsn) as pool:
        assert await Ring(pool, pod="p").turn() is Turn.TURNED

    assert unused.verdict is Verdict.OK
    assert (late.verdict, late.remedies[0]) == (Verdict.WARN, "pendingctl sweep")
    assert "is 1 h 59 min late, and its tables grow: 80 kB of events, kept for 1 d" in late.sentence
    assert "turns in time" in (await finding(dsn, "ring")).sentence


async def test_it_is_said_whether_the_trail_is_kept(dsn: str, connection: psycopg.Connection) -> None:
    kept = await finding(dsn, "trail")
    connection.execute(f"alter database {connection.info.dbname} set pendingctl.trail = off")
    off = await finding(dsn, "trail")
    connection.execute("drop table pending_trail")

    assert (kept.verdict, "the trail is kept" in kept.sentence) == (Verdict.OK, True)
    assert (off.verdict, "the trail is not kept" in off.sentence) == (Verdict.OK, True)
    assert "pendingctl migrate" in (await finding(dsn, "trail")).remedies[0]


async def test_a_setting_that_the_library_refuses_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(f"alter database {connection.info.dbname} set session_replication_role = replica")

    settings = await finding(dsn, "settings")

    assert (settings.verdict, "session_replication_role" in settings.sentence) == (Verdict.FAIL, True)


async def test_a_setting_that_ends_the_session_on_an_error_breaks_no_check(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(f"alter database {connection.info.dbname} set exit_on_error = on")
    with role(connection) as name:
        checks = await examine(make_conninfo(dsn, user=name))

    assert of(checks, "connections").verdict is Verdict.OK


async def test_a_server_that_does_not_write_to_its_disk_is_named(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own server is one, which says that nothing of it is to last."""
    assert (await finding(dsn, "durability")).verdict is Verdict.WARN
    monkeypatch.setattr("pendingctl.diagnosis.server.THROWAWAY_CLUSTER", "another")

    durability = await finding(dsn, "durability")

    assert (durability.verdict, "fsync is off" in durability.sentence) == (Verdict.FAIL, True)


async def test_a_table_that_somebody_has_locked_holds_up_nothing(dsn: str) -> None:
    with psycopg.connect(dsn) as holder:
        holder.execute("lock table pending_interactions in access exclusive mode")
        checks = await examine(dsn)

    assert "lock timeout" in of(checks, "deliveries").sentence
    assert of(checks, "connections").verdict is Verdict.OK
