"""Migrations 0016 and 0017 on a live table, beside pods of the version before, and on the way back."""

from __future__ import annotations

import psycopg
import pytest

from pendingctl import Claim, PendingStore
from pendingctl.errors import MigrationFailed, NotMigrated
from pendingctl.events.streams import Streams
from pendingctl.pod.stream_events import ENDED, POSTED
from pendingctl.postgres.connections import Pool
from pendingctl.schema import migrations
from tests.questions import PAYLOAD, SCOPE, click
from tests.schema.migrated import OURS, steps_back_to
from tests.schema.test_posts import ASK_AGAIN, INSERT_OLD, MARK_POSTED
from tests.store.question_streams import catch_up, on_the_stream

# As the version before claims and withdraws.
CLAIM = "update pending_interactions set claimed_at = now(), answer = 'yes', answered_by = 'U1' where id = 'q'"
WITHDRAW = "update pending_interactions set claimed_at = now(), withdrawn_at = now() where id = 'q'"


async def test_a_live_table_keeps_its_rows_and_is_not_rewritten(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0016_question_streams"))
    connection.execute(INSERT_OLD)
    rows = "select id, ask_number, created_at, xmin from pending_interactions order by id"
    file = "select pg_relation_filenode('pending_interactions')"
    before = connection.execute(rows).fetchall(), connection.execute(file).fetchall()

    assert migrations.apply(dsn) == OURS[15:]

    assert (connection.execute(rows).fetchall(), connection.execute(file).fetchall()) == before


async def test_before_the_migration_clicks_are_claimed_and_a_put_says_what_to_do(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0016_question_streams"))
    connection.execute(INSERT_OLD)

    with pytest.raises(NotMigrated, match="pendingctl migrate"):
        await store.put("q", SCOPE, PAYLOAD, stream="talk")
    with pytest.raises(NotMigrated, match="pendingctl migrate"):
        await store.leases.due()
    assert isinstance(await store.claim(click("q1")), Claim)


@pytest.mark.law(14)
@pytest.mark.parametrize(("end", "outcome"), [(CLAIM, "answered"), (WITHDRAW, "withdrawn")])
async def test_what_pods_of_the_version_before_post_and_end_is_appended(
    store: PendingStore, pool: Pool, connection: psycopg.Connection, end: str, outcome: str
) -> None:
    streams = Streams(pool)
    asked = (await store.put("q", SCOPE, PAYLOAD, show=True, stream="talk")).ask_number
    connection.execute(MARK_POSTED)
    connection.execute(end.encode())
    await catch_up(store, streams)

    assert await on_the_stream(streams) == [(POSTED, asked, None), (ENDED, asked, outcome)]


@pytest.mark.law(14)
@pytest.mark.parametrize("has_ended", [True, False])
async def test_what_a_pod_of_the_version_before_asks_again_has_no_stream_and_the_former_ending_is_kept(
    store: PendingStore, pool: Pool, connection: psycopg.Connection, has_ended: bool
) -> None:
    streams = Streams(pool)
    asked = (await store.put("q", SCOPE, PAYLOAD, stream="talk")).ask_number
    if has_ended:
        await store.claim(click())
    assert connection.execute(ASK_AGAIN).fetchone() is not None
    await store.claim(click())
    await catch_up(store, streams)

    assert await on_the_stream(streams) == [(ENDED, asked, "answered" if has_ended else "superseded")]
    assert connection.execute("select stream from pending_interactions").fetchall() == [(None,)]


@pytest.mark.law(14)
async def test_a_rollback_refuses_while_something_is_to_be_appended(store: PendingStore, pool: Pool, dsn: str) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    with pytest.raises(MigrationFailed, match="open questions with a stream"):
        migrations.rollback(dsn, steps_back_to(dsn, "0016_question_streams"))
    migrations.apply(dsn)
    await store.claim(click())
    with pytest.raises(MigrationFailed, match="still to be appended"):
        migrations.rollback(dsn, steps_back_to(dsn, "0016_question_streams"))
    migrations.apply(dsn)
    await catch_up(store, Streams(pool))

    assert migrations.rollback(dsn, steps_back_to(dsn, "0016_question_streams"))[-1] == "0016_question_streams"
