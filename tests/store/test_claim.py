"""Claiming: laws 1, 2 and 7. Each test was seen to fail with its law broken."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pendingctl import Claim, Operator, PendingStore, Refusal, RefusalReason, State, open_pool
from pendingctl.payload import accepts, question_payload
from tests.locks import until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, age, click

FOREIGN_CLICKS = [
    pytest.param({"organization_id": "globex"}, RefusalReason.UNKNOWN_OR_EXPIRED, id="another organization"),
    pytest.param({"connection_id": "teams"}, RefusalReason.UNKNOWN_OR_EXPIRED, id="another connection"),
    pytest.param({"user_id": "U2"}, RefusalReason.NOT_YOURS, id="another user"),
]


# Law 1: one winner.


@pytest.mark.law(1)
async def test_of_many_clicks_at_once_exactly_one_wins(store: PendingStore) -> None:
    for round in range(20):
        await store.put(f"q{round}", SCOPE, question_payload("Which?", ()))
        clicks = [click(f"q{round}", delivery_key=f"key-{number}", value=f"value-{number}") for number in range(12)]

        results = await asyncio.gather(*(store.claim(each) for each in clicks))

        winners = [each for each, result in zip(clicks, results, strict=True) if isinstance(result, Claim)]
        assert len(winners) == 1
        row = await store.inspection.get(f"q{round}")
        assert row is not None
        assert (row.answer, row.delivery_key) == (winners[0].value, winners[0].delivery_key)


@pytest.mark.law(6)
async def test_the_claim_brings_the_payload_and_keeps_the_answer(store: PendingStore) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)

    claim = await store.claim(click(value="no"))

    assert isinstance(claim, Claim)
    assert (claim.payload, claim.ask_number, claim.repeated) == (PAYLOAD, stored.ask_number, False)
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.answer, row.claimed_at) == (State.CLAIMED, "no", claim.claimed_at)


@pytest.mark.law(1, 7)
async def test_the_loser_waits_for_an_open_claim_and_learns_the_truth(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    async with await psycopg.AsyncConnection.connect(dsn) as winner:
        await winner.execute(
            "update pending_interactions set claimed_at = now(), answer = 'no', delivery_key = 'first' where id = 'q'"
        )
        loser = asyncio.create_task(store.claim(click(delivery_key="second")))
        await until_waiting_for_a_lock(connection)
        await winner.commit()

    refusal = await loser

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.answer) == (RefusalReason.ALREADY_ANSWERED, "no")


@pytest.mark.law(6, 7)
async def test_the_same_press_delivered_again_learns_that_it_won(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    first = await store.claim(click(delivery_key="press"))

    again = await store.claim(click(delivery_key="press"))

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert again.repeated
    assert again.claimed_at == first.claimed_at


@pytest.mark.parametrize("changed", [{"delivery_key": "other"}, {"value": "no"}])
@pytest.mark.law(7)
async def test_only_the_key_and_value_that_won_are_the_same_press(store: PendingStore, changed: dict[str, Any]) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    refusal = await store.claim(click(**changed))

    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.ALREADY_ANSWERED


@pytest.mark.law(7)
async def test_an_operators_answer_counts_as_theirs_alone(store: PendingStore) -> None:
    anna = Operator("anna", "U1 is on holiday")
    await store.put("q", SCOPE, PAYLOAD)
    first = await store.answer(click(delivery_key="press"), anna)

    again = await store.answer(click(delivery_key="press"), anna)
    others = [
        await store.answer(click(delivery_key="press"), Operator("bert", "U1 is on holiday")),
        await store.claim(click(delivery_key="press")),
    ]

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert again.repeated
    for other in others:
        assert isinstance(other, Refusal)
        assert (other.reason, other.answered_by) == (RefusalReason.ALREADY_ANSWERED, "operator:anna")


@pytest.mark.law(3)
async def test_an_operator_answers_within_the_scope_of_the_question_alone(store: PendingStore) -> None:
    anna = Operator("anna", "U1 is on holiday")
    await store.put("q", SCOPE, PAYLOAD)

    foreign = await store.answer(click(organization_id="globex"), anna)
    stranger = await store.answer(click(user_id="U2"), anna)

    assert [each.reason for each in (foreign, stranger) if isinstance(each, Refusal)] == [
        RefusalReason.UNKNOWN_OR_EXPIRED,
        RefusalReason.NOT_YOURS,
    ]
    row = await store.inspection.get("q")
    assert row is not None
    assert row.state is State.PENDING


# Law 2: a wrong click costs nothing. Law 7: its precedence.


@pytest.mark.parametrize(("foreign", "reason"), FOREIGN_CLICKS)
@pytest.mark.law(2, 7)
async def test_a_wrong_click_is_refused_and_costs_nothing(
    store: PendingStore, foreign: dict[str, Any], reason: RefusalReason
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    before = await store.inspection.get("q")

    refusal = await store.claim(click(**foreign))

    after = await store.inspection.get("q")
    assert refusal == Refusal("q", reason)
    assert before is not None
    assert after is not None
    assert (after.state, after.answer, after.payload) == (State.PENDING, None, before.payload)
    assert isinstance(await store.claim(click()), Claim)


@pytest.mark.parametrize(("foreign", "reason"), FOREIGN_CLICKS)
@pytest.mark.law(7)
async def test_a_wrong_click_learns_nothing_of_an_answered_question(
    store: PendingStore, foreign: dict[str, Any], reason: RefusalReason
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())

    # Even with the winning delivery key, which a stranger may have guessed.
    assert await store.claim(click(**foreign)) == Refusal("q", reason)


@pytest.mark.law(7)
async def test_an_unknown_question_looks_as_a_foreign_one(store: PendingStore) -> None:
    assert await store.claim(click("nowhere")) == Refusal("nowhere", RefusalReason.UNKNOWN_OR_EXPIRED)


async def test_a_stale_question_that_is_not_swept_can_be_claimed(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    age(connection, hours=48)

    assert isinstance(await store.claim(click()), Claim)


# Read committed, whatever the role's default is (PostgreSQL manual, section 13.2).


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.law(1)
async def test_losers_are_refused_under_any_default_isolation(
    dsn: str, connection: psycopg.Connection, level: str
) -> None:
    connection.execute(f"alter database {connection.info.dbname} set default_transaction_isolation = '{level}'")
    async with open_pool(dsn, max_size=12, timeout=60) as pool:
        store = PendingStore(pool)
        for round in range(10):
            await store.put(f"q{round}", SCOPE, PAYLOAD)
            clicks = [click(f"q{round}", delivery_key=str(number)) for number in range(12)]
            results = await asyncio.gather(*(store.claim(each) for each in clicks))
            assert [type(each) for each in results].count(Claim) == 1

        async with pool.connection() as lent:
            row = await (await lent.execute("show transaction_isolation")).fetchone()
    assert row == ("read committed",)


@pytest.mark.law(7)
async def test_a_stranger_does_not_learn_which_values_are_options(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    async def reason(**changed: Any) -> RefusalReason:
        refused = await store.claim(click(value="perhaps", **changed))
        assert isinstance(refused, Refusal)
        return refused.reason

    assert await reason() is RefusalReason.INVALID_ANSWER
    assert await reason(user_id="U2") is RefusalReason.NOT_YOURS
    assert await reason(organization_id="globex") is RefusalReason.UNKNOWN_OR_EXPIRED
    assert await reason(connection_id="teams") is RefusalReason.UNKNOWN_OR_EXPIRED
    assert isinstance(await store.claim(click()), Claim)
    assert await reason() is RefusalReason.ALREADY_ANSWERED


@pytest.mark.parametrize(
    ("question", "value", "is_accepted"),
    [
        ({"options": ["yes", "no"]}, "yes", True),
        ({"options": ["yes", "no"]}, "Yes", False),
        ({"options": ["yes", "no"]}, None, False),
        ({"options": []}, "anything", True),
        ({"options": []}, None, True),
        ({}, "anything", True),
        ({"options": None}, "anything", True),
        ({"options": "yes"}, "anything", True),
        ({"options": {"yes": 1}}, "anything", True),
        ({"options": [1, ["x"]]}, "1", False),
        ({"options": [1, ["x"]]}, "x", False),
        (["options"], "anything", True),
        ("options", "anything", True),
    ],
)
@pytest.mark.law(7)
async def test_what_is_an_answer_is_the_same_to_the_claim_and_to_the_refusal(
    store: PendingStore, question: Any, value: str | None, is_accepted: bool
) -> None:
    payload = {"question": question}
    await store.put("q", SCOPE, payload)

    result = await store.claim(click(value=value))

    assert isinstance(result, Claim) is is_accepted is accepts(payload, value)
    assert is_accepted or (isinstance(result, Refusal) and result.reason is RefusalReason.INVALID_ANSWER)


@pytest.mark.law(7)
async def test_the_options_are_those_of_the_moment(store: PendingStore) -> None:
    await store.put("q", SCOPE, question_payload("Which?", ["old"]))
    await store.put("q", SCOPE, question_payload("Which?", ["new"]))

    refused = await store.claim(click(value="old"))

    assert isinstance(refused, Refusal)
    assert refused.reason is RefusalReason.INVALID_ANSWER
    assert isinstance(await store.claim(click(value="new")), Claim)
