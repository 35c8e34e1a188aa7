"""The search for an order, on histories written by hand."""

from __future__ import annotations

from itertools import permutations

import pytest

from pendingctl.race.history.history import RacedQuestion
from pendingctl.race.verdict import linearization
from pendingctl.race.verdict.linearization import linearize
from tests.race.verdict.all_orders import has_order
from tests.race.verdict.operations import (
    CLAIM,
    COUNTED,
    DELETE,
    DELIVERING,
    EXTRA,
    PUT,
    STALE_AFTER,
    again,
    claim,
    clock,
    delete,
    lost,
    nothing,
    put,
    row,
    sweep,
    unknown,
)
from tests.race.verdict.pairs_of_histories import CREATED, PAIRS, ToldSo


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
