"""The laws, as the store keeps them. Each test was seen to fail with its law broken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pendingctl import Claim, Click, Filters, PendingStore, PutOutcome, Refusal, RefusalReason, Scope, State, open_pool
from pendingctl.database import Pool
from pendingctl.errors import DatabaseFailed, InvalidInput, NotFound, ScopeMismatch
from pendingctl.model import JsonObject, question_payload

SCOPE = Scope("acme", "slack", "U1")
PAYLOAD = question_payload("Deploy?", ["yes", "no"], {"conversation_id": "C1"})

FOREIGN_CLICKS = [
    pytest.param({"organization_id": "globex"}, RefusalReason.UNKNOWN_OR_EXPIRED, id="another organization"),
    pytest.param({"connection_id": "teams"}, RefusalReason.UNKNOWN_OR_EXPIRED, id="another connection"),
    pytest.param({"user_id": "U2"}, RefusalReason.NOT_YOURS, id="another user"),
]


def click(
    question_id: str = "q",
    organization_id: str = "acme",
    connection_id: str = "slack",
    user_id: str = "U1",
    delivery_key: str = "key",
    value: str | None = "yes",
    ask_number: int | None = None,
) -> Click:
    return Click(question_id, organization_id, connection_id, user_id, delivery_key, value, ask_number)


def age(connection: psycopg.Connection, hours: float, id: str | None = None) -> None:
    """Let time pass: rows are older than they were."""
    connection.execute(
        "update pending_interactions set created_at = created_at - %s where %s::text is null or id = %s",
        (timedelta(hours=hours), id, id),
    )


async def swept(store: PendingStore, limit: int | None = 1_000, batch_size: int = 1_000) -> list[str]:
    return [id async for batch in store.sweep(limit=limit, batch_size=batch_size) for id in batch]


# Law 1: one winner.


async def test_of_many_clicks_at_once_exactly_one_wins(store: PendingStore) -> None:
    for round in range(20):
        await store.put(f"q{round}", SCOPE, PAYLOAD)
        clicks = [click(f"q{round}", delivery_key=f"key-{number}", value=f"value-{number}") for number in range(12)]

        results = await asyncio.gather(*(store.claim(each) for each in clicks))

        winners = [each for each, result in zip(clicks, results, strict=True) if isinstance(result, Claim)]
        assert len(winners) == 1
        row = await store.get(f"q{round}")
        assert row is not None
        assert (row.answer, row.delivery_key) == (winners[0].value, winners[0].delivery_key)


async def test_the_claim_brings_the_payload_and_keeps_the_answer(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    claim = await store.claim(click(value="no"))

    assert isinstance(claim, Claim)
    assert (claim.payload, claim.ask_number, claim.repeated) == (PAYLOAD, 1, False)
    row = await store.get("q")
    assert row is not None
    assert (row.state, row.answer, row.claimed_at) == (State.CLAIMED, "no", claim.claimed_at)


async def test_the_loser_waits_for_an_open_claim_and_is_told_the_truth(store: PendingStore, dsn: str) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    async with await psycopg.AsyncConnection.connect(dsn) as winner:
        await winner.execute(
            "update pending_interactions set claimed_at = now(), answer = 'no', delivery_key = 'first' where id = 'q'"
        )
        loser = asyncio.create_task(store.claim(click(delivery_key="second")))
        await _until_waiting_for_a_lock(dsn)
        await winner.commit()

    refusal = await loser

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.answer) == (RefusalReason.ALREADY_ANSWERED, "no")


async def test_the_same_press_delivered_again_is_told_that_it_won(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    first = await store.claim(click(delivery_key="press"))

    again = await store.claim(click(delivery_key="press"))

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert again.repeated
    assert again.claimed_at == first.claimed_at


@pytest.mark.parametrize("changed", [{"delivery_key": "other"}, {"value": "no"}])
async def test_only_the_key_and_value_that_won_are_the_same_press(store: PendingStore, changed: dict[str, Any]) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    refusal = await store.claim(click(**changed))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.ALREADY_ANSWERED


# Law 2: a wrong click costs nothing. Law 7: its precedence.


@pytest.mark.parametrize(("foreign", "reason"), FOREIGN_CLICKS)
async def test_a_wrong_click_is_refused_and_costs_nothing(
    store: PendingStore, foreign: dict[str, Any], reason: RefusalReason
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    before = await store.get("q")

    refusal = await store.claim(click(**foreign))

    after = await store.get("q")
    assert refusal == Refusal("q", reason)
    assert before is not None
    assert after is not None
    assert (after.state, after.answer, after.payload) == (State.PENDING, None, before.payload)
    assert isinstance(await store.claim(click()), Claim)


@pytest.mark.parametrize(("foreign", "reason"), FOREIGN_CLICKS)
async def test_a_wrong_click_learns_nothing_of_an_answered_question(
    store: PendingStore, foreign: dict[str, Any], reason: RefusalReason
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    # Even with the winning delivery key, which a stranger may have guessed.
    assert await store.claim(click(**foreign)) == Refusal("q", reason)


async def test_an_unknown_question_looks_as_a_foreign_one(store: PendingStore) -> None:
    assert await store.claim(click("nowhere")) == Refusal("nowhere", RefusalReason.UNKNOWN_OR_EXPIRED)


async def test_a_stale_question_that_is_not_swept_can_be_claimed(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    age(connection, hours=48)

    assert isinstance(await store.claim(click()), Claim)


# Law 3: an id belongs to its scope.


async def test_storing_again_refreshes_the_payload_and_keeps_the_age(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    age(connection, hours=5)
    before = await store.get("q")

    stored = await store.put("q", SCOPE, question_payload("Deploy now?", ["yes"]))

    after = await store.get("q")
    assert stored.outcome is PutOutcome.REFRESHED
    assert before is not None
    assert after is not None
    assert after.question == "Deploy now?"
    assert (after.created_at, after.ask_number) == (before.created_at, 1)


async def test_an_answered_question_is_asked_again_under_the_next_number(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(delivery_key="first"))
    age(connection, hours=48)

    stored = await store.put("q", SCOPE, PAYLOAD)

    row = await store.get("q")
    assert (stored.outcome, stored.ask_number) == (PutOutcome.REOPENED, 2)
    assert row is not None
    assert (row.state, row.answer, row.delivery_key) == (State.PENDING, None, None)
    assert row.created_at == stored.created_at


async def test_a_late_click_of_the_older_asking_is_refused(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(delivery_key="first", ask_number=1))
    await store.put("q", SCOPE, PAYLOAD)

    refusal = await store.claim(click(delivery_key="late", ask_number=1))

    assert refusal == Refusal("q", RefusalReason.ALREADY_ANSWERED)
    assert isinstance(await store.claim(click(delivery_key="new", ask_number=2)), Claim)


async def test_an_answered_question_is_kept_when_told_so(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(value="no"))

    stored = await store.put("q", SCOPE, question_payload("Deploy now?", []), if_answered="keep")

    row = await store.get("q")
    assert stored.outcome is PutOutcome.ALREADY_ANSWERED
    assert row is not None
    assert (row.answer, row.question, row.ask_number) == ("no", "Deploy?", 1)


@pytest.mark.parametrize(
    "thief", [Scope("globex", "slack", "U1"), Scope("acme", "teams", "U1"), Scope("acme", "slack", "U2")]
)
@pytest.mark.parametrize("answered", [False, True])
async def test_a_guessed_id_never_moves_a_question(store: PendingStore, thief: Scope, answered: bool) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    if answered:
        await store.claim(click())
    before = await store.get("q")

    with pytest.raises(ScopeMismatch):
        await store.put("q", thief, question_payload("Give me the money?", ["yes"]))

    after = await store.get("q")
    assert before is not None
    assert after is not None
    assert (after.scope, after.payload, after.state) == (before.scope, before.payload, before.state)


async def test_stored_by_many_at_once_a_question_is_created_once(store: PendingStore) -> None:
    stored = await asyncio.gather(*(store.put("q", SCOPE, PAYLOAD) for _ in range(12)))

    assert [each.outcome for each in stored].count(PutOutcome.CREATED) == 1
    assert {each.outcome for each in stored} == {PutOutcome.CREATED, PutOutcome.REFRESHED}


async def test_asked_again_by_many_at_once_a_question_has_one_new_number(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    stored = await asyncio.gather(*(store.put("q", SCOPE, PAYLOAD) for _ in range(12)))

    assert [each.outcome for each in stored].count(PutOutcome.REOPENED) == 1
    assert {each.ask_number for each in stored} == {2}


# Law 4: a question whose card was not shown is deleted, if this put created it and nobody touched it since.


async def test_an_untouched_question_can_be_taken_back(store: PendingStore) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)

    assert await store.delete_untouched(stored)
    assert await store.get("q") is None


async def _claimed(store: PendingStore) -> None:
    await store.claim(click())


async def _put_again(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)


async def _replaced(store: PendingStore) -> None:
    await store.delete("q", SCOPE)
    await store.put("q", SCOPE, PAYLOAD)


@pytest.mark.parametrize("touch", [_claimed, _put_again, _replaced])
async def test_a_touched_question_stays(store: PendingStore, touch: Callable[[PendingStore], Awaitable[None]]) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    await touch(store)

    assert not await store.delete_untouched(stored)
    assert await store.get("q") is not None


async def test_a_put_that_created_nothing_takes_nothing_back(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    refreshed = await store.put("q", SCOPE, PAYLOAD)

    assert not await store.delete_untouched(refreshed)
    assert await store.get("q") is not None


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

    assert [row.id for row in await store.find()] == ["theirs"]


# Law 8: the sweep is bounded.


async def test_a_sweep_takes_the_oldest_stale_rows_and_never_more_than_its_limit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(10):
        await store.put(f"q{number}", SCOPE, PAYLOAD)
        age(connection, hours=48 - number, id=f"q{number}")
    await store.put("fresh", SCOPE, PAYLOAD)

    assert await swept(store, limit=7, batch_size=3) == [f"q{number}" for number in range(7)]
    assert await store.count_stale() == 3
    assert sorted(await swept(store, limit=7)) == ["q7", "q8", "q9"]
    assert await swept(store, limit=7) == []
    assert await store.get("fresh") is not None


async def test_a_sweep_comes_in_batches(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(10))
    age(connection, hours=48)

    batches = [len(batch) async for batch in store.sweep(limit=None, batch_size=4)]

    assert batches == [4, 4, 2]


async def test_a_sweep_takes_answered_rows_too(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())
    age(connection, hours=48)

    assert await swept(store) == ["q"]


async def test_a_sweep_leaves_a_locked_row_and_does_not_wait(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put("locked", SCOPE, PAYLOAD)
    await store.put("free", SCOPE, PAYLOAD)
    age(connection, hours=48)
    with psycopg.connect(dsn) as claiming:
        claiming.execute("select from pending_interactions where id = 'locked' for update")

        assert await asyncio.wait_for(swept(store), timeout=10) == ["free"]

    assert await swept(store) == ["locked"]


async def test_two_sweeps_at_once_share_the_rows(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(400))
    age(connection, hours=48)

    one, other = await asyncio.gather(
        swept(store, limit=1_000, batch_size=10), swept(store, limit=1_000, batch_size=10)
    )

    assert sorted(one + other) == sorted(f"q{number}" for number in range(400))


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": -1}, {"batch_size": 0}])
async def test_a_sweep_without_a_sound_bound_is_refused(store: PendingStore, options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        await swept(store, **options)


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

    assert [row.id for row in await store.find()] == ["theirs"]


async def test_an_error_of_the_source_stores_nothing(store: PendingStore) -> None:
    def questions() -> Iterator[tuple[str, Scope, JsonObject]]:
        for number in range(2_500):
            yield f"q{number}", SCOPE, PAYLOAD
        raise InvalidInput("line 2501 is broken")

    with pytest.raises(InvalidInput):
        await store.put_many(questions())

    assert await store.find() == []


async def test_missing_organizations_are_created_when_told_so(store: PendingStore) -> None:
    scope = Scope("initech", "slack", "U1")
    with pytest.raises(NotFound, match="initech"):
        await store.put("q", scope, PAYLOAD)

    await store.put_many([("q", scope, PAYLOAD)], create_organizations=True)

    assert [row.id for row in await store.find()] == ["q"]


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
            assert await store.get("q", connection=mine) is not None
            assert await store.get("q") is None
        async with mine.transaction():
            await store.put("q", SCOPE, PAYLOAD, connection=mine)

    assert await store.get("q") is not None


# Read committed, whatever the role's default is (PostgreSQL manual, section 13.2).


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
async def test_losers_are_refused_under_any_default_isolation(
    dsn: str, connection: psycopg.Connection, level: str
) -> None:
    connection.execute(f"alter database {connection.info.dbname} set default_transaction_isolation = '{level}'")
    async with open_pool(dsn, max_size=12) as pool:
        store = PendingStore(pool)
        for round in range(10):
            await store.put(f"q{round}", SCOPE, PAYLOAD)
            clicks = [click(f"q{round}", delivery_key=str(number)) for number in range(12)]
            results = await asyncio.gather(*(store.claim(each) for each in clicks))
            assert [type(each) for each in results].count(Claim) == 1

        async with pool.connection() as lent:
            row = await (await lent.execute("show transaction_isolation")).fetchone()
    assert row == ("read committed",)


# Reading never writes (law 10).


async def test_reading_happens_in_read_only_transactions_with_a_time_limit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    # The probe is called by every read, since it is part of the view that takes the table's place.
    connection.execute(
        """
        create function probe() returns boolean language plpgsql as $$
        begin
            if current_setting('transaction_read_only') = 'off' or current_setting('statement_timeout') = '0' then
                raise exception 'this read could write, or run for ever';
            end if;
            return true;
        end $$;
        alter table pending_interactions rename to hidden;
        create view pending_interactions as select * from hidden where probe();
        insert into hidden (id, organization_id, connection_id, expected_user_id, entry_payload)
        values ('q', 'acme', 'slack', 'U1', '{}');
        """
    )

    assert await store.get("q") is not None
    assert len(await store.find()) == 1
    assert (await store.counts()).pending == 1
    assert await store.count_stale() == 0


# Lists and counts.


async def test_find_filters_by_scope_state_and_age(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("pending", SCOPE, PAYLOAD)
    await store.put("stale", Scope("acme", "teams", "U2"), PAYLOAD)
    await store.put("claimed", Scope("globex", "slack", "U1"), {"anything": 1})
    await store.claim(click("claimed", organization_id="globex"))
    age(connection, hours=25, id="stale")

    async def ids(**filters: object) -> list[str]:
        return [row.id for row in await store.find(Filters(**filters))]  # type: ignore[arg-type]

    assert await ids() == ["stale", "pending", "claimed"]
    assert await ids(organization_id="acme") == ["stale", "pending"]
    assert await ids(connection_id="slack") == ["pending", "claimed"]
    assert await ids(expected_user_id="U2") == ["stale"]
    assert await ids(older_than=timedelta(hours=1)) == ["stale"]
    for state in State:
        assert await ids(state=state) == [state.value]
    assert [row.question for row in await store.find()] == ["Deploy?", "Deploy?", None]


async def test_find_is_bounded(store: PendingStore) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(5))

    assert len(await store.find(limit=3)) == 3
    with pytest.raises(InvalidInput):
        await store.find(limit=0)
    with pytest.raises(InvalidInput, match="filter"):
        await store.find(Filters(organization_id="\udcff"))


async def test_counts_say_how_many_wait_and_where(store: PendingStore, connection: psycopg.Connection) -> None:
    empty = await store.counts()
    assert (empty.pending, empty.oldest_pending_seconds, empty.organizations) == (0, None, ())
    await store.put("a", SCOPE, PAYLOAD)
    await store.put("b", SCOPE, PAYLOAD)
    await store.put("c", Scope("globex", "slack", "U1"), PAYLOAD)
    await store.claim(click("a"))
    age(connection, hours=25, id="c")

    counts = await store.counts()

    assert (counts.pending, counts.claimed, counts.stale) == (1, 1, 1)
    assert counts.oldest_pending_seconds == pytest.approx(25 * 3600, abs=60)
    assert [(each.organization_id, each.pending, each.stale) for each in counts.organizations] == [
        ("acme", 1, 0),
        ("globex", 0, 1),
    ]


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

    row = await store.get(id)
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


async def _until_waiting_for_a_lock(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as watching:
        for _ in range(500):
            cursor = await watching.execute(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
            if await cursor.fetchone() != (0,):
                return
            await asyncio.sleep(0.01)
    raise AssertionError("nobody waits for a lock")
