"""The search for an order, on histories written by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TypeAlias

import pytest

from pendingctl.race.history.history import Operation, RacedQuestion, Reason, Reported, Row
from pendingctl.race.verdict import linearization
from pendingctl.race.verdict.linearization import linearize
from tests.race.verdict.all_orders import has_order
from tests.race.verdict.operations import (
    CLAIM,
    COUNTED,
    DELETE,
    DELIVERING,
    EXTRA,
    FAILED,
    OK,
    PUT,
    STALE_AFTER,
    SWEEP,
    UNKNOWN,
    again,
    claim,
    clock,
    delete,
    expired,
    foreign,
    kept,
    lost,
    nothing,
    operation,
    put,
    row,
    sweep,
    unknown,
)

ToldSo: TypeAlias = tuple[tuple[Operation, ...], Row | None]

CREATED = put(0, 10, "created", at=clock(0))
# By pairs: what has an order, and what is told a little differently and has none.
PAIRS: dict[str, tuple[RacedQuestion, ToldSo, ToldSo]] = {
    "nothing was done": (EXTRA, ((), None), ((), row())),
    "nothing was done to a counted question": (COUNTED, ((), row()), ((), None)),
    "a put creates, and a second one finds it": (
        EXTRA,
        ((CREATED, put(5, 15, "refreshed")), row()),
        ((CREATED, put(5, 15, "created")), row()),
    ),
    "a counted question is there before the first operation": (
        COUNTED,
        ((put(0, 10, "refreshed"),), row()),
        ((put(0, 10, "created"),), row()),
    ),
    "a claim wins after the put": (
        EXTRA,
        ((CREATED, claim(10, 20)), row("a")),
        ((CREATED, claim(10, 20)), row()),
    ),
    "a claim cannot win before the put": (
        EXTRA,
        ((put(20, 40, "created"), claim(10, 20)), row("a")),
        ((put(21, 40, "created"), claim(10, 20)), row("a")),
    ),
    "one of two claims wins": (
        COUNTED,
        ((claim(0, 10), lost(0, 10)), row("a")),
        ((claim(0, 10), claim(0, 10, "b")), row("a")),
    ),
    "a loser is told while the winner is under way": (
        COUNTED,
        ((claim(0, 10), lost(5, 6)), row("a")),
        ((claim(7, 10), lost(5, 6)), row("a")),
    ),
    "a loser is told the answer that stands": (
        COUNTED,
        ((claim(0, 10), lost(0, 10, "yes")), row("a")),
        ((claim(0, 10), lost(0, 10, "no")), row("a")),
    ),
    "the press that won does not lose": (
        COUNTED,
        ((claim(0, 10), again(20, 30)), row("a")),
        ((claim(0, 10), replace(lost(20, 30), planned=claim(0, 10).planned)), row("a")),
    ),
    "only the press that won is told so again": (
        COUNTED,
        ((claim(0, 10), again(20, 30, "a")), row("a")),
        ((claim(0, 10), again(20, 30, "b")), row("a")),
    ),
    "a win is told again after it was won": (
        COUNTED,
        ((claim(0, 10), again(10, 20)), row("a")),
        ((claim(11, 20), again(0, 10)), row("a")),
    ),
    "the row is what the last claim left": (
        COUNTED,
        ((claim(0, 10),), row("a")),
        ((claim(0, 10),), row("a", value="no")),
    ),
    "a question is asked again once it was answered": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((CREATED, put(20, 30, "reopened", 2)), row(ask_number=2)),
    ),
    "each asking has its own number": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), claim(30, 40, "b", won=2)), row("b", 2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 3), claim(30, 40, "b", won=3)), row("b", 3)),
    ),
    "a winner is told which asking it won": (
        EXTRA,
        ((CREATED, claim(10, 20, won=1)), row("a")),
        ((CREATED, claim(10, 20, won=2)), row("a")),
    ),
    "a winner is told again which asking it won": (
        EXTRA,
        ((CREATED, claim(10, 20), replace(again(20, 30), reported=Reported(ask_number=1))), row("a")),
        ((CREATED, claim(10, 20), replace(again(20, 30), reported=Reported(ask_number=2))), row("a")),
    ),
    "the button of an asking that is over loses": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(30, 40, None, ask=1)), row(ask_number=2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), claim(30, 40, "b", 1)), row("b", 2)),
    ),
    "a click that lost to an asking that is over gets no answer": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(30, 40, None, ask=1)), row(ask_number=2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(31, 40, "yes", ask=1)), row(ask_number=2)),
    ),
    "the button of an asking that is to come is unknown": (
        EXTRA,
        ((CREATED, expired(10, 20, ask_number=2)), row()),
        ((CREATED, expired(11, 20, ask_number=1)), row()),
    ),
    "a put that keeps finds an answered question": (
        COUNTED,
        ((claim(0, 10), kept(5, 15)), row("a")),
        ((claim(16, 20), kept(5, 15)), row("a")),
    ),
    "a put that reopens is not turned away": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((CREATED, claim(10, 20), replace(kept(20, 30), planned=CREATED.planned)), row("a")),
    ),
    "a put of one's own is not told that it is another's": (
        EXTRA,
        ((CREATED,), row()),
        ((CREATED, replace(nothing(10, 20), planned=CREATED.planned, reported=Reported(Reason.OTHER_SCOPE))), row()),
    ),
    "a delete takes the row": (EXTRA, ((CREATED, delete(10, 20)), None), ((CREATED, delete(10, 20)), row())),
    "one of two deletes takes the row": (
        EXTRA,
        ((CREATED, delete(10, 20), nothing(10, 20)), None),
        ((CREATED, delete(10, 20), delete(10, 20)), None),
    ),
    "a delete that found nothing came before the put or after the other": (
        EXTRA,
        ((put(0, 30, "created"), nothing(10, 20)), row()),
        ((put(0, 5, "created"), nothing(10, 20)), row()),
    ),
    "no click wins after a delete": (
        EXTRA,
        ((CREATED, delete(10, 20), expired(21, 30)), None),
        ((CREATED, delete(10, 20), claim(21, 30)), None),
    ),
    "a click may win while the delete is under way": (
        EXTRA,
        ((CREATED, delete(10, 30), claim(15, 20)), None),
        ((CREATED, delete(10, 30), claim(15, 20)), row("a")),
    ),
    "a question lives again after a delete, under the first number": (
        EXTRA,
        ((CREATED, claim(10, 20), delete(20, 30), put(30, 40, "created", 1)), row()),
        ((CREATED, claim(10, 20), delete(20, 30), put(30, 40, "reopened", 2)), row(ask_number=2)),
    ),
    "a sweep takes what is stale": (
        EXTRA,
        ((CREATED, sweep(10, 20, clock(15.001))), None),
        ((CREATED, sweep(10, 20, clock(15))), None),
    ),
    "a refresh does not make a row younger": (
        EXTRA,
        ((CREATED, put(10, 20, "refreshed", at=clock(10)), sweep(20, 30, clock(20))), None),
        ((CREATED, delete(10, 15), put(15, 20, "created", at=clock(10)), sweep(20, 30, clock(20))), None),
    ),
    "a question that is asked again is young": (
        EXTRA,
        ((CREATED, claim(10, 20), sweep(20, 30, clock(20)), put(20, 30, "created", at=clock(18))), row()),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2, clock(18)), sweep(31, 40, clock(20))), None),
    ),
    "a claim does not keep a row from the sweep": (
        EXTRA,
        ((CREATED, claim(10, 20), sweep(20, 30, clock(20))), None),
        ((CREATED, claim(21, 30), sweep(10, 20, clock(20))), row("a")),
    ),
    "a sweep takes only what is there": (
        EXTRA,
        ((CREATED, delete(10, 30), put(15, 30, "created"), sweep(15, 30, clock(20))), None),
        ((CREATED, delete(10, 30), sweep(15, 30, clock(20))), None),
    ),
    "strangers change nothing": (
        COUNTED,
        ((foreign(CLAIM, 0, 10), foreign(DELETE, 0, 10), foreign(PUT, 0, 10)), row()),
        ((foreign(CLAIM, 0, 10),), row("a")),
    ),
    "strangers are refused": (
        COUNTED,
        ((foreign(DELETE, 0, 10, UNKNOWN),), row()),
        ((foreign(DELETE, 0, 10, OK),), None),
    ),
    "a stranger's win is none": (
        COUNTED,
        ((foreign(CLAIM, 0, 10, UNKNOWN), claim(0, 10)), row("a")),
        ((foreign(CLAIM, 0, 10, OK),), row("a")),
    ),
    "an unknown claim may have won": (
        COUNTED,
        ((unknown(CLAIM, 0, 10), again(20, 30)), row("a")),
        ((unknown(CLAIM, 21, 30), again(10, 20)), row("a")),
    ),
    "an unknown claim may take effect long after its end": (
        EXTRA,
        ((unknown(CLAIM, 0, 10), put(20, 30, "created"), lost(40, 50)), row("a")),
        ((unknown(CLAIM, 51), put(20, 30, "created"), lost(40, 50)), row("a")),
    ),
    "an unknown claim may never take effect": (
        COUNTED,
        ((unknown(CLAIM, 0, 10), claim(20, 30, "b")), row("b")),
        ((unknown(CLAIM, 0, 10), claim(20, 30, "b"), again(20, 30)), row("b")),
    ),
    "an unknown claim takes effect once": (
        EXTRA,
        ((unknown(CLAIM, 0), CREATED, put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((unknown(CLAIM, 0), CREATED, put(20, 30, "reopened", 2), put(30, 40, "reopened", 3)), row(ask_number=3)),
    ),
    "an unknown put may take effect long after its end, when a refresh would have been due at once": (
        EXTRA,
        ((CREATED, unknown(PUT, 10, 15), delete(20, 30), claim(40, 50)), row("a")),
        ((CREATED, unknown(PUT, 51), delete(20, 30), claim(40, 50)), row("a")),
    ),
    "an unknown delete may take effect long after its start, when there was no row": (
        EXTRA,
        ((unknown(DELETE, 0), put(10, 20, "created"), put(30, 40, "created")), row()),
        ((unknown(DELETE, 0), put(10, 20, "created"), put(30, 40, "created"), put(50, 60, "created")), row()),
    ),
    "an unknown sweep may have taken a row however young": (
        EXTRA,
        ((CREATED, unknown(SWEEP, 0), expired(20, 30)), None),
        ((CREATED, unknown(SWEEP, 31), expired(20, 30)), None),
    ),
    "nobody knows the age of a row of an unknown put": (
        EXTRA,
        ((unknown(PUT, 0), sweep(20, 30, clock(-9_999))), None),
        ((CREATED, sweep(20, 30, clock(-9_999))), None),
    ),
    "what failed was never done": (
        COUNTED,
        ((operation(CLAIM, 0, 10, FAILED), claim(20, 30, "b")), row("b")),
        ((operation(CLAIM, 0, 10, FAILED), again(20, 30)), row("a")),
    ),
    "what ended before another began comes first": (
        EXTRA,
        ((put(0, 10, "created"), delete(10, 20), expired(15, 20)), None),
        ((put(0, 10, "created"), delete(22, 30), expired(15, 20)), None),
    ),
}


@pytest.mark.parametrize(("question", "lawful", "lawless"), PAIRS.values(), ids=PAIRS.keys())
def test_what_has_an_order_is_distinguished_from_what_has_none(
    question: RacedQuestion, lawful: ToldSo, lawless: ToldSo
) -> None:
    assert linearize(question, *lawful, STALE_AFTER).found
    refuted = linearize(question, *lawless, STALE_AFTER)
    assert (refuted.found, refuted.undecided) == (False, False)


@pytest.mark.parametrize(("question", "lawful", "lawless"), PAIRS.values(), ids=PAIRS.keys())
def test_the_pairs_are_right_by_the_slow_search_too(question: RacedQuestion, lawful: ToldSo, lawless: ToldSo) -> None:
    assert has_order(question, *lawful, STALE_AFTER)
    assert not has_order(question, *lawless, STALE_AFTER)


def test_without_an_age_a_sweep_may_take_any_row() -> None:
    assert linearize(EXTRA, (CREATED, sweep(10, 20, clock(1))), None, None).found
    undelivered = (CREATED, claim(10, 20), sweep(30, 40, clock(90)))
    assert linearize(DELIVERING, undelivered, None, None).found
    assert not linearize(DELIVERING, undelivered, None, STALE_AFTER).found


def test_the_order_in_which_operations_are_given_does_not_matter() -> None:
    operations = (CREATED, claim(10, 20), put(20, 30, "reopened", 2), delete(30, 40))

    assert all(linearize(EXTRA, each, None, STALE_AFTER).found for each in permutations(operations))


def test_what_stands_in_the_way_is_named() -> None:
    stray = claim(40, 50, "b")

    search = linearize(EXTRA, (CREATED, claim(10, 20), delete(20, 30), stray, nothing(60, 70)), None, STALE_AFTER)

    assert search.stuck == stray


def test_when_only_the_row_stands_in_the_way_no_operation_is_named() -> None:
    search = linearize(EXTRA, (CREATED, claim(10, 20)), None, STALE_AFTER)

    assert (search.found, search.undecided, search.stuck) == (False, False, None)


def test_a_search_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearization, "MOST_CONFIGURATIONS", 2)

    search = linearize(EXTRA, (CREATED, claim(10, 20), delete(20, 30)), None, STALE_AFTER)

    assert (search.found, search.undecided, search.stuck) == (False, True, None)


def test_a_crowd_of_clicks_is_searched_quickly() -> None:
    crowd = [lost(0, 1_000, key=f"b{number}") for number in range(300)]
    doubtful = [unknown(CLAIM, 0, key=f"u{number}") for number in range(30)]

    assert linearize(COUNTED, (*crowd, *doubtful, claim(0, 1_000)), row("a"), STALE_AFTER).found
    assert not linearize(COUNTED, (*crowd, *doubtful, again(0, 1_000, "z")), row("a"), STALE_AFTER).found


def test_what_was_tried_before_in_another_order_is_not_tried_again() -> None:
    # 25 million orders, and a few thousand configurations.
    doubtful = [unknown(kind, 0) for kind in (PUT, DELETE) for _ in range(7)]

    search = linearize(EXTRA, (*doubtful, again(0, 10)), None, STALE_AFTER)

    assert (search.found, search.undecided) == (False, False)
