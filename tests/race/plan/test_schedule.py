"""When each fault strikes, and whose clock is off."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pendingctl.race.plan.schedule import (
    AT_A_POST,
    AT_AN_APPEND,
    AT_AN_ASKER,
    LASTING,
    FaultKind,
    Moment,
    schedule_faults,
    skew_hours,
)
from pendingctl.race.plan.settings import MAX_PODS

SEEDS = st.integers(-(2**40), 2**70)
FAULTS = st.lists(st.sampled_from(FaultKind), unique=True)
MOMENTS: dict[FaultKind, list[Moment | None]] = {
    FaultKind.KILL: list(Moment),
    FaultKind.PAUSE: [each for each in Moment if each not in (Moment.BEFORE_SENDING, *AT_A_POST, *AT_AN_APPEND)],
    FaultKind.DISCONNECT: [each for each in Moment if each not in (*AT_AN_ASKER, *AT_A_POST, *AT_AN_APPEND)],
    FaultKind.BLACKHOLE: [Moment.AFTER_SENDING, Moment.AFTER_COMMIT],
    FaultKind.TERMINATE: [None, None],
    FaultKind.RESTART: [None, Moment.BEFORE_DELIVERY, Moment.BEFORE_MARK],
    FaultKind.FAILOVER: [None],
    FaultKind.SKEW: [None],
    FaultKind.SWEEP: [None],
    FaultKind.LOCK: [None],
    FaultKind.SLOW_WORKER: [None],
}


@given(FAULTS, SEEDS)
def test_every_moment_of_every_kind_is_struck_once(kinds: list[FaultKind], seed: int) -> None:
    struck = Counter((fault.kind, fault.moment) for fault in schedule_faults(kinds, seed))

    assert struck == Counter((kind, moment) for kind in kinds for moment in MOMENTS[kind])


@given(FAULTS, SEEDS)
def test_faults_strike_in_order_within_the_race_and_the_lasting_ones_from_its_start(
    kinds: list[FaultKind], seed: int
) -> None:
    faults = schedule_faults(kinds, seed)
    positions = [fault.position for fault in faults]
    lasting = [fault.kind in LASTING for fault in faults]

    assert [fault.number for fault in faults] == list(range(len(faults)))
    assert positions == sorted(positions)
    assert lasting == sorted(lasting, reverse=True)
    for fault in faults:
        assert fault.position == 0 if fault.kind in LASTING else 0 < fault.position < 1


@given(FAULTS, SEEDS)
def test_a_schedule_depends_on_the_set_of_faults_and_not_on_their_order(kinds: list[FaultKind], seed: int) -> None:
    assert schedule_faults(kinds, seed) == schedule_faults([*reversed(kinds), *kinds], seed)


def test_the_order_of_the_faults_depends_on_the_seed() -> None:
    orders = {
        tuple((fault.kind, fault.moment) for fault in schedule_faults(tuple(FaultKind), seed)) for seed in range(9)
    }

    assert len(orders) == 9


@given(st.integers(0, MAX_PODS), SEEDS)
def test_of_two_pods_one_is_hours_fast_and_the_other_hours_slow(pod: int, seed: int) -> None:
    one, other = skew_hours(pod, seed), skew_hours(pod + 1, seed)

    assert 2 <= abs(one) <= 72
    assert 2 <= abs(other) <= 72
    assert one * other < 0
    assert skew_hours(pod, seed) == one
