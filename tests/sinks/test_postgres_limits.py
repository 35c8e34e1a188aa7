"""Delivery into a table of the application's own: one transaction, its limits, and what its statement may be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from pendingctl import DeliveryFailed, LeasedAnswer, PendingStore, PostgresSink, State
from pendingctl.errors import DatabaseFailed, InvalidInput
from pendingctl.payload import JsonObject
from pendingctl.postgres.connections import SingleConnection, connect
from pendingctl.sinks import postgres
from pendingctl.sinks.postgres import AT_ONCE, LOCK_TIMEOUT, OF_A_TENANT
from tests.deliveries import LEASE, claimed, readable, run_out, state_of
from tests.locks import until_waiting_for_a_lock, waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, click

INSERT = "insert into approval (question, answer, payload) values (%(question_id)s, %(value)s, %(payload)s)"


@pytest.fixture(autouse=True)
def approval(connection: psycopg.Connection) -> None:
    connection.execute("create table approval (question text unique, answer text, payload jsonb)")


def approvals(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    return connection.execute("select question, answer from approval").fetchall()


def with_payload(leased: LeasedAnswer, payload: JsonObject) -> LeasedAnswer:
    return replace(leased, answer=replace(leased.answer, payload=payload))


async def test_a_locked_table_holds_a_connection_for_a_few_seconds(
    store: PendingStore, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    leased = await claimed(store)
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", LOCK_TIMEOUT)
    with psycopg.connect(dsn) as application:
        application.execute("lock table approval")
        async with asyncio.timeout(30):
            with pytest.raises(DeliveryFailed, match="lock timeout") as failed:
                await PostgresSink(INSERT).deliver(leased, store.leases)

    assert not failed.value.permanent
    assert await state_of(store) is State.UNDELIVERED
    assert await PostgresSink(INSERT).deliver(leased, store.leases)
    assert approvals(connection) == [("q", "yes")]


async def test_a_locked_row_of_the_question_holds_a_connection_for_a_few_seconds(
    store: PendingStore, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leased = await claimed(store)
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", LOCK_TIMEOUT)
    with psycopg.connect(dsn) as application:
        application.execute("select from pending_interactions for update")
        async with asyncio.timeout(30):
            with pytest.raises(DatabaseFailed, match="lock timeout"):
                await PostgresSink(INSERT).deliver(leased, store.leases)


async def test_a_statement_that_takes_long_is_given_up(store: PendingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    leased = await claimed(store)
    monkeypatch.setattr(postgres, "STATEMENT_TIMEOUT", "2s")
    async with asyncio.timeout(40):
        with pytest.raises(DeliveryFailed, match="statement timeout"):
            await PostgresSink("select pg_sleep(60), %(value)s").deliver(leased, store.leases)
    assert await state_of(store) is State.UNDELIVERED


async def test_the_limits_end_with_the_transaction(store: PendingStore, dsn: str) -> None:
    show = "select current_setting('lock_timeout'), current_setting('statement_timeout')"
    one = await connect(dsn, application="test")
    try:
        before = await (await one.execute(show)).fetchone()
        alone = PendingStore(SingleConnection(one))
        assert await PostgresSink(INSERT).deliver(await claimed(store), alone.leases)
        assert await (await one.execute(show)).fetchone() == before
    finally:
        await one.close()


@pytest.mark.parametrize(("tenants", "at_once"), [(1, OF_A_TENANT), (3, AT_ONCE)])
async def test_deliveries_that_wait_leave_connections_to_others(
    store: PendingStore, dsn: str, connection: psycopg.Connection, tenants: int, at_once: int
) -> None:
    sink = PostgresSink(INSERT)
    answers = [await claimed(store, f"q{number}") for number in range(2 * AT_ONCE)]
    # Only the sink looks at the tenant of a leased answer; the row is marked by its id.
    answers = [
        replace(each, answer=replace(each.answer, organization_id=f"tenant-{number % tenants}"))
        for number, each in enumerate(answers)
    ]
    with psycopg.connect(dsn) as application:
        application.execute("lock table approval")
        deliveries = [asyncio.create_task(sink.deliver(each, store.leases)) for each in answers]
        await until_waiting_for_a_lock(connection, at_once)
        # A further one would come by now.
        await asyncio.sleep(0.3)
        most = waiting_for_a_lock(connection)
        application.rollback()
        assert all(await asyncio.gather(*deliveries))
    assert most == at_once
    assert len(approvals(connection)) == len(answers)


@pytest.mark.parametrize(
    "statement",
    [
        "commit",
        "COMMIT AND CHAIN",
        " \n/* see /* below */ */ -- now\n rollback",
        "; commit",
        "end",
        "abort",
        "begin",
        "start transaction",
        "savepoint before",
        "release savepoint before",
        "prepare transaction 'one'",
        "",
        "-- nothing",
        "/* commit",
    ],
)
def test_a_statement_that_would_end_the_transaction_is_refused(statement: str) -> None:
    with pytest.raises(InvalidInput, match="PostgresSink"):
        PostgresSink(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "/* one /* of ours */ */ insert into approval (question) values (%(question_id)s)",
        "-- ours\nwith one as (select %(question_id)s::text) insert into approval (question) select * from one",
        "(select %(question_id)s)",
        "update approval set answer = %(value)s where question = %(question_id)s returning *",
    ],
)
async def test_a_statement_may_be_any_other(store: PendingStore, statement: str) -> None:
    assert await PostgresSink(statement).deliver(await claimed(store), store.leases)
    assert await state_of(store) is State.CLAIMED


@pytest.mark.parametrize(
    "statement",
    [
        "insert into approval (question) values ('x'); commit",
        "select 1; rollback; select 2",
        "do $$ begin insert into approval (question) values ('x'); commit; end $$",
    ],
)
async def test_what_ends_the_transaction_later_on_changes_nothing(
    store: PendingStore, connection: psycopg.Connection, statement: str
) -> None:
    with pytest.raises(DeliveryFailed):
        await PostgresSink(statement).deliver(await claimed(store), store.leases)
    assert await state_of(store) is State.UNDELIVERED
    assert approvals(connection) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("insert into approval (question) values (%(question_id)s)", "duplicate key"),
        ("insert into nowhere values (%(question_id)s)", 'relation "nowhere" does not exist'),
        ("insert into approval (question) values (%(who)s)", "who"),
        ("select 1 / 0 * length(%(value)s)", "division by zero"),
    ],
)
async def test_what_the_applications_statement_raises_is_a_failure_that_says_so(
    store: PendingStore, connection: psycopg.Connection, statement: str, said: str
) -> None:
    connection.execute("insert into approval (question) values ('q')")

    with pytest.raises(DeliveryFailed, match=said) as failed:
        await PostgresSink(statement).deliver(await claimed(store), store.leases)

    assert "migrate" not in str(failed.value)
    assert not failed.value.permanent
    assert await state_of(store) is State.UNDELIVERED


async def test_what_put_accepts_can_be_written(store: PendingStore, connection: psycopg.Connection) -> None:
    """Postgres writes 1e308 in 309 digits: what is read back, nine megabytes, is longer than what was put."""
    deep: JsonObject = {}
    for _ in range(490):
        deep = {"a": deep}
    payload: JsonObject = {**PAYLOAD, "numbers": [1e308] * 30_000, "deep": deep, "digits": 10**4_000}
    await store.put("q", SCOPE, payload)
    await store.claim(click(), lease=LEASE)
    run_out(connection)
    (leased,) = readable(await store.leases.lease(lease=LEASE, limit=1, most_attempts=3))
    assert await PostgresSink(INSERT).deliver(leased, store.leases)
    assert connection.execute(
        "select a.payload = p.entry_payload from approval as a, pending_interactions as p"
    ).fetchone() == (True,)


async def test_a_strangers_payload_that_is_no_json_waits_for_a_person(store: PendingStore) -> None:
    foreign = with_payload(await claimed(store), {"number": float("inf")})
    with pytest.raises(DeliveryFailed, match="JSON") as failed:
        await PostgresSink(INSERT).deliver(foreign, store.leases)
    assert failed.value.permanent
    assert await state_of(store) is State.UNDELIVERED


async def test_a_connection_that_is_lost_marks_nothing(store: PendingStore) -> None:
    end = "select pg_terminate_backend(pg_backend_pid()), %(value)s"
    with pytest.raises((DatabaseFailed, DeliveryFailed), match="terminat"):
        await PostgresSink(end).deliver(await claimed(store), store.leases)
    assert await state_of(store) is State.UNDELIVERED
