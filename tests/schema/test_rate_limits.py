"""Migration 0015: an unlogged table, which whoever may change questions may use, and its rollback."""

from __future__ import annotations

import psycopg

from pendingctl.schema import migrations
from pendingctl.schema_diff import diff_schema
from tests.schema.migrated import steps_back_to, tables


def test_whoever_may_change_questions_may_take_from_the_limits(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0015_rate_limits"))
    roles = [f"{connection.info.dbname}_{role}" for role in ("owner", "pod", "reader")]
    for role in roles:
        connection.execute(f"create role {role}".encode())
    owner, pod, reader = roles
    try:
        connection.execute(
            f"grant create on schema public to {owner}; alter table pending_interactions owner to {owner}; "
            f"grant select, update on pending_interactions to {pod}; "
            f"grant select on pending_interactions to {reader}".encode()
        )
        migrations.apply(dsn)

        may = """
            select array_agg(privilege order by privilege)
            from unnest(array['select', 'insert', 'update', 'delete']) as privilege
            where has_table_privilege(%s, 'pending_rate_limit', privilege)
        """
        everything = (["delete", "insert", "select", "update"],)
        assert connection.execute(may, [owner]).fetchone() == everything
        assert connection.execute(may, [pod]).fetchone() == everything
        assert connection.execute(may, [reader]).fetchone() == (None,)
    finally:
        connection.execute("alter table pending_interactions owner to current_user")
        connection.execute(f"drop owned by {', '.join(roles)}; drop role {', '.join(roles)}".encode())


def test_a_rollback_takes_the_limits_and_nothing_else(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("insert into pending_rate_limit values ('acme', 'questions', now())")
    migrations.rollback(dsn, steps_back_to(dsn, "0015_rate_limits") - 1)
    before = tables(connection)

    assert migrations.rollback(dsn, 1) == ["0015_rate_limits"]

    assert tables(connection) == before - {"pending_rate_limit"}
    assert migrations.apply(dsn, to="0015_rate_limits") == ["0015_rate_limits"]


def test_a_table_that_is_logged_is_a_difference(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("alter table pending_rate_limit set logged")

    (difference,) = diff_schema(dsn).differences

    assert (difference.object, difference.attribute) == ("public.pending_rate_limit", "persistence")
