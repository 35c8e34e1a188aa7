"""What a limit is, and what a response says of a decision."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.limits import Limit
from pendingctl.limits.model import decided, undecided

SECOND = timedelta(seconds=1)
LIMIT = Limit(10, timedelta(minutes=1), burst=5)


@pytest.mark.parametrize(
    ("rate", "per", "burst"),
    [
        (0, SECOND, 1),
        (1, SECOND, 0),
        (1, timedelta(), 1),
        (1, -SECOND, 1),
        (1, timedelta(days=3651), 1),
        (True, SECOND, 1),
        (1.5, SECOND, 1),
        (1, SECOND, "2"),
        (1_000_001, SECOND, 1),
        (1, timedelta(days=3650), 2),
        (1, SECOND, 10**20),
    ],
)
def test_a_limit_that_is_none_is_refused(rate: int, per: timedelta, burst: int) -> None:
    with pytest.raises(InvalidInput, match=r"limit|burst"):
        Limit(rate, per, burst)


@pytest.mark.parametrize("cost", [0, -1, 6, True, 1.0])
def test_a_cost_that_no_key_can_pay_is_refused(cost: int) -> None:
    with pytest.raises(InvalidInput, match="cost"):
        LIMIT.check_cost(cost)


def test_a_unit_that_is_no_whole_microsecond_comes_back_no_sooner_than_the_rate_allows() -> None:
    assert Limit(3, SECOND, 3).unit == timedelta(microseconds=333_334)


def test_an_allowance_says_what_is_left_and_when_all_is_back() -> None:
    decision = decided(LIMIT, 1, timedelta(seconds=12.4), allowed=True)

    assert (decision.remaining, decision.retry_after) == (2, timedelta())
    assert decision.headers("questions") == {
        "RateLimit-Policy": '"questions";q=5;w=30',
        "RateLimit": '"questions";r=2;t=13',
    }


def test_a_denial_says_when_the_same_cost_can_be_paid() -> None:
    decision = decided(LIMIT, 2, timedelta(seconds=25.1), allowed=False)

    assert (decision.remaining, decision.retry_after) == (0, timedelta(seconds=7.1))
    assert decision.headers() == {
        "RateLimit-Policy": '"default";q=5;w=30',
        "RateLimit": '"default";r=0;t=26',
        "Retry-After": "8",
    }


def test_a_denial_whose_time_has_just_come_still_asks_to_wait() -> None:
    decision = decided(LIMIT, 5, timedelta(), allowed=False)

    assert decision.retry_after > timedelta()
    assert decision.headers()["Retry-After"] == "1"


def test_of_what_nobody_knows_no_remainder_is_stated() -> None:
    allowed = undecided(LIMIT, 1, allowed=True, retry_after=SECOND)
    denied = undecided(LIMIT, 1, allowed=False, retry_after=SECOND)

    assert allowed.headers() == {"RateLimit-Policy": '"default";q=5;w=30'}
    assert denied.headers() == {"RateLimit-Policy": '"default";q=5;w=30', "Retry-After": "1"}


def test_a_name_cannot_break_out_of_its_header() -> None:
    decision = decided(LIMIT, 1, timedelta(), allowed=True)

    assert decision.headers('a"b\\c')["RateLimit"].startswith('"a\\"b\\\\c";r=')
    with pytest.raises(InvalidInput, match="printable ASCII"):
        decision.headers("a\r\nb")
