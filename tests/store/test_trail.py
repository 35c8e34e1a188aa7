"""The trail: a statement leaves in it what it has done, and nothing that it has not."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import Claim, PendingStore, Refusal, open_pool
from pendingctl.diagnosis.tables import RIGHTS
from pendingctl.leased import EditedCard
from pendingctl.payload import question_payload
from pendingctl.postgres.connections import Pool
from pendingctl.store.trail import PRESSES_AN_HOUR
from pendingctl.trail import Presses, Step
from tests.deliveries import LEASE, claimed, lease, run_out
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline
from tests.locks import until_waiting_for_a_lock
from tests.posts import fails, let_pass, posts, show
from tests.questions import PAYLOAD, SCOPE, age, click, swept

ANOTHER = question_payload("Deploy to production?", ["yes", "no"], {"conversation_id": "C1"})


@pytest.fixture
def store(pool: Pool) -> PendingStore:
    """A pod that has a name."""
    return PendingStore(pool, pod="pod-1")


def steps(connection: psycopg.Connection, id: str = "q") -> list[str]:
    """What has happened to a question, one after the other."""
    query = "select step from pending_trail where question_id = %s order by id"
    return [str(step) for (step,) in connection.execute(query, [id])]


def entry(connection: psycopg.Connection, step: Step, columns: LiteralString) -> tuple[object, ...] | None:
    """The columns of the last entry of this step."""
    query = sql.SQL("select {} from pending_trail where step = %s order by id desc limit 1").format(sql.SQL(columns))
    return connection.execute(query, [step]).fetchone()


async def test_an_asking_has_its_pod_its_request_and_the_user_it_asks(
    pool: Pool, connection: psycopg.Connection
) -> None:
    store = PendingStore(pool, application="deployments", pod="pod-1")
    stored = await store.put("q", SCOPE, PAYLOAD, request_key="event-1")

    assert entry(
        connection,
        Step.ASKED,
        "question_id, ask_number, organization_id, connection_id, user_id, application, request_key, pod, detail",
    ) == ("q", stored.ask_number, "acme", "slack", "U1", "deployments", "event-1", "pod-1", "created")


async def test_each_asking_of_an_id_has_its_entry_and_a_retry_none(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    asked = [await store.put("q", SCOPE, payload) for payload in (PAYLOAD, PAYLOAD, ANOTHER)]
    await store.claim(click())
    asked.append(await store.put("q", SCOPE, PAYLOAD))

    query = "select ask_number, detail from pending_trail where step = 'asked' order by id"
    assert connection.execute(query).fetchall() == [
        (asked[0].ask_number, "created"),
        (asked[2].ask_number, "superseded"),
        (asked[3].ask_number, "reopened"),
    ]


async def test_of_many_questions_each_has_its_entry(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(3))

    assert [steps(connection, f"q{number}") for number in range(3)] == [["asked"]] * 3


@pytest.mark.parametrize("is_held", [False, True])
async def test_a_win_has_the_user_who_clicked_and_never_what_was_answered(
    store: PendingStore, connection: psycopg.Connection, dsn: str, is_held: bool
) -> None:
    """Also one that has waited for the row."""
    stored = await store.put("q", SCOPE, PAYLOAD)
    if is_held:
        with psycopg.connect(dsn) as holding:
            holding.execute("select from pending_interactions for update")
            claiming = asyncio.create_task(store.claim(click(value="no"), lease=LEASE))
            await until_waiting_for_a_lock(connection)
            holding.rollback()
            claim = await claiming
    else:
        claim = await store.claim(click(value="no"), lease=LEASE)

    assert isinstance(claim, Claim)
    won = entry(connection, Step.ANSWERED, "ask_number, organization_id, user_id, pod, attempt, detail")
    assert won == (stored.ask_number, "acme", "U1", "pod-1", 1, None)
    assert steps(connection) == ["asked", "answered"]
    written = connection.execute("select string_agg(pending_trail::text, '') from pending_trail").fetchone()
    assert written is not None
    assert not any(secret in written[0] for secret in ("no", "Deploy", "key"))


async def test_a_click_that_loses_leaves_nothing_by_itself(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    assert isinstance(await store.claim(click(user_id="U2")), Refusal)

    assert steps(connection) == ["asked"]


async def test_a_hand_over_has_each_attempt(store: PendingStore, connection: psycopg.Connection) -> None:
    leased = await claimed(store)
    assert await store.leases.mark_failed(leased, "500", retry_in=timedelta(), most_attempts=5)
    (again,) = await lease(store)
    assert await store.leases.release(again)
    (again,) = await lease(store)
    assert await store.leases.mark_delivered(again)
    assert not await store.leases.mark_delivered(again)

    happened = ["asked", "answered", "failed", "leased", "released", "leased", "delivered"]
    assert steps(connection) == happened
    assert entry(connection, Step.FAILED, "attempt, detail, pod") == (1, "500", "pod-1")
    assert entry(connection, Step.LEASED, "attempt, detail") == (2, None)
    assert entry(connection, Step.DELIVERED, "attempt") == (2,)


@pytest.mark.parametrize("by", ["a permanent failure", "pods that died"])
async def test_an_answer_that_is_stuck_says_why(store: PendingStore, connection: psycopg.Connection, by: str) -> None:
    leased = await claimed(store)
    if by == "a permanent failure":
        await store.leases.mark_failed(leased, "404", retry_in=timedelta(), most_attempts=5, permanent=True)
    else:
        run_out(connection)
        assert await store.leases.lease(lease=LEASE, limit=1, most_attempts=1) == []

    detail = "404" if by == "a permanent failure" else "the pods that attempted it died"
    assert entry(connection, Step.STUCK, "attempt, detail") == (1, detail)
    assert await store.leases.redeliver(["q"]) == ["q"]
    assert steps(connection) == ["asked", "answered", "stuck", "redelivered"]


@pytest.mark.parametrize("outcome", ["expired", "defaulted"])
async def test_a_deadline_leaves_how_the_question_has_ended(
    store: PendingStore, connection: psycopg.Connection, outcome: str
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD, show=True, expires_in=HOUR, default="no" if outcome == "defaulted" else None)
    await show(store)
    pass_the_deadline(connection)
    assert await store.leases.expire(limit=10) == 1
    (ending,) = await endings(store)
    await store.leases.mark_delivered(ending)

    assert steps(connection) == ["asked", "posting", "posted", outcome, "leased", "delivered"]


async def test_whoever_looks_first_ends_a_question_and_leaves_it_once(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    await store.read_answer("q", SCOPE, stored.ask_number)
    await store.leases.expire(limit=10)

    assert steps(connection) == ["asked", "expired"]


async def test_a_withdrawal_an_extension_and_a_deletion_leave_their_entries(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    deadline = await store.extend("q", SCOPE, by=HOUR)
    await store.withdraw("q", SCOPE)
    await store.withdraw("q", SCOPE)
    await store.delete("q", SCOPE)

    assert steps(connection) == ["asked", "extended", "withdrawn", "deleted"]
    assert entry(connection, Step.EXTENDED, "detail::timestamptz") == (deadline,)


async def test_a_row_whose_card_was_not_shown_leaves_why_it_is_gone(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    assert await store.delete_untouched(stored)

    assert entry(connection, Step.DELETED, "detail") == ("its card was not shown",)


@pytest.mark.parametrize("became", ["open", "answered"])
async def test_the_trail_outlives_the_sweep_and_knows_how_the_question_ended(
    store: PendingStore, connection: psycopg.Connection, became: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    if became == "answered":
        await store.claim(click())
    age(connection, hours=25)
    assert await swept(store) == ["q"]

    assert entry(connection, Step.SWEPT, "question_id, detail") == ("q", became)
    assert entry(connection, Step.ASKED, "user_id") == ("U1",)


async def test_a_card_leaves_each_attempt_to_post_it_and_each_edit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post)
    post = await show(store)
    claim = await store.claim(click())
    assert isinstance(claim, Claim)
    (card,) = await store.leases.lease_cards([("acme", "slack")], lease=LEASE, limit=1)
    edited = EditedCard(
        question_id="q", ask_number=post.ask_number, card='"card"', claimed_at=claim.claimed_at, attempts=card.attempts
    )
    assert await store.leases.mark_edited([edited]) == set()

    happened = ["asked", "posting", "not_posted", "posting", "posted", "answered", "editing", "edited"]
    assert steps(connection) == happened
    assert entry(connection, Step.NOT_POSTED, "attempt, detail") == (1, "the platform is down")
    assert entry(connection, Step.POSTED, "ask_number, pod") == (post.ask_number, "pod-1")


async def test_a_card_that_is_given_up_says_why(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, permanent=True)

    assert entry(connection, Step.GIVEN_UP, "attempt, detail") == (1, "the platform is down")


async def test_the_card_of_a_former_asking_leaves_its_edit_under_that_number(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    former = await show(store)
    await store.put("q", SCOPE, ANOTHER, show=True)
    (card,) = await store.leases.lease_cards([("acme", "slack")], lease=LEASE, limit=1)
    assert await store.leases.mark_retired("q", card.retired)

    assert entry(connection, Step.EDITED, "ask_number") == (former.ask_number,)


async def test_a_reminder_and_an_escalation_leave_their_entries(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put(
        "q", SCOPE, PAYLOAD, show=True, remind_every=HOUR, escalate_after=HOUR, escalate_to="U2", expires_in=24 * HOUR
    )
    await show(store)
    for _ in range(2):
        let_pass(connection)
        await posts(store)

    assert sorted(steps(connection)[3:]) == ["escalated", "reminded"]
    assert entry(connection, Step.ESCALATED, "detail") == ("U2",)


async def test_what_a_caller_rolls_back_leaves_no_entry(store: PendingStore, connection: psycopg.Connection) -> None:
    with suppress(ZeroDivisionError):
        async with store.transaction() as opened:
            await store.put("q", SCOPE, PAYLOAD, connection=opened)
            raise ZeroDivisionError

    assert steps(connection) == []


@pytest.mark.parametrize("value", ["off", "OFF", "false", "no", "0"])
async def test_a_database_can_keep_no_trail(dsn: str, connection: psycopg.Connection, value: str) -> None:
    """The setting is the database's, a role's or a connection string's, and everything else goes on."""
    without = make_conninfo(dsn, options=f"-c pendingctl.trail={value}")
    async with open_pool(without) as pool:
        store = PendingStore(pool)
        leased = await claimed(store)
        assert await store.leases.mark_delivered(leased)
        assert await store.trail.note([presses()]) == []
        assert not (await store.inspection.history("q")).record.is_kept

    assert steps(connection) == []


@pytest.mark.law(16)
async def test_entries_that_are_numbered_as_others_before_keep_nobody_from_working(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """As after a failover to a subscriber of logical replication, which copies rows and no sequences."""
    await store.put("before", SCOPE, PAYLOAD)
    connection.execute("alter table pending_trail alter id restart with 1")

    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("alter table pending_trail alter id restart with 1")
    assert isinstance(await store.claim(click(), lease=LEASE), Claim)
    connection.execute("alter table pending_trail alter id restart with 1")
    assert await store.trail.note([presses()]) == []
    assert steps(connection, "before") == ["asked"]


# Clicks that have won nothing.


def presses(user_id: str | None = "U2", *, id: str = "q", count: int = 1) -> Presses:
    """So many refused clicks of one user."""
    return Presses(
        question_id=id,
        ask_number=None,
        organization_id="acme",
        connection_id="slack",
        user_id=user_id,
        step=Step.REFUSED,
        reason="not_yours",
        presses=count,
        seconds_ago=90,
    )


async def test_refused_clicks_have_their_user_the_reason_and_how_many_they_were(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    assert await store.trail.note([presses(count=3), presses("U3", id="unknown")]) == []

    noted = entry(connection, Step.REFUSED, "question_id, user_id, detail, presses, pod")
    assert noted == ("unknown", "U3", "not_yours", 1, "pod-1")
    query = (
        "select presses, now() - at between interval '90 s' and interval '150 s' "
        "from pending_trail where question_id = 'q'"
    )
    assert connection.execute(query).fetchall() == [(3, True)]


async def test_of_one_question_so_many_entries_are_written_an_hour_and_the_rest_as_a_number(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(PRESSES_AN_HOUR):
        assert await store.trail.note([presses(f"U{number}")]) == []
    too_many, elsewhere, rest = presses("U99"), presses("U99", id="other"), presses(None, count=7)

    assert await store.trail.note([too_many, elsewhere, rest]) == [too_many]
    assert steps(connection) == ["refused"] * (PRESSES_AN_HOUR + 1)
    connection.execute("update pending_trail set at = at - interval '1 hour'")
    assert await store.trail.note([too_many]) == []


async def test_neither_another_tenant_nor_users_whom_it_does_not_ask_take_the_room_of_a_questions_own_clicks(
    store: PendingStore,
) -> None:
    for number in range(PRESSES_AN_HOUR):
        other = replace(presses(f"U{number}"), organization_id="globex", reason="unknown_or_expired")
        assert await store.trail.note([presses(f"U{number}"), other]) == []

    own = [replace(presses("U1"), reason=reason) for reason in ("invalid_answer", "unknown_or_expired")]
    assert await store.trail.note([*own, presses("U99")]) == [presses("U99")]


# The trail is swept by its own age.


async def trail_swept(store: PendingStore, *, limit: int | None = None, batch_size: int = 1_000) -> list[int]:
    """How many entries each batch was."""
    async with aclosing(store.trail.sweep(limit=limit, batch_size=batch_size)) as batches:
        return [batch async for batch in batches]


@pytest.mark.law(8)
async def test_old_entries_are_swept_oldest_first_in_batches_up_to_a_limit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put_many((f"q{number:02}", SCOPE, PAYLOAD) for number in range(10))
    connection.execute("update pending_trail set at = at - interval '31 days' where id <= 8")

    assert await trail_swept(store, limit=5, batch_size=2) == [2, 2, 1]
    assert await trail_swept(store, batch_size=2) == [2, 1]
    assert connection.execute("select count(*) from pending_trail").fetchone() == (2,)


async def test_a_role_with_the_rights_that_doctor_names_may_sweep_it(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("update pending_trail set at = at - interval '31 days'")
    role = sql.Identifier(f"{connection.info.dbname}_pod")
    rights = sql.SQL(", ".join(RIGHTS["pending_trail"]))
    connection.execute(sql.SQL("create role {0} login; grant {1} on pending_trail to {0}").format(role, rights))
    try:
        async with open_pool(make_conninfo(dsn, user=f"{connection.info.dbname}_pod")) as pool:
            assert await trail_swept(PendingStore(pool)) == [1]
    finally:
        connection.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))


@pytest.mark.law(8)
async def test_an_entry_of_a_wrong_clock_or_one_that_is_locked_keeps_no_other(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(4))
    connection.execute("update pending_trail set at = at - interval '31 days'")
    connection.execute("update pending_trail set at = 'infinity' where question_id = 'q0'")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from pending_trail where question_id = 'q1' for update")
        assert await trail_swept(store) == [3]
    assert steps(connection, "q1") == ["asked"]
