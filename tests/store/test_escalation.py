"""Escalation: from its time on a second user may answer as well; the question stays the first one's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore, Refusal, RefusalReason, Withdrawal
from pendingctl.errors import ScopeMismatch
from pendingctl.model import NotExtended, Outcome, PutOutcome, answer_of
from pendingctl.payload import question_payload
from pendingctl.pod.delivery import MOST_ATTEMPTS
from pendingctl.postgres.connections import Pool
from tests.deliveries import LEASE, readable
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline
from tests.locks import changes, only_locks, until_waiting_for_a_lock
from tests.posts import row, show
from tests.questions import PAYLOAD, SCOPE, click
from tests.store.escalations import escalate, put

ANOTHER = question_payload("Roll back?", ["yes", "no"], {"conversation_id": "C1"})
NOT_YOURS = Refusal("q", RefusalReason.NOT_YOURS)

# Whoever may answer.


@pytest.mark.law(2)
async def test_before_its_time_the_second_user_may_not_answer(store: PendingStore) -> None:
    await put(store)

    assert await store.claim(click(user_id="U2")) == NOT_YOURS
    assert await store.claim(click(user_id="U2", value="no such option")) == NOT_YOURS
    assert isinstance(await store.claim(click()), Claim)


@pytest.mark.law(2)
async def test_from_then_on_either_may_and_nobody_else(store: PendingStore, connection: psycopg.Connection) -> None:
    await put(store)
    escalate(connection)

    assert await store.claim(click(user_id="U3")) == NOT_YOURS
    assert await store.claim(click(user_id="U2", organization_id="globex")) == Refusal(
        "q", RefusalReason.UNKNOWN_OR_EXPIRED
    )
    assert await store.claim(click(user_id="U2", connection_id="teams")) == Refusal(
        "q", RefusalReason.UNKNOWN_OR_EXPIRED
    )
    refused = await store.claim(click(user_id="U2", value="perhaps"))
    assert refused == Refusal("q", RefusalReason.INVALID_ANSWER, options=("yes", "no"))
    assert isinstance(await store.claim(click(user_id="U2")), Claim)


@pytest.mark.law(15)
async def test_not_through_another_application(store: PendingStore, pool: Pool, connection: psycopg.Connection) -> None:
    await put(store)
    escalate(connection)

    other = await PendingStore(pool, application="other").claim(click(user_id="U2"))

    assert other == Refusal("q", RefusalReason.OTHER_APPLICATION)


async def test_the_second_user_need_not_wait_for_the_call(store: PendingStore) -> None:
    """The time alone decides, by the database's clock: no pod may be there to post anything."""
    await put(store, after=timedelta(microseconds=1))

    assert isinstance(await store.claim(click(user_id="U2")), Claim)


@pytest.mark.parametrize("hold", [changes, only_locks])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.law(2)
async def test_a_click_of_the_second_user_that_waits_for_the_row_wins(
    store: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    hold: Callable[[psycopg.AsyncConnection], Awaitable[None]],
    ending: str,
) -> None:
    await put(store)
    escalate(connection)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await hold(locking)
        claiming = asyncio.create_task(store.claim(click(user_id="U2"), lease=LEASE))
        await until_waiting_for_a_lock(connection)
        await (locking.commit() if ending == "commit" else locking.rollback())

        assert isinstance(await claiming, Claim)


@pytest.mark.parametrize("hold", [changes, only_locks])
@pytest.mark.parametrize("ending", ["commit", "rollback"])
@pytest.mark.law(2)
async def test_a_click_of_the_second_user_that_comes_too_early_waits_for_nobody(
    store: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    hold: Callable[[psycopg.AsyncConnection], Awaitable[None]],
    ending: str,
) -> None:
    await put(store)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await hold(locking)
        assert await store.claim(click(user_id="U2"), lease=LEASE) == NOT_YOURS
        await (locking.commit() if ending == "commit" else locking.rollback())

    assert row(connection, "claimed_at") == (None,)


@pytest.mark.law(2)
async def test_a_click_that_waits_while_the_escalation_is_put_off_is_refused(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    """The row's lock looks again: the id is asked anew, and not the second user any more."""
    await put(store)
    escalate(connection)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        async with locking.transaction():
            await store.put("q", SCOPE, ANOTHER, connection=locking)
            claiming = asyncio.create_task(store.claim(click(user_id="U2")))
            await until_waiting_for_a_lock(connection)

        assert await claiming == NOT_YOURS
    assert row(connection, "claimed_at") == (None,)


@pytest.mark.law(14)
async def test_no_click_of_the_second_user_wins_after_the_deadline(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    number = await put(store, expires_in=2 * HOUR)
    escalate(connection)
    pass_the_deadline(connection)

    assert await store.claim(click(user_id="U2")) == Refusal("q", RefusalReason.EXPIRED)
    await store.leases.expire(limit=1)
    assert await store.claim(click(user_id="U2", ask_number=number)) == Refusal("q", RefusalReason.EXPIRED)


# Whose the answer is.


@pytest.mark.law(6)
async def test_the_answer_belongs_to_the_user_who_was_asked(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    escalate(connection)
    pressed = click(user_id="U2")
    won = await store.claim(pressed, lease=LEASE)
    assert isinstance(won, Claim)
    connection.execute("update pending_interactions set delivery_due_at = now()")
    (leased,) = readable(await store.leases.lease(lease=LEASE, limit=1, most_attempts=MOST_ATTEMPTS))

    assert leased.answer == answer_of(pressed, won)
    assert (leased.answer.user_id, leased.answer.answered_by, leased.answer.conversation_id) == ("U1", "U2", "C1")
    assert row(connection, "expected_user_id, answered_by") == ("U1", "U2")


@pytest.mark.law(2)
async def test_the_question_itself_stays_the_first_users(store: PendingStore, connection: psycopg.Connection) -> None:
    await put(store, expires_in=2 * HOUR)
    escalate(connection)
    second = replace(SCOPE, expected_user_id="U2")

    assert await store.withdraw("q", second) is Withdrawal.UNKNOWN
    assert await store.extend("q", second, by=HOUR) is NotExtended.UNKNOWN
    assert not await store.delete("q", second)
    with pytest.raises(ScopeMismatch):
        await store.put("q", second, PAYLOAD)
    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.REFRESHED
    assert await store.withdraw("q", SCOPE) is Withdrawal.WITHDRAWN


@pytest.mark.law(1)
async def test_of_both_users_at_the_same_moment_one_wins(store: PendingStore, connection: psycopg.Connection) -> None:
    for _ in range(20):
        number = await put(store)
        escalate(connection)
        clicks = [click(user_id=user, delivery_key=user, ask_number=number) for user in ("U1", "U2") * 3]
        results = await asyncio.gather(*(store.claim(each) for each in clicks))

        (winner,) = {each.user_id for each, result in zip(clicks, results, strict=True) if isinstance(result, Claim)}
        refusals = [result for result in results if isinstance(result, Refusal)]
        assert len(refusals) == 3
        assert {(each.reason, each.answered_by, each.answer) for each in refusals} == {
            (RefusalReason.ALREADY_ANSWERED, winner, "yes")
        }


# Clicks after the end.


@pytest.mark.parametrize("winner", ["U1", "U2"])
@pytest.mark.parametrize("asked_anew", [False, True])
@pytest.mark.law(7)
async def test_late_clicks_learn_who_has_answered(
    store: PendingStore, connection: psycopg.Connection, winner: str, asked_anew: bool
) -> None:
    number = await put(store)
    escalate(connection)
    press = click(user_id=winner, delivery_key="first", ask_number=number)
    won = await store.claim(press)
    assert isinstance(won, Claim)
    if asked_anew:
        await store.put("q", SCOPE, PAYLOAD)

    for user in ("U1", "U2"):
        late = await store.claim(click(user_id=user, delivery_key=f"late {user}", ask_number=number))
        assert late == Refusal("q", RefusalReason.ALREADY_ANSWERED, winner, "yes", won.claimed_at)
    again = await store.claim(press)
    assert isinstance(again, Claim)
    assert (again.repeated, again.ask_number, again.expected_user_id) == (True, number, "U1")
    # The same key and value by the other user is another press.
    other = await store.claim(replace(press, user_id="U2" if winner == "U1" else "U1"))
    assert isinstance(other, Refusal)
    assert other.reason is RefusalReason.ALREADY_ANSWERED
    assert await store.claim(click(user_id="U3", ask_number=number)) == NOT_YOURS
    stranger = await store.claim(click(user_id="U2", organization_id="globex", ask_number=number))
    assert stranger == Refusal("q", RefusalReason.UNKNOWN_OR_EXPIRED)


@pytest.mark.parametrize("asked_anew", [False, True])
@pytest.mark.parametrize("ending", [Outcome.WITHDRAWN, Outcome.EXPIRED])
@pytest.mark.law(7)
async def test_late_clicks_learn_that_nobody_has_answered(
    store: PendingStore, connection: psycopg.Connection, ending: Outcome, asked_anew: bool
) -> None:
    number = await put(store, expires_in=2 * HOUR)
    escalate(connection)
    if ending is Outcome.WITHDRAWN:
        await store.withdraw("q", SCOPE)
    else:
        pass_the_deadline(connection)
        await store.leases.expire(limit=1)
    if asked_anew:
        await store.put("q", SCOPE, PAYLOAD)

    for user in ("U1", "U2"):
        late = await store.claim(click(user_id=user, ask_number=number))
        assert late == Refusal("q", RefusalReason(ending))


@pytest.mark.parametrize("asked_anew", [False, True])
@pytest.mark.law(7)
async def test_what_ended_before_its_escalation_is_not_the_second_users(
    store: PendingStore, connection: psycopg.Connection, asked_anew: bool
) -> None:
    number = await put(store)
    assert isinstance(await store.claim(click(ask_number=number)), Claim)
    connection.execute("update pending_interactions set escalate_at = clock_timestamp()")
    if asked_anew:
        await store.put("q", SCOPE, PAYLOAD)

    assert await store.claim(click(user_id="U2", ask_number=number)) == NOT_YOURS


@pytest.mark.law(11)
async def test_the_second_user_of_the_asking_before_is_none_of_the_next_one(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    number = await put(store)
    escalate(connection)
    anew = await store.put("q", SCOPE, ANOTHER)

    assert anew.outcome is PutOutcome.SUPERSEDED
    superseded = Refusal("q", RefusalReason.SUPERSEDED)
    assert await store.claim(click(user_id="U2", ask_number=number)) == superseded
    assert await store.claim(click(user_id="U1", ask_number=number)) == superseded
    assert await store.claim(click(user_id="U2", ask_number=anew.ask_number)) == NOT_YOURS
    assert await store.claim(click(user_id="U2")) == NOT_YOURS


@pytest.mark.law(7)
async def test_nor_is_the_second_user_of_the_next_one_of_the_asking_before(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    former = await store.put("q", SCOPE, ANOTHER)
    number = await put(store)
    escalate(connection)

    assert await store.claim(click(user_id="U2", ask_number=former.ask_number)) == NOT_YOURS
    assert await store.claim(click(user_id="U2", ask_number=number + 1_000)) == NOT_YOURS
    assert isinstance(await store.claim(click(user_id="U2", ask_number=number)), Claim)


async def test_a_repeated_press_of_the_second_user_keeps_its_lease(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    escalate(connection)
    won = await store.claim(click(user_id="U2"), lease=LEASE)
    assert isinstance(won, Claim)
    again = await store.claim(click(user_id="U2"), lease=LEASE, lease_token=won.lease_token)

    assert again == replace(won, card=None)


@pytest.mark.law(14)
async def test_a_default_counts_for_both(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put(
        "q",
        SCOPE,
        PAYLOAD,
        show=True,
        escalate_after=HOUR,
        escalate_to="U2",
        expires_in=2 * HOUR,
        default="no",
    )
    await show(store)
    escalate(connection)
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)

    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.answer.user_id, leased.answer.answered_by) == (Outcome.DEFAULTED, "U1", None)
    for user in ("U1", "U2"):
        late = await store.claim(click(user_id=user))
        assert isinstance(late, Refusal)
        assert (late.reason, late.answered_by, late.answer) == (RefusalReason.ALREADY_ANSWERED, None, "no")
