"""Deadlines: a click and the deadline never both win, and what a question ends with is kept for its worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from pendingctl import Claim, PendingStore, Question, Refusal, RefusalReason, State, open_pool
from pendingctl.errors import InvalidInput
from pendingctl.leased import PostedCard
from pendingctl.model import NotExtended, Outcome, PutOutcome, Withdrawal
from pendingctl.payload import question_payload
from tests.deliveries import LEASE
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline, show_its_card, state_of
from tests.locks import changes, only_locks, until_the_clock_waits
from tests.questions import PAYLOAD, SCOPE, age, click, swept

# For the sessions that begin after this: a clock that the test puts forward.
CLOCK = """
    create table put_forward (by interval not null);
    insert into put_forward values ('0');
    create function clock_timestamp() returns timestamptz language sql volatile as
        'select pg_catalog.clock_timestamp() + by from public.put_forward';
    do $$ begin
        execute format('alter database %I set search_path = public, pg_catalog', current_database());
    end $$;
"""
PUT_FORWARD = "update put_forward set by = '2 hours'"


@pytest.fixture
async def clocked(dsn: str, connection: psycopg.Connection) -> AsyncIterator[PendingStore]:
    """A store whose clock the test puts forward."""
    connection.execute(CLOCK)
    async with open_pool(dsn) as pool:
        yield PendingStore(pool)


@pytest.mark.law(14)
async def test_a_click_after_the_deadline_is_refused_as_expired(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)

    assert await store.claim(click()) == Refusal("q", RefusalReason.EXPIRED)
    await store.leases.expire(limit=10)
    assert await store.claim(click()) == Refusal("q", RefusalReason.EXPIRED)


async def test_a_click_before_it_wins(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)

    assert isinstance(await store.claim(click()), Claim)
    assert await store.leases.expire(limit=10) == 0


@pytest.mark.parametrize("hold", [changes, only_locks])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.law(14)
async def test_a_click_that_waits_for_the_row_beyond_the_deadline_is_refused(
    clocked: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    hold: Callable[[psycopg.AsyncConnection], Awaitable[None]],
    ending: str,
) -> None:
    await clocked.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await hold(locking)
        claiming = asyncio.create_task(clocked.claim(click(), lease=LEASE))
        await until_the_clock_waits(connection)
        connection.execute(PUT_FORWARD)
        await (locking.commit() if ending == "commit" else locking.rollback())

        assert await claiming == Refusal("q", RefusalReason.EXPIRED)

    pass_the_deadline(connection)
    assert await clocked.leases.expire(limit=10) == 1
    assert await state_of(clocked) is State.EXPIRED


@pytest.mark.law(14)
async def test_a_click_and_the_deadline_never_both_win(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.leases.hear(EVERYTHING)
    for number in range(30):
        id = f"q{number}"
        await store.put(id, SCOPE, PAYLOAD, expires_in=timedelta(milliseconds=4))
        clicks = [store.claim(click(id), lease=LEASE) for _ in range(2)]
        first, second, *_ = await asyncio.gather(*clicks, store.leases.expire(limit=10), store.leases.expire(limit=10))
        connection.execute("select pg_sleep(0.005)")
        await store.leases.expire(limit=10)

        won = isinstance(first, Claim) or isinstance(second, Claim)
        assert (await state_of(store, id) is State.UNDELIVERED) is won
        both = connection.execute(
            "select count(*) from pending_interactions where delivery_due_at is not null and ending_due_at is not null"
        ).fetchone()
        assert both == (0,)
        late = "select count(*) from pending_interactions where outcome is null and claimed_at > expires_at"
        assert connection.execute(late).fetchone() == (0,)


@pytest.mark.law(14)
async def test_the_default_is_the_answer_of_a_question_whose_card_was_posted(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    show_its_card(connection)
    pass_the_deadline(connection)

    assert await store.leases.expire(limit=10) == 1

    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.answer.value) == (Outcome.DEFAULTED, "no")
    assert connection.execute("select answered_by from pending_interactions").fetchone() == (None,)
    refusal = await store.claim(click())
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.answer, refusal.answered_by) == (RefusalReason.ALREADY_ANSWERED, "no", None)
    assert await store.leases.mark_delivered(leased)
    assert await state_of(store) is State.DEFAULTED


async def test_a_default_does_not_answer_a_question_whose_card_was_never_posted(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    pass_the_deadline(connection)
    await store.leases.expire(limit=10)

    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.answer.value) == (Outcome.EXPIRED, None)


async def test_a_default_is_one_of_the_options_that_were_asked_last(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    await store.put("q", SCOPE, question_payload("Deploy?", ["now", "later"], {"conversation_id": "C1"}))
    show_its_card(connection)
    pass_the_deadline(connection)

    assert connection.execute("select default_answer from pending_interactions").fetchone() == (None,)
    await store.leases.expire(limit=10)
    assert await state_of(store) is State.EXPIRED


@pytest.mark.parametrize(
    ("expires_in", "default", "complaint"),
    [
        (timedelta(), None, "must be more than 0"),
        (timedelta(seconds=-1), None, "must be more than 0"),
        (timedelta.max, None, "at most 10 years"),
        (None, "no", "needs a deadline"),
        (HOUR, "perhaps", "none of the options: yes, no"),
        (HOUR, "\0", "NUL"),
    ],
)
async def test_what_cannot_be_kept_is_refused_when_it_is_asked(
    store: PendingStore, expires_in: timedelta | None, default: str | None, complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        await store.put("q", SCOPE, PAYLOAD, expires_in=expires_in, default=default)
    with pytest.raises(InvalidInput, match=complaint):
        Question("q", SCOPE, "Deploy?", ("yes", "no"), expires_in=expires_in, default=default)


async def test_a_retry_moves_no_deadline(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="r", expires_in=HOUR)
    before = connection.execute("select expires_at from pending_interactions").fetchone()

    await store.put("q", SCOPE, PAYLOAD, request_key="r", expires_in=2 * HOUR)
    await store.put("q", SCOPE, PAYLOAD, request_key="r")

    assert connection.execute("select expires_at from pending_interactions").fetchone() == before


async def test_a_retry_takes_back_no_time_that_was_added(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="r", expires_in=HOUR)
    extended = await store.extend("q", SCOPE, by=HOUR)

    await store.put("q", SCOPE, PAYLOAD, request_key="r", expires_in=HOUR)

    assert connection.execute("select expires_at from pending_interactions").fetchone() == (extended,)


async def test_an_asker_of_an_open_question_brings_its_own_deadline_where_that_comes_first(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    await store.put("q", SCOPE, PAYLOAD, expires_in=timedelta(minutes=1), awaited_by=UUID(int=1))

    row = connection.execute("select expires_at < now() + interval '61 s' from pending_interactions").fetchone()
    assert row == (True,)


async def test_an_asker_that_takes_over_brings_its_own_deadline(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=timedelta(minutes=1), awaited_by=UUID(int=1))
    connection.execute("update pending_interactions set awaited_until = now()")
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, awaited_by=UUID(int=2))

    row = connection.execute("select expires_at > now() + interval '59 minutes' from pending_interactions").fetchone()
    assert row == (True,)


async def test_whoever_stores_a_question_again_after_its_deadline_finds_it_expired(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)

    kept = await store.put("q", SCOPE, PAYLOAD, if_answered="keep")
    assert kept.outcome is PutOutcome.EXPIRED
    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.REOPENED
    assert isinstance(await store.claim(click()), Claim)


async def test_a_late_click_on_the_asking_before_learns_that_it_expired(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    asked = await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    await store.put("q", SCOPE, PAYLOAD)

    late = await store.claim(click(ask_number=asked.ask_number))

    assert late == Refusal("q", RefusalReason.EXPIRED)


async def test_a_question_cannot_be_withdrawn_after_its_deadline(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)

    assert await store.withdraw("q", SCOPE) is Withdrawal.ALREADY_EXPIRED
    assert await state_of(store) is State.EXPIRED


@pytest.mark.parametrize("what", ["put", "withdraw"])
async def test_a_deadline_may_pass_while_the_callers_transaction_is_under_way(
    store: PendingStore, connection: psycopg.Connection, what: str
) -> None:
    asked = await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    async with store.transaction() as transaction:
        # The transaction has begun before the deadline.
        await transaction.execute("set local lock_timeout = '7s'")
        connection.execute("update pending_interactions set expires_at = clock_timestamp()")
        if what == "put":
            again = await store.put("q", SCOPE, PAYLOAD, connection=transaction)
            assert again.outcome is PutOutcome.REOPENED
        else:
            assert await store.withdraw("q", SCOPE, connection=transaction) is Withdrawal.ALREADY_EXPIRED
        # Its own limits are as the caller has set them.
        cursor = await transaction.execute("show lock_timeout")
        assert await cursor.fetchone() == ("7s",)

    if what == "put":
        late = await store.claim(click(ask_number=asked.ask_number))
        assert late == Refusal("q", RefusalReason.EXPIRED)
    else:
        assert connection.execute("select claimed_at > expires_at from pending_interactions").fetchone() == (True,)


async def test_a_deadline_is_moved_while_it_is_ahead(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    before = connection.execute("select expires_at from pending_interactions").fetchone()
    assert before is not None

    assert await store.extend("q", SCOPE, by=HOUR) == before[0] + HOUR
    assert await store.extend("q", replace(SCOPE, expected_user_id="U2"), by=HOUR) is NotExtended.UNKNOWN
    pass_the_deadline(connection)
    assert await store.extend("q", SCOPE, by=HOUR) is NotExtended.EXPIRED
    await store.leases.expire(limit=10)
    assert await store.extend("q", SCOPE, by=HOUR) is NotExtended.EXPIRED
    await store.put("answered", SCOPE, PAYLOAD, expires_in=HOUR)
    await store.claim(click("answered"))
    assert await store.extend("answered", SCOPE, by=HOUR) is NotExtended.ANSWERED


async def test_the_deadline_of_an_asker_that_waits_is_not_moved(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, awaited_by=UUID(int=1))
    assert await store.extend("q", SCOPE, by=HOUR) is NotExtended.AWAITED

    connection.execute("update pending_interactions set awaited_until = now()")
    assert isinstance(await store.extend("q", SCOPE, by=HOUR), datetime)


async def test_a_question_without_a_deadline_gets_none(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    assert await store.extend("q", SCOPE, by=HOUR) is NotExtended.NO_DEADLINE


@pytest.mark.law(14)
async def test_a_deadline_that_passes_while_the_row_is_waited_for_is_not_moved(
    clocked: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await clocked.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await only_locks(locking)
        extending = asyncio.create_task(clocked.extend("q", SCOPE, by=HOUR))
        await until_the_clock_waits(connection)
        connection.execute(PUT_FORWARD)
        await locking.rollback()

        assert await extending is NotExtended.EXPIRED


@pytest.mark.law(15)
async def test_deadlines_of_another_application_are_left_to_its_pods(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    connection.execute("update pending_interactions set application = 'other'")

    assert await store.leases.expire(limit=10) == 0
    assert await endings(store) == []


@pytest.mark.law(16)
async def test_a_question_that_somebody_has_locked_keeps_no_other_from_its_deadline(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    for id in ("q", "r"):
        await store.put(id, SCOPE, PAYLOAD, expires_in=HOUR)
        pass_the_deadline(connection, id)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await only_locks(locking)

        assert await store.leases.expire(limit=10) == 1
        assert [await state_of(store, id) for id in ("q", "r")] == [State.PENDING, State.EXPIRED]

    assert await store.leases.expire(limit=10) == 1


async def test_the_card_of_a_question_with_a_deadline_does_not_go_stale(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD, expires_in=timedelta(days=7))
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=stored.ask_number, card='"card"')])
    assert connection.execute("select card_due_at from pending_interactions").fetchone() == (None,)

    pass_the_deadline(connection)
    await store.leases.expire(limit=1)
    (card,) = await store.leases.lease_cards([("acme", "slack")], lease=LEASE, limit=1)
    assert card.outcome is Outcome.EXPIRED


@pytest.mark.law(8)
async def test_a_question_is_not_swept_before_its_deadline(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=timedelta(days=7))
    age(connection, hours=30)

    assert await swept(store) == []
    assert await state_of(store) is State.PENDING
