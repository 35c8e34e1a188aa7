from __future__ import annotations

import pytest

from pendingctl.race.limits.checker import LIMIT_CHECKS
from pendingctl.race.limits.controls import EXPECTED_LIMIT_CHECKS
from pendingctl.race.limits.history import TakeOutcome
from pendingctl.race.verdict.checker import Verdict

from .histories import OWN, SPENT, Writing


@pytest.fixture
def writing() -> Writing:
    return Writing()


def test_every_check_has_a_result_and_a_control(writing: Writing) -> None:
    assert tuple(check.name for check in writing.judged().checks) == LIMIT_CHECKS
    assert set(EXPECTED_LIMIT_CHECKS.values()) == set(LIMIT_CHECKS)


def test_a_burst_and_what_has_come_back_break_nothing(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.deny(2, 3)
    writing.take(20, 21)
    writing.take(40, 41)
    assert writing.broken() == set()


@pytest.mark.parametrize("ended", [1, 18])
def test_more_than_the_limit_allows_in_a_window_is_found(writing: Writing, ended: float) -> None:
    writing.take(0, 1, 5)
    writing.take(0.5, ended)
    assert writing.broken() == {"limit_never_exceeded"}


def test_a_window_may_begin_with_any_take(writing: Writing) -> None:
    writing.take(0, 1)
    writing.take(1000, 1001, 5, pod="pod-2")
    writing.take(1001, 1002)
    assert writing.broken() == {"limit_never_exceeded"}


def test_a_take_that_may_have_come_later_is_no_excess(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.take(0.5, 21)
    assert writing.broken() == set()


def test_a_take_without_a_reply_is_no_excess(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.take(0.5, 1, outcome=TakeOutcome.UNKNOWN)
    assert writing.broken() == set()


def test_each_organization_has_a_limit_of_its_own(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.take(0, 1, 5, organization="rival")
    assert writing.broken() == set()


def test_a_crash_gives_each_key_one_further_burst(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.take(3, 4, 5, server=2)
    assert writing.broken() == set()
    writing.take(4, 5, server=2)
    assert writing.broken() == {"limit_never_exceeded"}


def test_a_take_during_a_crash_may_have_come_on_either_side(writing: Writing) -> None:
    writing.take(0, 1, 3)
    writing.take(1, 3, 4, ended_on=2)
    writing.take(3, 4, 3, server=2)
    assert writing.broken() == set()


def test_takes_during_a_crash_that_one_further_burst_does_not_explain_are_found(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.take(1, 3, 5, ended_on=2)
    writing.take(3, 4, 5, server=2)
    assert writing.broken() == {"limit_never_exceeded"}


def test_a_standby_that_has_taken_over_had_its_last_crash_earlier(writing: Writing) -> None:
    writing.take(0, 1, 5, server=7)
    writing.take(3, 4, 5, server=2)
    assert writing.broken() == set()


def test_a_denial_by_a_key_that_has_room_is_found(writing: Writing) -> None:
    writing.take(0, 1, 3)
    writing.deny(2, 3, 1)
    assert writing.broken() == {"no_false_denial"}


def test_a_denial_by_a_key_that_nobody_has_used_is_found(writing: Writing) -> None:
    writing.deny(2, 3, 5)
    assert writing.broken() == {"no_false_denial"}


def test_a_denial_that_came_too_late_is_found(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.deny(22, 23)
    assert writing.broken() == {"no_false_denial"}


def test_takes_that_may_have_come_before_a_denial_explain_it(writing: Writing) -> None:
    writing.take(0, 50, 4)
    writing.deny(30, 31, 2)
    assert writing.broken() == set()


def test_a_take_that_began_later_explains_no_denial(writing: Writing) -> None:
    writing.deny(0, 1)
    writing.take(2, 3, 5)
    assert writing.broken() == {"no_false_denial"}


@pytest.mark.parametrize("ended", [None, 1])
def test_a_take_without_a_reply_may_be_done_at_any_time(writing: Writing, ended: float | None) -> None:
    """A pod was killed, or hung up: the server may go on with its statement."""
    writing.take(0, ended, 5, outcome=TakeOutcome.UNKNOWN)
    writing.deny(500, 501)
    assert writing.broken() == set()


def test_what_a_pod_remembers_after_a_crash_is_no_false_denial(writing: Writing) -> None:
    writing.take(0, 1, 5)
    writing.take(4, 5, 1, outcome=TakeOutcome.DENIED, server=2)
    assert writing.broken() == set()


def test_after_the_clock_was_set_back_a_whole_burst_is_used(writing: Writing) -> None:
    writing.take(0, 1, key=OWN)
    writing.set_back(100, 101)
    writing.deny(200, 201, 2, key=OWN, is_new=True)
    writing.deny(202, 202.5, 2, key=OWN)
    writing.take(203, 204, 2, key=OWN)
    assert writing.broken() == set()


def test_a_key_that_denies_for_longer_after_the_clock_was_set_back_is_found(writing: Writing) -> None:
    writing.set_back(100, 101)
    writing.deny(200, 201, 2, key=OWN, is_new=True)
    writing.deny(204, 205, 2, key=OWN, is_new=True)
    assert writing.broken() == {"clock_set_back_costs_one_burst"}


def test_a_denial_from_memory_has_not_seen_that_the_clock_was_set_back(writing: Writing) -> None:
    writing.set_back(100, 101)
    writing.deny(101, 102, 2, key=OWN)
    writing.deny(500, 501, 2, key=OWN, is_new=True)
    assert writing.broken() == set()


def test_denials_from_memory_for_longer_than_a_second_after_the_clock_was_set_back_are_found(writing: Writing) -> None:
    writing.set_back(100, 101)
    writing.deny(1900, 1901)
    writing.deny(2100, 2101)
    assert writing.broken() == {"clock_set_back_costs_one_burst"}


def test_a_denial_while_the_clock_was_set_back_says_nothing(writing: Writing) -> None:
    writing.set_back(100, 103)
    writing.deny(99, 101, key=OWN, is_new=True)
    writing.deny(102, 103, key=OWN, is_new=True)
    assert writing.broken() == set()


def test_denials_before_the_clock_was_set_back_are_judged_as_ever(writing: Writing) -> None:
    writing.deny(98, 99, key=OWN)
    writing.set_back(100, 101)
    assert writing.broken() == {"no_false_denial"}


def test_takes_after_the_clock_was_set_back_count_on_top_of_the_burst(writing: Writing) -> None:
    writing.set_back(100, 101)
    writing.deny(200, 201, 50, key=OWN, is_new=True)
    writing.take(221, 222, 20, key=OWN)
    writing.deny(251, 252, 50, key=OWN)
    assert writing.broken() == set()
    writing.deny(272, 273, 50, key=OWN)
    assert writing.broken() == {"clock_set_back_costs_one_burst"}


def test_a_check_without_its_fault_is_skipped(writing: Writing) -> None:
    assert [check.name for check in writing.judged().checks if check.verdict is Verdict.SKIPPED] == [
        "clock_set_back_costs_one_burst"
    ]


def spend(writing: Writing) -> None:
    """Use a key up, look at it, and be denied."""
    writing.take(0, 1, 3, key=SPENT)
    writing.look(2, 3)
    writing.deny(4, 5, key=SPENT, is_new=True)


def test_denials_that_leave_the_row_alone_break_nothing(writing: Writing) -> None:
    spend(writing)
    writing.look(6, 7)
    assert writing.broken() == set()


@pytest.mark.parametrize(
    ("tat", "xmin", "xmax"), [(3 * 3_600_000, 701, 0), (4 * 3_600_000, 700, 0), (3 * 3_600_000, 700, 701)]
)
def test_a_denial_that_writes_or_locks_the_row_is_found(writing: Writing, tat: float, xmin: int, xmax: int) -> None:
    spend(writing)
    writing.look(6, 7, tat, xmin=xmin, xmax=xmax)
    assert writing.broken() == {"denial_writes_nothing"}


def test_a_denial_that_deletes_the_row_is_found(writing: Writing) -> None:
    spend(writing)
    writing.look(6, 7, None)
    assert writing.broken() == {"denial_writes_nothing"}


def test_a_lock_that_postgres_has_forgotten_is_no_lock(writing: Writing) -> None:
    writing.look(2, 3, xmax=699)
    writing.deny(4, 5, key=SPENT, is_new=True)
    writing.take(0, 1, 3, key=SPENT)
    writing.look(6, 7)
    assert writing.broken() == set()


@pytest.mark.parametrize(
    ("began", "ended", "outcome"),
    [
        (1, 5, TakeOutcome.DENIED),
        (4, 5, TakeOutcome.ALLOWED),
        (1, 5, TakeOutcome.UNKNOWN),
        (1, None, TakeOutcome.UNKNOWN),
        (0, 1, TakeOutcome.UNKNOWN),
    ],
)
def test_other_takes_may_have_written_the_row(
    writing: Writing, began: float, ended: float | None, outcome: TakeOutcome
) -> None:
    """One that was denied may have waited for the one that used the key up."""
    writing.look(2, 3)
    writing.take(began, ended, key=SPENT, outcome=outcome)
    writing.look(6, 7, xmin=701)
    assert "denial_writes_nothing" not in writing.broken()


def test_a_row_that_would_have_allowed_may_be_written(writing: Writing) -> None:
    writing.look(2, 3, 1_000)
    writing.deny(4, 5, key=SPENT)
    writing.look(6, 7, 1_000, xmin=701)
    assert "denial_writes_nothing" not in writing.broken()


def test_a_row_is_another_after_a_crash_and_after_the_clock_was_set_back(writing: Writing) -> None:
    spend(writing)
    writing.look(6, 7, None, server=2)
    assert writing.broken() == set()
    writing.look(8, 9, 3 * 3_600_000, server=2)
    writing.set_back(10, 11)
    writing.look(12, 13, 4 * 3_600_000, xmin=701, server=2)
    assert writing.broken() == set()


def test_looks_of_two_pods_at_the_same_time_say_nothing(writing: Writing) -> None:
    writing.take(0, 1, 3, key=SPENT)
    writing.look(2, 6)
    writing.deny(7, 8, key=SPENT)
    writing.look(5, 9, xmin=701)
    assert writing.broken() == set()


def proving(writing: Writing) -> None:
    """Write what a race has to show."""
    spend(writing)
    writing.look(6, 7)
    writing.take(0, 2)
    writing.take(1, 3, pod="pod-2")


def test_a_race_that_shows_everything_proves_something(writing: Writing) -> None:
    proving(writing)
    assert writing.judged().reasons == ()


def test_a_race_without_takes_proves_nothing(writing: Writing) -> None:
    assert writing.judged().reasons == (
        "no take from a limit was allowed",
        "no take from a limit was denied",
        "no two pods took from one key at the same time",
        "no denial that asked the database came between two looks at its row",
    )


def test_a_clock_that_was_set_back_after_the_last_take_proves_nothing(writing: Writing) -> None:
    proving(writing)
    writing.set_back(100, 101)
    assert writing.judged().reasons == ("nothing was taken from a key after the clock was set back",)


def test_a_clock_that_really_went_back_proves_nothing(writing: Writing) -> None:
    proving(writing)
    writing.take(100, 50)
    assert writing.judged().reasons == ("the database's own clock was set back meanwhile; race again",)
