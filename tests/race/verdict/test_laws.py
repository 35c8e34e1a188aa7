"""Each law is reported when it is broken, on histories written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.race.history.history import History
from pendingctl.race.verdict.checker import CHECKS, judge
from tests.race.verdict.histories import LAWFUL, LOSER, having, laws_broken, verdicts, won
from tests.race.verdict.lawless_histories import LAWLESS


@pytest.mark.parametrize(("law", "history"), LAWLESS.values(), ids=LAWLESS.keys())
def test_a_broken_law_is_named(law: str, history: History) -> None:
    assert law in laws_broken(history)
    assert judge(history).verdict == "fail"
    assert verdicts(history)[law] == "fail"


def test_every_check_has_been_seen_to_fail() -> None:
    assert {law for law, _ in LAWLESS.values()} == set(CHECKS)


@pytest.mark.parametrize(
    "lie",
    [
        "a foreign put gets through",
        "a loser is told another time",
        "a wrong user is told who answered",
        "the winner is given another payload",
        "the answer is never handed over",
        "two answers are handed over under one key",
        "two puts both create the row",
        "two deletes both take one row",
        "an extra question's row is gone though nobody took it",
        "a sweep takes a young row",
        "a sweep takes a row that is exactly of the maximum age",
        "a sweep takes a row that was asked again since it was stale",
        "a sweep takes an answer that is not delivered",
        "a sweep takes more than its limit",
        "a sweep takes a row that is not the run's",
        "a row is left behind",
    ],
)
def test_one_lie_breaks_one_law(lie: str) -> None:
    law, history = LAWLESS[lie]

    assert laws_broken(history) - {"linearizable"} == {law} - {"linearizable"}


def test_a_violation_names_its_question_and_its_operations() -> None:
    (violation,) = [each for each in judge(having(won(LOSER))).violations if each.law == "single_winner"]

    assert violation.question_id == "q"
    assert violation.detail == "2 clicks were told that they won: claim q.0 of pod-1, claim q.1 of pod-2"


def test_what_is_left_behind_is_counted_and_not_listed_without_end() -> None:
    history = replace(LAWFUL, left_behind=tuple(f"question {each}" for each in range(7)))

    (violation,) = judge(history).violations
    assert violation.question_id is None
    assert violation.detail.endswith("question 4 and 2 more")
