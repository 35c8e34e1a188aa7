"""Storing questions, and taking them back: laws 3 and 4. Each test was seen to fail with its law broken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from pendingctl import (
    Claim,
    PendingStore,
    PutOutcome,
    Refusal,
    RefusalReason,
    Scope,
    State,
    open_pool,
)
from pendingctl.errors import DatabaseFailed, InvalidInput, NotFound, ScopeMismatch
from pendingctl.payload import JsonObject, question_payload
from pendingctl.postgres.connections import Pool
from tests.questions import PAYLOAD, SCOPE, age, click

# Law 3: an id belongs to its scope.


@pytest.mark.law(3)
async def test_storing_again_refreshes_the_payload_and_keeps_the_age(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    age(connection, hours=5)
    before = await store.inspection.get("q")

    stored = await store.put("q", SCOPE, {**PAYLOAD, "trace": "2"})

    after = await store.inspection.get("q")
    assert stored.outcome is PutOutcome.REFRESHED
    assert before is not None
    assert after is not None
    assert after.payload == {**PAYLOAD, "trace": "2"}
    assert (after.created_at, after.ask_number) == (before.created_at, before.ask_number)


@pytest.mark.law(3)
async def test_an_answered_question_is_asked_again_under_a_greater_number(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(delivery_key="first"))
    age(connection, hours=48)

    stored = await store.put("q", SCOPE, PAYLOAD)

    row = await store.inspection.get("q")
    assert (stored.outcome, stored.ask_number > first.ask_number) == (PutOutcome.REOPENED, True)
    assert row is not None
    assert (row.state, row.answer, row.delivery_key) == (State.PENDING, None, None)
    assert row.created_at == stored.created_at


@pytest.mark.law(3)
async def test_a_late_click_of_the_older_asking_is_refused(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    won = await store.claim(click(delivery_key="first", value="no", ask_number=first.ask_number))
    second = await store.put("q", SCOPE, PAYLOAD)

    refusal = await store.claim(click(delivery_key="late", ask_number=first.ask_number))

    assert isinstance(won, Claim)
    assert refusal == Refusal("q", RefusalReason.ALREADY_ANSWERED, "U1", "no", won.claimed_at)
    assert isinstance(await store.claim(click(delivery_key="new", ask_number=second.ask_number)), Claim)


@pytest.mark.law(3)
async def test_an_answered_question_is_kept_on_request(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(value="no"))

    stored = await store.put("q", SCOPE, question_payload("Deploy now?", []), if_answered="keep")

    row = await store.inspection.get("q")
    assert stored.outcome is PutOutcome.ALREADY_ANSWERED
    assert row is not None
    assert (row.answer, row.question, row.ask_number) == ("no", "Deploy?", first.ask_number)


@pytest.mark.parametrize(
    "thief", [Scope("globex", "slack", "U1"), Scope("acme", "teams", "U1"), Scope("acme", "slack", "U2")]
)
@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.law(3)
async def test_a_guessed_id_never_moves_a_question(store: PendingStore, thief: Scope, answered: bool) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    if answered:
        await store.claim(click())
    before = await store.inspection.get("q")

    with pytest.raises(ScopeMismatch):
        await store.put("q", thief, question_payload("Give me the money?", ["yes"]))

    after = await store.inspection.get("q")
    assert before is not None
    assert after is not None
    assert (after.scope, after.payload, after.state) == (before.scope, before.payload, before.state)


@pytest.mark.law(3)
async def test_stored_by_many_at_once_a_question_is_created_once(store: PendingStore) -> None:
    stored = await asyncio.gather(*(store.put("q", SCOPE, PAYLOAD) for _ in range(12)))

    assert [each.outcome for each in stored].count(PutOutcome.CREATED) == 1
    assert {each.outcome for each in stored} == {PutOutcome.CREATED, PutOutcome.REFRESHED}


@pytest.mark.law(3)
async def test_asked_again_by_many_at_once_a_question_has_one_new_number(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    stored = await asyncio.gather(*(store.put("q", SCOPE, PAYLOAD) for _ in range(12)))

    assert [each.outcome for each in stored].count(PutOutcome.REOPENED) == 1
    (again,) = {each.ask_number for each in stored}
    assert again > first.ask_number


# Law 4: a question whose card was not shown is deleted, if this put created it and nobody touched it since.


@pytest.mark.law(4)
async def test_an_untouched_question_can_be_taken_back(store: PendingStore) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)

    assert await store.delete_untouched(stored)
    assert await store.inspection.get("q") is None


async def _claimed(store: PendingStore) -> None:
    await store.claim(click())


async def _put_again(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)


async def _replaced(store: PendingStore) -> None:
    await store.delete("q", SCOPE)
    await store.put("q", SCOPE, PAYLOAD)


@pytest.mark.parametrize("touch", [_claimed, _put_again, _replaced])
@pytest.mark.law(4)
async def test_a_touched_question_stays(store: PendingStore, touch: Callable[[PendingStore], Awaitable[None]]) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    await touch(store)

    assert not await store.delete_untouched(stored)
    assert await store.inspection.get("q") is not None


@pytest.mark.law(4, 13)
async def test_a_question_that_the_pods_are_to_show_stays(store: PendingStore) -> None:
    stored = await store.put(
        "q", SCOPE, question_payload("Deploy?", ("yes", "no"), {"conversation_id": "C1"}), show=True
    )

    assert not await store.delete_untouched(stored)
    assert await store.inspection.get("q") is not None


@pytest.mark.law(4)
async def test_a_put_that_created_nothing_takes_nothing_back(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    refreshed = await store.put("q", SCOPE, PAYLOAD)

    assert not await store.delete_untouched(refreshed)
    assert await store.inspection.get("q") is not None


# Deletion is scoped.


@pytest.mark.parametrize(
    "stranger", [Scope("globex", "slack", "U1"), Scope("acme", "teams", "U1"), Scope("acme", "slack", "U2")]
)
async def test_only_the_whole_scope_deletes(store: PendingStore, stranger: Scope) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    assert not await store.delete("q", stranger)
    assert await store.delete("q", SCOPE)
    assert not await store.delete("q", SCOPE)


async def test_deleting_an_organization_deletes_its_rows_alone(store: PendingStore) -> None:
    await store.put("ours", SCOPE, PAYLOAD)
    await store.put("theirs", Scope("globex", "slack", "U1"), PAYLOAD)

    assert await store.delete_organization("acme")

    assert [row.id for row in await store.inspection.find()] == ["theirs"]


# Many at once.


async def test_many_questions_are_stored_together_with_what_became_of_each(store: PendingStore) -> None:
    await store.put("waiting", SCOPE, PAYLOAD)
    await store.put("answered", SCOPE, PAYLOAD)
    await store.claim(click("answered"))
    sizes: list[int] = []

    questions = [(id, SCOPE, PAYLOAD) for id in ("waiting", "answered", "new")]
    outcomes = await store.put_many(questions, on_stored=sizes.append)

    assert outcomes == {PutOutcome.CREATED: 1, PutOutcome.REFRESHED: 1, PutOutcome.REOPENED: 1}
    assert sizes == [3]


async def test_many_questions_are_stored_all_or_none(store: PendingStore) -> None:
    await store.put("theirs", Scope("globex", "slack", "U1"), PAYLOAD)

    with pytest.raises(ScopeMismatch):
        await store.put_many((id, SCOPE, PAYLOAD) for id in ("a", "b", "theirs"))

    assert [row.id for row in await store.inspection.find()] == ["theirs"]


async def test_an_error_of_the_source_stores_nothing(store: PendingStore) -> None:
    def questions() -> Iterator[tuple[str, Scope, JsonObject]]:
        for number in range(2_500):
            yield f"q{number}", SCOPE, PAYLOAD
        raise InvalidInput("line 2501 is broken")

    with pytest.raises(InvalidInput):
        await store.put_many(questions())

    assert await store.inspection.find() == []


async def test_missing_organizations_are_created_on_request(store: PendingStore) -> None:
    scope = Scope("initech", "slack", "U1")
    with pytest.raises(NotFound, match="initech"):
        await store.put("q", scope, PAYLOAD)

    await store.put_many([("q", scope, PAYLOAD)], create_organizations=True)

    assert [row.id for row in await store.inspection.find()] == ["q"]


async def test_an_applications_organization_with_more_to_fill_is_left_to_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    connection.execute("alter table organization add column plan text not null default 'free'")
    connection.execute("alter table organization alter column plan drop default")

    with pytest.raises(InvalidInput, match="plan"):
        await store.create_organization("initech")


# The caller's own transaction.


async def test_a_question_is_stored_inside_the_callers_transaction(store: PendingStore, pool: Pool) -> None:
    async with pool.connection() as mine:
        async with mine.transaction(force_rollback=True):
            await store.put("q", SCOPE, PAYLOAD, connection=mine)
            assert await store.inspection.get("q", connection=mine) is not None
            assert await store.inspection.get("q") is None
        async with mine.transaction():
            await store.put("q", SCOPE, PAYLOAD, connection=mine)

    assert await store.inspection.get("q") is not None


# What the database cannot hold never reaches it.


@pytest.mark.parametrize("id", ["", "x" * 256, "a\0b", "\ud800"])
async def test_an_impossible_id_is_refused(store: PendingStore, id: str) -> None:
    with pytest.raises(InvalidInput):
        await store.put(id, SCOPE, PAYLOAD)
    with pytest.raises(InvalidInput):
        await store.put_many([(id, SCOPE, PAYLOAD)])
    with pytest.raises(InvalidInput):
        click(id)


async def test_the_longest_id_and_any_unicode_are_kept(store: PendingStore) -> None:
    id = "é" * 255
    payload: JsonObject = {"question": {"text": "\u202e¿Desplegar? 🚀 \\u0000 \x1b[31m"}, "n": [1, 2.5, None, True, {}]}

    await store.put(id, SCOPE, payload)

    row = await store.inspection.get(id)
    assert row is not None
    assert row.payload == payload


async def test_a_payload_over_the_limit_is_refused_before_the_database(pool: Pool) -> None:
    store = PendingStore(pool, max_payload_bytes=1_000)
    await store.put("q", SCOPE, {"text": "x" * 980})

    with pytest.raises(InvalidInput, match="1,000"):
        await store.put("q", SCOPE, {"text": "é" * 500})


async def test_times_are_the_databases(store: PendingStore, connection: psycopg.Connection) -> None:
    before = _now(connection)
    stored = await store.put("q", SCOPE, PAYLOAD)
    claim = await store.claim(click())

    assert isinstance(claim, Claim)
    assert before <= stored.created_at <= claim.claimed_at <= _now(connection)
    assert stored.created_at.tzinfo is not None


async def test_a_read_only_server_is_named_as_the_reason(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(f"alter database {connection.info.dbname} set default_transaction_read_only = on")
    async with open_pool(dsn) as pool:
        with pytest.raises(DatabaseFailed, match="read-only"):
            await PendingStore(pool).put("q", SCOPE, PAYLOAD)


def _now(connection: psycopg.Connection) -> datetime:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    assert isinstance(row[0], datetime)
    return row[0].astimezone(UTC)
