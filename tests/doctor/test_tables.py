"""doctor on tables with one thing wrong at a time, their rights included: it is named, and its remedy works."""

from __future__ import annotations

import sys

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import PendingStore, open_pool
from pendingctl.diagnosis.findings import Finding, Verdict
from pendingctl.doctor import examine, examine_schema
from pendingctl.events.ring import Ring, Turn
from pendingctl.schema import migrations
from tests.deliveries import claimed
from tests.doctor.examining import QUESTION, failing, finding, of, role, run_remedy, unread
from tests.events.writers import append

pytestmark = pytest.mark.usefixtures("patient")

MANY = """
    insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)
    select 'many-' || n, 'acme', 'slack', 'U1', '{}' from generate_series(1, 20000) as n
"""


async def test_a_missing_migration_is_named(empty_dsn: str) -> None:
    migrations.apply(empty_dsn, to="0009_ending_indexes")

    checks = [*await examine(empty_dsn), *examine_schema(empty_dsn)]

    assert {"migrations", "indexes"} <= set(failing(checks))
    assert "0010_posts … 0017_question_stream_indexes" in of(checks, "migrations").sentence
    assert of(checks, "migrations").remedies == ("pendingctl migrate",)
    assert of(checks, "drift").verdict is Verdict.WARN
    migrations.apply(empty_dsn)
    assert failing([*await examine(empty_dsn), *examine_schema(empty_dsn)]) == []


def test_without_the_parser_the_drift_is_unknown_with_how_to_install_it(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)

    drift = of(examine_schema(dsn), "drift")

    assert drift.verdict is Verdict.UNKNOWN
    assert drift.remedies == ("pip install 'pendingctl[schema,embedded]'",)


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
    connection.execute("update pending_stream_ring set turned_at = now() - interval '33 hours 30 minutes'")
    unused = await finding(dsn, "ring")
    append(connection, "x")
    late = await finding(dsn, "ring")
    async with open_pool(dsn) as pool:
        assert await Ring(pool, pod="p").turn() is Turn.TURNED

    assert unused.verdict is Verdict.OK
    assert (late.verdict, late.remedies[0]) == (Verdict.WARN, "pendingctl sweep")
    assert "is 1 d 1 h late, and its tables grow: 80 kB of events, kept for 1 d" in late.sentence
    assert "turns in time" in (await finding(dsn, "ring")).sentence


async def test_it_is_said_whether_the_trail_is_kept(dsn: str, connection: psycopg.Connection) -> None:
    kept = await finding(dsn, "trail")
    connection.execute(f"alter database {connection.info.dbname} set pendingctl.trail = off")
    off = await finding(dsn, "trail")
    connection.execute("drop table pending_trail")

    assert (kept.verdict, "the trail is kept" in kept.sentence) == (Verdict.OK, True)
    assert (off.verdict, "the trail is not kept" in off.sentence) == (Verdict.OK, True)
    assert "pendingctl migrate" in (await finding(dsn, "trail")).remedies[0]
