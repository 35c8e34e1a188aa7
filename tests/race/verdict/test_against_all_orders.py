"""The search for an order against a slow and obvious one over all orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pendingctl.race.history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.operations import OperationKind
from pendingctl.race.verdict.linearization import linearize
from tests.race.verdict.all_orders import NEVER_TOLD, Table, carry_out, has_order
from tests.race.verdict.operations import (
    CLAIM,
    COUNTED,
    DELETE,
    DELIVER,
    DELIVERING,
    EXTRA,
    FAILED,
    OK,
    PUT,
    REFUSED,
    REPEATED,
    SCOPE,
    STALE_AFTER,
    STRANGERS,
    SWEEP,
    UNKNOWN,
    WITHDRAW,
    by_request,
    clock,
    operation,
    row,
)


@dataclass(frozen=True, slots=True)
class Made:
    """A history that was made up."""

    question: RacedQuestion
    operations: tuple[Operation, ...]
    row: Row | None


def made_from_an_order(random: Random) -> Made:
    """What operations are told that are carried out one after the other, each some time within its interval.

    Some of them are lost on the way, there or back: these took effect or not, and as late as they liked.
    """
    question = random.choice([EXTRA, DELIVERING, COUNTED])
    table: Table = {} if question.is_extra else {"row": NEVER_TOLD}
    operations: list[Operation] = []
    for place in range(random.randint(1, 6)):
        moment = place * 10
        started, ended = moment - random.randint(0, 25), moment + random.randint(0, 25)
        action = _planned(random, started, ended)
        fate = random.random()
        if fate < 0.1:
            operations.append(replace(action, outcome=random.choice([UNKNOWN, FAILED])))
            continue
        if action.kind is PUT:
            # Nobody presses the button of an asking whose number nobody was told.
            action = replace(action, reported=Reported(ask_number=moment + (11 if fate >= 0.25 else 15)))
        outcome, reported = carry_out(table, action, clock(moment), delivers=question.delivers)
        if action.kind is SWEEP and not reported.ids and fate >= 0.25:
            # A sweep that took nothing is not part of this question's history.
            continue
        if fate < 0.25:
            seen = random.choice([None, started, ended])
            operations.append(replace(action, outcome=UNKNOWN, reported=Reported(), ended_ns=seen))
            continue
        if action.kind is CLAIM and random.random() < 0.2:
            reported = replace(reported, ask_number=None)
        operations.append(replace(action, outcome=outcome, reported=reported))
    random.shuffle(operations)
    return Made(question, tuple(operations), _left(table))


def made_up(random: Random) -> Made:
    """Operations that were told anything at all that such an operation can be told."""
    question = random.choice([EXTRA, DELIVERING, COUNTED])
    operations = []
    for _ in range(random.randint(1, 6)):
        started = random.randint(0, 30)
        operations.append(_told_anything(random, _planned(random, started, started + random.randint(0, 15))))
    return Made(question, tuple(operations), _any_row(random))


def made_from_an_order_and_spoilt(random: Random) -> Made:
    """A true history in which one thing was changed, which may or may not matter."""
    made = made_from_an_order(random)
    if not made.operations or random.random() < 0.2:
        return replace(made, row=_any_row(random))
    place = random.randrange(len(made.operations))
    spoilt = made.operations[place]
    if random.random() < 0.5:
        spoilt = _told_anything(random, spoilt)
    else:
        started = random.randint(-20, 60)
        spoilt = replace(spoilt, started_ns=started, ended_ns=started + random.randint(0, 15))
    return replace(made, operations=(*made.operations[:place], spoilt, *made.operations[place + 1 :]))


MAKERS = (made_from_an_order, made_from_an_order_and_spoilt, made_up)


def _planned(random: Random, started: int, ended: int) -> Operation:
    kind = random.choice([PUT, PUT, CLAIM, CLAIM, CLAIM, DELETE, SWEEP, DELIVER, WITHDRAW])
    scope = SCOPE if kind in (SWEEP, DELIVER) or random.random() < 0.85 else random.choice(STRANGERS)
    planned = operation(
        kind,
        started,
        ended,
        key=random.choice("abc"),
        value=random.choice(["yes", "yes", "no"]),
        ask_number=random.choice([None, 1, 11, 21]),
        keeps=random.random() < 0.25,
        scope=scope,
    )
    if kind is not PUT:
        return planned
    return by_request(planned, random.choice([None, None, "k", "l"]), random.choice([0, 0, 1]))


def _told_anything(random: Random, action: Operation) -> Operation:
    asking = random.choice([None, 1, 1, 11, 21])
    at = clock(random.randint(0, 40))
    answer = random.choice([None, "yes", "yes", "no"])
    possible: dict[OperationKind, list[tuple[Outcome, Reported]]] = {
        PUT: [
            (OK, Reported(put="created", ask_number=asking, at=at)),
            (OK, Reported(put="refreshed", ask_number=asking)),
            (OK, Reported(put="reopened", ask_number=asking, at=at)),
            (OK, Reported(put="superseded", ask_number=asking, at=at)),
            (REFUSED, Reported(Reason.REQUEST_REFUSED)),
            (REFUSED, Reported(Reason.ALREADY_ANSWERED)),
            (REFUSED, Reported(Reason.WITHDRAWN)),
            (REFUSED, Reported(Reason.OTHER_SCOPE)),
        ],
        CLAIM: [
            (OK, Reported(ask_number=asking)),
            (OK, Reported(ask_number=asking)),
            (REPEATED, Reported(ask_number=asking)),
            (REFUSED, Reported(Reason.ALREADY_ANSWERED, answer=answer)),
            (REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)),
            (REFUSED, Reported(Reason.NOT_YOURS)),
            (REFUSED, Reported(Reason.SUPERSEDED)),
            (REFUSED, Reported(Reason.WITHDRAWN)),
        ],
        WITHDRAW: [
            (OK, Reported()),
            (OK, Reported()),
            (REFUSED, Reported(Reason.NO_SUCH_ROW)),
            (REFUSED, Reported(Reason.WITHDRAWN)),
            (REFUSED, Reported(Reason.ALREADY_ANSWERED)),
        ],
        DELETE: [(OK, Reported()), (REFUSED, Reported(Reason.NO_SUCH_ROW)), (REFUSED, Reported(Reason.UNDELIVERED))],
        DELIVER: [(OK, Reported()), (REFUSED, Reported(Reason.LEASE_LOST))],
        SWEEP: [(OK, Reported(at=at, ids=("x",)))],
    }
    outcome, reported = random.choice([*possible[action.kind], (UNKNOWN, Reported())])
    if action.planned.scope != SCOPE and random.random() < 0.8:
        outcome, reported = REFUSED, Reported(Reason.OTHER_SCOPE if action.kind is PUT else Reason.UNKNOWN_OR_EXPIRED)
    return replace(action, outcome=outcome, reported=reported)


def _any_row(random: Random) -> Row | None:
    undelivered = random.random() < 0.5
    rows = [row(), row("a"), row("b", undelivered=undelivered), row(ask_number=11), row("c", 11)]
    return random.choice([None, *rows, replace(row(), withdrawn=True)])


def _left(table: Table) -> Row | None:
    held = table.get("row")
    if held is None or held["answered"] is None:
        return None if held is None else replace(row(ask_number=held["asking"] or 1), withdrawn=held["withdrawn"])
    key, value = held["answered"]
    return row(key, held["asking"] or 1, value or "", undelivered=held["undelivered"])


@settings(max_examples=400)
@given(st.randoms(use_true_random=False), st.sampled_from(MAKERS), st.sampled_from([STALE_AFTER, None]))
def test_the_search_agrees_with_one_over_all_orders(
    random: Random, maker: Callable[[Random], Made], stale_after: timedelta | None
) -> None:
    made = maker(random)
    expected = has_order(made.question, made.operations, made.row, stale_after)

    search = linearize(made.question, made.operations, made.row, stale_after)

    event(f"has an order: {expected}")
    assert (search.found, search.undecided) == (expected, False)


@settings(max_examples=400)
@given(st.randoms(use_true_random=False))
def test_what_really_happened_has_an_order(random: Random) -> None:
    made = made_from_an_order(random)

    assert linearize(made.question, made.operations, made.row, STALE_AFTER).found


@pytest.mark.parametrize("maker", MAKERS)
def test_the_search_agrees_on_histories_with_an_order_and_on_those_without(maker: Callable[[Random], Made]) -> None:
    verdicts: Counter[bool] = Counter()
    disagreed: list[int] = []
    for seed in range(2_000):
        made = maker(Random(seed))
        expected = has_order(made.question, made.operations, made.row, STALE_AFTER)
        verdicts[expected] += 1
        if linearize(made.question, made.operations, made.row, STALE_AFTER).found is not expected:
            disagreed.append(seed)

    assert disagreed == []
    assert verdicts[True] >= 50
    assert verdicts[False] == 0 if maker is made_from_an_order else verdicts[False] >= 50
