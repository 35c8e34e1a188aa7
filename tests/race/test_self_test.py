"""The checker's own test, with a small budget: the correct store passes, and every broken one is caught."""

from __future__ import annotations

import pytest

from pendingctl.race.plan.settings import IMPLEMENTATIONS, RaceSettings
from pendingctl.race.pods.controls import EXPECTED_CHECKS
from pendingctl.race.self_test import ControlResult, CorrectResult, SelfTestResult, races_of
from pendingctl.race.verdict.checker import CHECKS

SMALL = RaceSettings(pods=3, questions=14, clicks=6, seed=1)


def test_each_check_that_a_control_is_made_for_exists() -> None:
    assert set(EXPECTED_CHECKS.values()) <= set(CHECKS)


def test_all_implementations_are_raced_with_the_same_seeds() -> None:
    races = races_of(SMALL, 3)

    for name in IMPLEMENTATIONS:
        assert [each.seed for each in races if each.implementation == name] == [1, 2, 3]


CAUGHT = ControlResult("no-user", "scope", 3, 1, {"scope": 1})


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        (SelfTestResult(CorrectResult(3, 3, ()), (CAUGHT,)), "pass"),
        (SelfTestResult(CorrectResult(3, 2, ("seed 1: scope: …",)), (CAUGHT,)), "fail"),
        (
            SelfTestResult(
                CorrectResult(3, 3, ()), (CAUGHT, ControlResult("pod-clock", "scope", 3, 0, {"linearizable": 3}))
            ),
            "fail",
        ),
    ],
    ids=["all as it should be", "the correct one fails", "a control is caught by another check only"],
)
def test_the_verdict_of_a_self_test(result: SelfTestResult, verdict: str) -> None:
    assert result.verdict == verdict
    assert result.to_json()["verdict"] == verdict
