"""A press of a card's button by its place: the claim takes the option of its own asking. Laws 7 and 11."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from pendingctl import Claim, Click, Operator, PendingStore, Refusal, RefusalReason
from pendingctl.errors import InvalidInput
from pendingctl.model import answer_of
from pendingctl.payload import option_at, question_payload
from tests.deliveries import LEASE, lease, run_out
from tests.locks import until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, click
from tests.store.escalations import escalate, put

TURNED = question_payload("Deploy?", ["no", "yes"], {"conversation_id": "C1"})


def press(option: int, ask_number: int, **changed: Any) -> Click:
    return replace(click(value=None, ask_number=ask_number, **changed), option=option)


async def asked(store: PendingStore, options: list[str] | None = None, **details: Any) -> int:
    payload = PAYLOAD if options is None else question_payload("Which?", options)
    return (await store.put("q", SCOPE, payload, **details)).ask_number


async def answer_in_row(store: PendingStore) -> str | None:
    row = await store.inspection.get("q")
    assert row is not None
    return row.answer


# What a click can say.


def test_an_option_needs_the_asking_whose_card_showed_it() -> None:
    with pytest.raises(InvalidInput, match="ask number"):
        replace(click(value=None), option=0)


def test_a_click_has_a_value_or_an_option() -> None:
    with pytest.raises(InvalidInput, match="a value and an option"):
        replace(click(ask_number=1), option=0)


@pytest.mark.parametrize("option", [-1, 2**31])
def test_an_option_is_a_place_that_postgres_can_count_to(option: int) -> None:
    with pytest.raises(InvalidInput, match="option"):
        press(option, 1)
    press(2**31 - 1, 1)


# The answer is what the card showed (law 11).


@pytest.mark.parametrize(("option", "answer"), [(0, "yes"), (1, "no")])
@pytest.mark.law(11)
async def test_the_answer_is_the_option_at_that_place(store: PendingStore, option: int, answer: str) -> None:
    number = await asked(store)
    pressed = press(option, number)

    claim = await store.claim(pressed)

    assert isinstance(claim, Claim)
    assert claim.value == answer_of(pressed, claim).value == await answer_in_row(store) == answer


@pytest.mark.law(11)
async def test_a_claim_by_value_hands_the_value_back(store: PendingStore) -> None:
    await asked(store)

    claim = await store.claim(click(value="no"))

    assert isinstance(claim, Claim)
    assert claim.value == "no"


@pytest.mark.law(11)
async def test_of_options_that_look_alike_each_button_answers_its_own(store: PendingStore) -> None:
    options = ["yes", "yes", " yes", "", "null", "1"]
    for option, answer in enumerate(options):
        claim = await store.claim(press(option, await asked(store, options)))

        assert isinstance(claim, Claim)
        assert claim.value == await answer_in_row(store) == answer


@pytest.mark.law(11)
async def test_a_button_of_the_card_before_answers_nothing_of_the_options_that_came_since(store: PendingStore) -> None:
    old = await asked(store)
    new = (await store.put("q", SCOPE, TURNED)).ask_number

    late = await store.claim(press(0, old))
    claim = await store.claim(press(0, new))

    assert late == Refusal("q", RefusalReason.SUPERSEDED)
    assert isinstance(claim, Claim)
    assert claim.value == "no"


@pytest.mark.law(3, 11)
async def test_a_retry_leaves_each_option_at_its_place(store: PendingStore) -> None:
    number = await asked(store, request_key="k")
    refreshed = question_payload("Deploy?", ["yes", "no"], {"conversation_id": "C1", "trace": 2})
    assert (await store.put("q", SCOPE, refreshed, request_key="k")).ask_number == number

    claim = await store.claim(press(1, number))

    assert isinstance(claim, Claim)
    assert (claim.value, claim.payload) == ("no", refreshed)


@pytest.mark.law(1, 11)
async def test_a_press_that_waits_for_the_row_takes_the_option_that_it_then_holds(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    number = await asked(store)
    async with await psycopg.AsyncConnection.connect(dsn) as other:
        await other.execute(
            "update pending_interactions set entry_payload = jsonb_set(entry_payload, '{question,options}', %s)",
            ('["perhaps", "no"]',),
        )
        pressed = asyncio.create_task(store.claim(press(0, number)))
        await until_waiting_for_a_lock(connection)
        await other.commit()

    claim = await pressed

    assert isinstance(claim, Claim)
    assert claim.value == await answer_in_row(store) == "perhaps"


@pytest.mark.law(6, 11)
async def test_another_pod_delivers_the_option_that_was_pressed(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.claim(press(1, await asked(store)), lease=LEASE)
    run_out(connection)

    (leased,) = await lease(store)

    assert leased.answer.value == "no"


@pytest.mark.law(11)
async def test_an_operator_may_press_a_button_as_well(store: PendingStore) -> None:
    number = await asked(store)
    anna = Operator("anna", "U1 is on holiday")

    first = await store.answer(press(1, number), anna)
    again = await store.answer(press(1, number), anna)
    other = await store.claim(press(1, number))

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert (first.value, again.value, again.repeated) == ("no", "no", True)
    assert isinstance(other, Refusal)
    assert (other.answered_by, other.answer) == ("operator:anna", "no")


# What is no option is no answer (law 7).


@pytest.mark.parametrize("option", [2, 24, 2**31 - 1])
@pytest.mark.law(7)
async def test_a_place_beyond_the_options_is_refused_with_them(store: PendingStore, option: int) -> None:
    number = await asked(store)

    refused = await store.claim(press(option, number))

    assert refused == Refusal("q", RefusalReason.INVALID_ANSWER, options=("yes", "no"))
    assert await answer_in_row(store) is None
    assert isinstance(await store.claim(press(1, number)), Claim)


@pytest.mark.parametrize(
    ("question", "option", "is_accepted"),
    [
        ({"options": ["yes", "no"]}, 1, True),
        ({"options": ["yes"]}, 1, False),
        ({"options": []}, 0, False),
        ({}, 0, False),
        ({"options": None}, 0, False),
        ({"options": "yes"}, 0, False),
        ({"options": {"0": "yes"}}, 0, False),
        ({"options": [1, ["x"], None, True, "x", {"x": "y"}]}, 0, False),
        ({"options": [1, ["x"], None, True, "x", {"x": "y"}]}, 1, False),
        ({"options": [1, ["x"], None, True, "x", {"x": "y"}]}, 2, False),
        ({"options": [1, ["x"], None, True, "x", {"x": "y"}]}, 3, False),
        ({"options": [1, ["x"], None, True, "x", {"x": "y"}]}, 4, True),
        ({"options": [1, ["x"], None, True, "x", {"x": "y"}]}, 5, False),
        ([{"options": ["yes"]}], 0, False),
        ("options", 0, False),
    ],
)
@pytest.mark.law(7)
async def test_what_is_an_option_is_the_same_to_the_claim_and_to_the_refusal(
    store: PendingStore, question: Any, option: int, is_accepted: bool
) -> None:
    payload = {"question": question}
    number = (await store.put("q", SCOPE, payload)).ask_number

    result = await store.claim(press(option, number))

    assert isinstance(result, Claim) is is_accepted is (option_at(payload, option) is not None)
    assert is_accepted or (isinstance(result, Refusal) and result.reason is RefusalReason.INVALID_ANSWER)


@pytest.mark.law(7)
async def test_a_stranger_does_not_learn_how_many_options_there_are(store: PendingStore) -> None:
    number = await asked(store)

    for option in (0, 2):
        for foreign, reason in (
            ({"user_id": "U2"}, RefusalReason.NOT_YOURS),
            ({"organization_id": "globex"}, RefusalReason.UNKNOWN_OR_EXPIRED),
        ):
            assert await store.claim(press(option, number, **foreign)) == Refusal("q", reason)


# The press that won (law 7).


@pytest.mark.law(6, 7)
async def test_the_same_press_delivered_again_learns_that_it_won(store: PendingStore) -> None:
    number = await asked(store)
    first = await store.claim(press(1, number))

    again = await store.claim(press(1, number))

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert (again.repeated, again.value, again.claimed_at) == (True, "no", first.claimed_at)


@pytest.mark.parametrize(("option", "changed"), [(0, {}), (1, {"delivery_key": "other"}), (2, {})])
@pytest.mark.law(7)
async def test_another_press_learns_what_was_answered(
    store: PendingStore, option: int, changed: dict[str, Any]
) -> None:
    number = await asked(store)
    await store.claim(press(1, number))

    refused = await store.claim(press(option, number, **changed))

    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.answer) == (RefusalReason.ALREADY_ANSWERED, "no")


@pytest.mark.law(7, 11)
async def test_the_press_that_won_the_asking_before_is_known_by_its_key_and_user(store: PendingStore) -> None:
    """The options of that asking are gone, and the present ones stand at other places."""
    before = await asked(store)
    won = await store.claim(press(0, before, delivery_key="press"))
    await store.put("q", SCOPE, TURNED)

    again = await store.claim(press(0, before, delivery_key="press"))
    other = await store.claim(press(0, before, delivery_key="other"))

    assert isinstance(won, Claim)
    assert isinstance(again, Claim)
    assert (again.repeated, again.value, again.claimed_at) == (True, "yes", won.claimed_at)
    assert isinstance(other, Refusal)
    assert (other.reason, other.answer) == (RefusalReason.ALREADY_ANSWERED, "yes")


@pytest.mark.law(7, 11)
async def test_whoever_it_was_escalated_to_presses_by_place_as_well(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    number = await put(store)
    escalate(connection)

    first = await store.claim(press(1, number, user_id="U2"))
    again = await store.claim(press(1, number, user_id="U2"))
    other = await store.claim(press(1, number))

    assert isinstance(first, Claim)
    assert isinstance(again, Claim)
    assert (first.value, again.value, again.repeated) == ("no", "no", True)
    assert isinstance(other, Refusal)
    assert (other.answered_by, other.answer) == ("U2", "no")


# Payloads that Python cannot read.


@pytest.mark.law(7, 11)
async def test_a_payload_that_cannot_be_read_is_answered_by_its_options_all_the_same(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """The claim reads it in the database, and the press that won is known by its key and user."""
    number = await asked(store)
    connection.execute(
        "update pending_interactions set entry_payload = jsonb_set(entry_payload, '{huge}', %s)", ("9" * 5_000,)
    )

    refused = await store.claim(press(2, number))
    claim = await store.claim(press(1, number))
    again = await store.claim(press(1, number))
    other = await store.claim(press(1, number, delivery_key="other"))

    assert isinstance(refused, Refusal)
    assert refused.reason is RefusalReason.INVALID_ANSWER
    assert isinstance(claim, Claim)
    assert isinstance(again, Claim)
    assert (claim.value, claim.payload, again.value, again.repeated) == ("no", {}, "no", True)
    assert isinstance(other, Refusal)
    assert other.reason is RefusalReason.ALREADY_ANSWERED
