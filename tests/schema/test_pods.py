"""Migration 0013 beside pods of the version before it, and taken back."""

from __future__ import annotations

import psycopg

from pendingctl.schema import migrations
from tests.schema.migrated import steps_back_to, tables


def test_whoever_may_change_questions_may_note_that_it_lives(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0013_pods"))
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

        # With a comma one of them would be enough.
        may = """
            select array_agg(privilege order by privilege)
            from unnest(array['select', 'insert', 'update', 'delete']) as privilege
            where has_table_privilege(%s, 'pending_pods', privilege)
        """
        everything = (["delete", "insert", "select", "update"],)
        assert connection.execute(may, [owner]).fetchone() == everything
        assert connection.execute(may, [pod]).fetchone() == everything
        assert connection.execute(may, [reader]).fetchone() == (None,)
    finally:
        connection.execute("alter table pending_interactions owner to current_user")
        connection.execute(f"drop owned by {', '.join(roles)}; drop role {', '.join(roles)}".encode())


def test_a_rollback_takes_the_notes_and_nothing_else(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into pending_pods values (gen_random_uuid(), 'pod-1', '', '0.1.0', now(), now(), 1, 0, 0, 0)"
    )
    migrations.rollback(dsn, steps_back_to(dsn, "0013_pods") - 1)
    before = tables(connection)

    assert migrations.rollback(dsn, 1) == ["0013_pods"]

    assert tables(connection) == before - {"pending_pods"}
    assert migrations.apply(dsn, to="0013_pods") == ["0013_pods"]
