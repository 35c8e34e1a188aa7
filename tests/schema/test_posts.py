"""Migrations 0010 and 0011 on a live table, beside pods of the version before, and on the way back."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import Claim, PendingStore, Refusal, RefusalReason, open_pool
from pendingctl.errors import MigrationFailed
from pendingctl.leased import Duty
from pendingctl.schema import migrations
from tests.endings import pass_the_deadline
from tests.posts import SERVED, fails, let_pass, posts, row, show
from tests.questions import PAYLOAD, SCOPE, click
from tests.schema.migrated import OURS, steps_back_to

HOUR = timedelta(hours=1)
# As the version before asks an id again, open or ended, with a deadline of its own, and posts the card itself; it knows
# nothing of the columns that 0010 adds.
ASK_AGAIN = """
    update pending_interactions
    set entry_payload = '{"question": {"text": "Anew?"}}', ask_number = default, created_at = clock_timestamp(),
        claimed_at = null, answer = null, delivery_key = null, answered_by = null, pod = null,
        lease_token = null, delivery_attempts = 0, delivery_error = null, delivered_at = null,
        withdrawn_at = null, outcome = null, posted_at = null, card = null, card_attempts = 0, card_due_at = null,
        expires_at = clock_timestamp() + interval '1 hour', default_answer = null,
        posting_until = clock_timestamp() + interval '30 seconds'
    where id = 'q' and delivery_due_at is null and ending_due_at is null
    returning ask_number
"""
MARK_POSTED = """
    update pending_interactions
    set posted_at = now(), card = '"of the version before"', posting_until = null
    where id = 'q'
"""
POSTS = (
    "post_due_at, post_attempts, post_doubts, post_error, remind_every, reminders_left, "
    "escalate_at, escalate_to, escalated_at"
)
NOTHING = (None, 0, 0, None, None, None, None, None, None)
INSERT_OLD = (
    "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
    "select 'q' || n, 'acme', 'slack', 'U1', '{}' from generate_series(1, 1000) as n"
)


async def scheduled(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HOUR, escalate_after=HOUR, escalate_to="U2")


async def test_a_live_table_keeps_its_rows_and_is_not_rewritten(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))
    connection.execute(INSERT_OLD)
    rows = "select id, ask_number, created_at, xmin from pending_interactions order by id"
    file = "select pg_relation_filenode('pending_interactions')"
    before = connection.execute(rows).fetchall(), connection.execute(file).fetchall()

    assert migrations.apply(dsn) == OURS[9:]

    assert (connection.execute(rows).fetchall(), connection.execute(file).fetchall()) == before
    assert connection.execute(f"select distinct {POSTS} from pending_interactions").fetchall() == [NOTHING]


@pytest.mark.parametrize("became", ["is to be posted", "was posted", "was given up", "was escalated", "has ended"])
async def test_what_a_pod_of_the_version_before_asks_again_has_nothing_to_be_posted(
    store: PendingStore, connection: psycopg.Connection, became: str
) -> None:
    await scheduled(store)
    match became:
        case "was posted" | "was escalated" | "has ended":
            await show(store)
        case "was given up":
            (post,) = await posts(store)
            await fails(store, post, permanent=True)
        case _:
            await posts(store)
    if became == "was escalated":
        let_pass(connection)
        assert [post.duty for post in await posts(store)] == [Duty.ESCALATION]
    if became == "has ended":
        await store.claim(click())

    assert connection.execute(ASK_AGAIN).fetchone() is not None
    assert row(connection, POSTS) == NOTHING
    assert row(connection, "claimed_at, expires_at > now() + interval '59 minutes'") == (None, True)
    assert await posts(store) == []


@pytest.mark.law(2)
async def test_nobody_else_may_answer_what_a_pod_of_the_version_before_asks_again(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, escalate_after=timedelta(microseconds=1), escalate_to="U2")
    connection.execute(ASK_AGAIN)

    assert await store.claim(click(user_id="U2")) == Refusal("q", RefusalReason.NOT_YOURS)
    assert isinstance(await store.claim(click()), Claim)


async def test_what_a_pod_of_this_version_asks_again_keeps_its_own_schedule(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await scheduled(store)
    await show(store)
    await store.claim(click())
    await scheduled(store)

    assert row(connection, "remind_every, reminders_left, escalate_to, post_attempts") == (HOUR, 10, "U2", 0)
    assert row(connection, "escalate_at > now() + interval '59 minutes', post_due_at <= now()") == (True, True)


async def test_questions_of_the_version_before_have_nothing_to_be_posted(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    connection.execute(INSERT_OLD)

    assert not (await store.leases.due(SERVED)).posts
    assert await posts(store) == []
    assert await store.claim(click("q1", user_id="U2")) == Refusal("q1", RefusalReason.NOT_YOURS)


async def test_a_pod_of_the_version_before_sees_that_a_card_is_being_posted(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    assert row(connection, "posting_until > now()") == (True,)

    await fails(store, post)
    assert row(connection, "posting_until") == (None,)


async def test_a_card_that_a_pod_of_the_version_before_has_posted_is_posted_no_more(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, escalate_after=HOUR, escalate_to="U2")
    connection.execute(MARK_POSTED)

    assert await posts(store) == []
    assert row(connection, "post_due_at = escalate_at") == (True,)


async def test_whoever_could_work_with_questions_can_have_them_posted(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))
    pod = f"{connection.info.dbname}_pod"
    connection.execute(f"create role {pod} login".encode())
    try:
        connection.execute(
            "grant select, insert, update, delete on pending_interactions, pending_applications, organization "
            f"to {pod}".encode()
        )
        migrations.apply(dsn)
        async with open_pool(make_conninfo(dsn, user=pod)) as pool:
            store = PendingStore(pool)
            await scheduled(store)
            await show(store)
            let_pass(connection)
            assert len(await posts(store)) == 1
            await store.claim(click())
            await scheduled(store)
    finally:
        connection.execute(f"drop owned by {pod}; drop role {pod}".encode())


@pytest.mark.law(13)
async def test_a_rollback_refuses_while_a_card_is_to_be_posted(store: PendingStore, dsn: str) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HOUR)
    with pytest.raises(MigrationFailed, match="cards are still to be posted"):
        migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))
    migrations.apply(dsn)
    (post,) = await posts(store)
    with pytest.raises(MigrationFailed, match="cards are still to be posted"):
        migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))

    migrations.apply(dsn)
    await fails(store, post)
    await show(store)
    assert migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))[-1] == "0010_posts"


async def test_a_rollback_refuses_while_a_question_has_an_escalation(store: PendingStore, dsn: str) -> None:
    await scheduled(store)
    await show(store)
    with pytest.raises(MigrationFailed, match="open questions with an escalation"):
        migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))

    migrations.apply(dsn)
    await store.withdraw("q", SCOPE)
    assert migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))[-1] == "0010_posts"


@pytest.mark.parametrize("became", ["given up", "answered"])
async def test_a_rollback_loses_no_more_than_it_says(
    store: PendingStore, dsn: str, connection: psycopg.Connection, became: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    if became == "answered":
        await store.claim(click())
    else:
        (post,) = await posts(store)
        await fails(store, post, permanent=True)
    before = row(connection, "id, ask_number, created_at, claimed_at, answer, entry_payload")

    migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))

    assert row(connection, "id, ask_number, created_at, claimed_at, answer, entry_payload") == before


async def test_after_a_rollback_an_asking_forgets_the_deadline_before_it_as_it_did(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)
    migrations.rollback(dsn, steps_back_to(dsn, "0010_posts"))
    connection.execute("update pending_interactions set claimed_at = null, ask_number = default where id = 'q'")

    assert row(connection, "expires_at, default_answer, outcome") == (None, None, None)
    assert migrations.apply(dsn) == OURS[9:]
