"""A pod's memory is bounded in count and age."""

from __future__ import annotations

import pytest

from pendingctl.pod.memory import ExpiringCache


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.law(9)
def test_the_oldest_goes_first_when_it_is_full() -> None:
    cache = ExpiringCache[int, str](count=2, seconds=60, clock=Clock())
    for number in range(4):
        cache.put(number, str(number))
    assert [cache.get(number) for number in range(4)] == [None, None, "2", "3"]
    assert len(cache) == 2


@pytest.mark.law(9)
def test_what_is_too_old_is_forgotten() -> None:
    clock = Clock()
    cache = ExpiringCache[int, str](count=10, seconds=60, clock=clock)
    cache.put(1, "a")
    clock.now = 59
    cache.put(2, "b")
    assert (cache.get(1), len(cache)) == ("a", 2)
    clock.now = 60
    assert (cache.get(1), cache.get(2), len(cache)) == (None, "b", 1)


@pytest.mark.law(9)
def test_putting_again_renews_the_age() -> None:
    clock = Clock()
    cache = ExpiringCache[int, str](count=10, seconds=60, clock=clock)
    cache.put(1, "a")
    cache.put(2, "b")
    clock.now = 30
    cache.put(1, "c")
    clock.now = 61
    assert (cache.get(1), cache.get(2)) == ("c", None)


@pytest.mark.law(9)
def test_what_matches_is_forgotten() -> None:
    cache = ExpiringCache[int, str](count=10, seconds=60, clock=Clock())
    for number in range(4):
        cache.put(number, "")
    cache.forget(lambda number: number % 2 == 0)
    assert [cache.get(number) for number in range(4)] == [None, "", None, ""]
