"""A question that nobody needs answered any more: it loses and wins against clicks as a click does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from pendingctl import Claim, PendingStore, PutOutcome, Refusal, RefusalReason, State, Withdrawal
from tests.questions import PAYLOAD, SCOPE, click


@pytest.mark.law(7)
async def test_a_withdrawn_question_refuses_every_click(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    assert await store.withdraw("q", SCOPE) is Withdrawal.WITHDRAWN
    assert await store.withdraw("q", SCOPE) is Withdrawal.ALREADY_WITHDRAWN

    late = await store.claim(click(), lease=timedelta(seconds=30))
    assert isinstance(late, Refusal)
    assert late.reason is RefusalReason.WITHDRAWN
    stranger = await store.claim(click(user_id="U2"))
    assert isinstance(stranger, Refusal)
    assert stranger.reason is RefusalReason.NOT_YOURS
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.answer) == (State.WITHDRAWN, None)
    assert not (await store.leases.due()).answers


async def test_an_answered_question_is_not_withdrawn(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    assert await store.withdraw("q", SCOPE) is Withdrawal.ALREADY_ANSWERED


async def test_another_tenants_question_is_unknown_and_untouched(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    assert await store.withdraw("q", replace(SCOPE, organization_id="globex")) is Withdrawal.UNKNOWN
    assert await store.withdraw("q", replace(SCOPE, connection_id="teams")) is Withdrawal.UNKNOWN
    assert await store.withdraw("q", replace(SCOPE, expected_user_id="U2")) is Withdrawal.UNKNOWN
    assert await store.withdraw("nowhere", SCOPE) is Withdrawal.UNKNOWN
    assert isinstance(await store.claim(click()), Claim)


async def test_an_asker_withdraws_a_question_for_as_long_as_it_waits_for_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    first, second = UUID(int=1), UUID(int=2)
    await store.put("q", SCOPE, PAYLOAD, awaited_by=first)
    # It was not heard of for too long, and another asker waits in its place.
    connection.execute("update pending_interactions set awaited_until = now()")
    await store.put("q", SCOPE, PAYLOAD, awaited_by=second)

    assert await store.withdraw("q", SCOPE, awaited_by=first) is Withdrawal.UNKNOWN
    row = await store.inspection.get("q")
    assert row is not None
    assert row.claimed_at is None
    assert await store.withdraw("q", SCOPE, awaited_by=second) is Withdrawal.WITHDRAWN


@pytest.mark.law(1)
async def test_of_clicks_and_withdrawals_at_once_exactly_one_wins(store: PendingStore) -> None:
    for round in range(30):
        id = f"q{round}"
        await store.put(id, SCOPE, PAYLOAD)
        withdrawing = [store.withdraw(id, SCOPE) for _ in range(3)]
        clicking = [store.claim(click(id, delivery_key=f"key-{number}")) for number in range(3)]

        # By turns one or the other goes first.
        both = [*withdrawing, *clicking] if round % 2 else [*clicking, *withdrawing]
        results = await asyncio.gather(*both)

        won = [each for each in results if isinstance(each, Claim) or each is Withdrawal.WITHDRAWN]
        assert len(won) == 1
        row = await store.inspection.get(id)
        assert row is not None
        if isinstance(won[0], Claim):
            assert (row.state, row.answer) == (State.CLAIMED, "yes")
            assert [each for each in results if isinstance(each, Withdrawal)] == [Withdrawal.ALREADY_ANSWERED] * 3
        else:
            assert (row.state, row.answer) == (State.WITHDRAWN, None)
            refused = [each.reason for each in results if isinstance(each, Refusal)]
            assert refused == [RefusalReason.WITHDRAWN] * 3


async def test_a_withdrawn_question_can_be_asked_again(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)

    assert (await store.put("q", SCOPE, PAYLOAD, if_answered="keep")).outcome is PutOutcome.WITHDRAWN
    again = await store.put("q", SCOPE, PAYLOAD)
    assert (again.outcome, again.ask_number > first.ask_number) == (PutOutcome.REOPENED, True)
    claim = await store.claim(click())
    assert isinstance(claim, Claim)
    assert claim.ask_number == again.ask_number
    row = await store.inspection.get("q")
    assert row is not None
    assert row.state is State.CLAIMED
