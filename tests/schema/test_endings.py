"""Migrations 0008 and 0009 on a live table, beside pods of the version before, and on the way back."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pendingctl import PendingStore, Refusal, RefusalReason
from pendingctl.errors import MigrationFailed
from pendingctl.model import Outcome
from pendingctl.schema import migrations
from tests.questions import PAYLOAD, SCOPE, click
from tests.schema.migrated import OURS, steps_back_to

HOUR = timedelta(hours=1)
# As the version before asks an id again, open or ended: it knows nothing of the columns that 0008 adds.
ASK_AGAIN = """
    update pending_interactions
    set entry_payload = '{}', ask_number = default, created_at = clock_timestamp(), claimed_at = null, answer = null,
        lease_token = null, delivery_attempts = 0, delivered_at = null, withdrawn_at = null, posted_at = null
    where id = 'q' and delivery_due_at is null
    returning ask_number
"""
ENDING = "select claimed_at is null, expires_at, default_answer, outcome, ending_due_at from pending_interactions"


def pass_the_deadline(connection: psycopg.Connection) -> None:
    connection.execute("update pending_interactions set expires_at = clock_timestamp() - interval '1 ms'")


async def test_a_live_table_keeps_its_rows_and_is_not_rewritten(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0008_endings"))
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
        "select 'q' || n, 'acme', 'slack', 'U1', '{}' from generate_series(1, 1000) as n"
    )
    rows = "select id, ask_number, created_at, xmin from pending_interactions order by id"
    file = "select pg_relation_filenode('pending_interactions')"
    before = connection.execute(rows).fetchall(), connection.execute(file).fetchall()

    assert migrations.apply(dsn) == OURS[7:]

    assert (connection.execute(rows).fetchall(), connection.execute(file).fetchall()) == before


async def test_what_a_pod_of_the_version_before_asks_again_has_no_deadline_of_before(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")

    assert connection.execute(ASK_AGAIN).fetchone() is not None
    assert connection.execute(ENDING).fetchone() == (True, None, None, None, None)


async def test_nor_how_the_asking_before_has_ended(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)

    assert connection.execute(ASK_AGAIN).fetchone() is not None
    assert connection.execute(ENDING).fetchone() == (True, None, None, None, None)


@pytest.mark.law(14)
async def test_a_pod_of_the_version_before_asks_nothing_again_whose_ending_is_undelivered(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(frozenset(Outcome))
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)

    assert connection.execute(ASK_AGAIN).fetchone() is None
    assert len(await store.leases.lease(lease=HOUR, limit=1, most_attempts=20, endings=True)) == 1


async def test_a_pod_of_the_version_before_sees_what_has_expired_as_withdrawn(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)

    seen = "select withdrawn_at is not null, answer, delivery_due_at from pending_interactions"
    assert connection.execute(seen).fetchone() == (True, None, None)


@pytest.mark.parametrize("drawn_by", ["store", "transaction"])
async def test_a_new_asking_has_its_own_deadline(
    store: PendingStore, connection: psycopg.Connection, drawn_by: str
) -> None:
    """In one transaction the clock of both askings is the same but for microseconds."""
    if drawn_by == "store":
        await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
        await store.put("q", SCOPE, {"question": {"text": "Another?"}}, expires_in=HOUR)
    else:
        async with store.transaction() as opened:
            await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, connection=opened)
            await store.put("q", SCOPE, {"question": {"text": "Another?"}}, expires_in=HOUR, connection=opened)

    row = connection.execute("select expires_at > now() + interval '59 minutes' from pending_interactions").fetchone()
    assert row == (True,)
    assert await store.claim(click(user_id="U2")) == Refusal("q", RefusalReason.NOT_YOURS)


async def test_a_rollback_refuses_while_a_deadline_is_kept_or_an_ending_undelivered(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.leases.hear(frozenset(Outcome))
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    back = steps_back_to(dsn, "0008_endings")
    with pytest.raises(MigrationFailed, match="open questions with a deadline"):
        migrations.rollback(dsn, back)

    migrations.apply(dsn)
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)
    with pytest.raises(MigrationFailed, match="endings that no worker has heard of"):
        migrations.rollback(dsn, steps_back_to(dsn, "0008_endings"))

    connection.execute("update pending_interactions set ending_due_at = null")
    assert migrations.rollback(dsn, steps_back_to(dsn, "0008_endings"))[-1] == "0008_endings"


async def test_whoever_may_change_questions_may_write_what_goes_with_them(
    dsn: str, connection: psycopg.Connection
) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0008_endings"))
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

        may = "select has_table_privilege(%s, 'pending_applications', 'insert, update')"
        assert connection.execute(may, [owner]).fetchone() == (True,)
        assert connection.execute(may, [pod]).fetchone() == (True,)
        assert connection.execute(may, [reader]).fetchone() == (False,)
        may_write_the_trail = "select has_table_privilege(%s, 'pending_trail', 'update')"
        assert connection.execute(may_write_the_trail, [pod]).fetchone() == (True,)
        assert connection.execute(may_write_the_trail, [reader]).fetchone() == (False,)
    finally:
        connection.execute("alter table pending_interactions owner to current_user")
        connection.execute(f"drop owned by {', '.join(roles)}; drop role {', '.join(roles)}".encode())
