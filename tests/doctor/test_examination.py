"""doctor examines a real server: nothing fails where nothing is wrong, and a check that fails breaks no other."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import make_conninfo

from pendingctl import open_pool
from pendingctl.diagnosis.findings import Verdict
from pendingctl.doctor import examine, examine_schema
from tests.doctor.examining import failing, finding, of, role, unread


async def test_a_database_as_it_should_be_fails_nowhere(dsn: str) -> None:
    checks = [*await examine(dsn), *examine_schema(dsn)]

    assert failing(checks) == []
    assert unread(checks) == []
    assert len({each.name for each in checks}) == len(checks) == 27


async def test_a_database_without_tables_breaks_no_check(empty_dsn: str) -> None:
    checks = [*await examine(empty_dsn), *examine_schema(empty_dsn)]

    assert failing(checks) == ["places", "migrations"]
    assert of(checks, "deliveries").verdict is Verdict.UNKNOWN
    assert "pendingctl migrate" in of(checks, "deliveries").remedies[0]


async def test_a_role_without_any_right_learns_what_it_cannot_see(dsn: str, connection: psycopg.Connection) -> None:
    with role(connection) as name:
        checks = [*await examine(make_conninfo(dsn, user=name)), *examine_schema(make_conninfo(dsn, user=name))]

        assert failing(checks) == ["rights"]
        cannot_see = {each.name for each in checks if each.finding.verdict is Verdict.UNKNOWN}
        assert cannot_see >= {"migrations", "plans", "sweep", "deliveries", "cards", "orphans", "transactions"}
        assert "permission denied" in of(checks, "deliveries").sentence
        assert "pg_read_all_stats" in of(checks, "transactions").remedies[0]
        async with open_pool(dsn) as pool:
            await pool.wait()
            assert "1 host has pods" in (await finding(make_conninfo(dsn, user=name), "pods")).sentence


async def test_a_setting_that_ends_the_session_on_an_error_breaks_no_check(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(f"alter database {connection.info.dbname} set exit_on_error = on")
    with role(connection) as name:
        checks = await examine(make_conninfo(dsn, user=name))

    assert of(checks, "connections").verdict is Verdict.OK


async def test_a_table_that_somebody_has_locked_holds_up_nothing(dsn: str) -> None:
    with psycopg.connect(dsn) as holder:
        holder.execute("lock table pending_interactions in access exclusive mode")
        checks = await examine(dsn)

    assert "lock timeout" in of(checks, "deliveries").sentence
    assert of(checks, "connections").verdict is Verdict.OK
