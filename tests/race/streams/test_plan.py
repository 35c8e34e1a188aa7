from __future__ import annotations

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.limits.checker import LIMIT_CHECKS
from pendingctl.race.streams.checker import STREAM_CHECKS
from pendingctl.race.streams.controls import EXPECTED_STREAM_CHECKS
from pendingctl.race.streams.plan import (
    LASTING,
    STREAM_IMPLEMENTATIONS,
    StreamFaultKind,
    StreamRaceSettings,
    plan_round,
    rounds_for,
    schedule_stream_faults,
    streams_of,
)
from pendingctl.race.streams.self_test import races_of

SETTINGS = StreamRaceSettings(pods=2, rounds=4, appends=6, seed=1)
ORGANIZATIONS = ("acme", "rival")


def test_a_seed_gives_the_same_plan() -> None:
    assert plan_round(SETTINGS, ORGANIZATIONS, 0, 1) == plan_round(SETTINGS, ORGANIZATIONS, 0, 1)


def test_pods_and_rounds_differ() -> None:
    plans = [plan_round(SETTINGS, ORGANIZATIONS, pod, number) for pod in range(2) for number in range(2)]
    names = [planned.name for plan in plans for planned in plan]
    assert len(set(names)) == len(names)


def test_appends_go_to_streams_of_the_race() -> None:
    planned = plan_round(SETTINGS, ORGANIZATIONS, 1, 2)
    assert {stream for each in planned for stream in each.streams} <= set(streams_of(SETTINGS, ORGANIZATIONS))


@pytest.mark.parametrize("seed", range(20))
def test_each_fault_has_a_round_of_its_own_after_the_first(seed: int) -> None:
    faults = tuple(StreamFaultKind)
    planned = schedule_stream_faults(StreamRaceSettings(2, rounds_for(faults), 4, seed, faults=faults))
    assert planned[0] is None
    assert sorted(kind for kind in planned if kind) == sorted(set(StreamFaultKind) - LASTING)


@pytest.mark.parametrize("seed", range(20))
def test_a_failover_comes_once_and_the_silence_of_listeners_last(seed: int) -> None:
    faults = (StreamFaultKind.STOP_LISTEN, StreamFaultKind.FAILOVER, StreamFaultKind.CUT_LISTEN, StreamFaultKind.KILL)
    planned = schedule_stream_faults(StreamRaceSettings(2, 12, 4, seed, faults=faults))
    assert len(planned) == 12
    assert planned.count(StreamFaultKind.FAILOVER) == 1
    assert planned.index(StreamFaultKind.STOP_LISTEN) == 11
    assert planned.count(StreamFaultKind.KILL) >= 4


def test_a_fault_that_lasts_needs_no_round() -> None:
    settings = StreamRaceSettings(2, 3, 4, 1, faults=(StreamFaultKind.DROP_WAKE_UPS,))
    assert schedule_stream_faults(settings) == [None, None, None]


@pytest.mark.parametrize(
    ("pods", "rounds", "appends", "implementation"),
    [(1, 4, 6, "correct"), (2, 2, 6, "correct"), (2, 4, 0, "correct"), (33, 4, 6, "correct"), (2, 4, 6, "perfect")],
)
def test_what_cannot_be_raced_is_refused(pods: int, rounds: int, appends: int, implementation: str) -> None:
    with pytest.raises(InvalidInput):
        StreamRaceSettings(pods, rounds, appends, 1, implementation)


def test_each_check_that_a_control_is_made_for_exists() -> None:
    assert set(EXPECTED_STREAM_CHECKS.values()) <= {*STREAM_CHECKS, *LIMIT_CHECKS}


def test_all_implementations_are_raced_with_the_same_seeds() -> None:
    races = races_of(SETTINGS, 2)
    for name in STREAM_IMPLEMENTATIONS:
        assert [each.seed for each in races if each.implementation == name] == [1, 2]
