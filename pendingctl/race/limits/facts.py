"""What happened to each key, and when it is free again at the latest. Pure.

A take was decided at some moment between its two readings of the clock; what follows here holds whichever it was.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from ...limits.denials import SECONDS
from ...limits.model import Limit
from .history import ClockSetBack, LimitHistory, Look, Take, TakeOutcome
from .plan import limit_of

_MICROSECOND = timedelta(microseconds=1)
# A little longer than a limiter remembers, as its clock is another.
_REMEMBERED_US = round(SECONDS * 1.1e6)
_NEVER_TAKEN = -(2**62)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What happened to one key of one organization, each in the order of its beginning."""

    label: str
    limit: Limit
    takes: tuple[Take, ...]
    looks: tuple[Look, ...]
    set_back: tuple[ClockSetBack, ...]

    @property
    def unit_us(self) -> int:
        """After which time one unit has come back."""
        return self.limit.unit // _MICROSECOND

    @property
    def whole_us(self) -> int:
        """After which time the whole burst has."""
        return self.unit_us * self.limit.burst

    def tolerance_us(self, cost: int) -> int:
        """How far ahead of now a key may be that allows so much."""
        return self.unit_us * (self.limit.burst - cost)

    def noticed_us(self, set_back: ClockSetBack) -> int | None:
        """When a take that began after the clock was set back had surely seen the row; None where none has.

        Each that was allowed has, and each denial by a limiter that remembered nothing. One that remembers may deny for
        a second without a look, and no longer.
        """
        ends = (
            take.ended.at_us
            for take in self.takes
            if take.ended is not None
            and take.began.at_us >= set_back.ended.at_us
            and (
                take.outcome is TakeOutcome.ALLOWED
                or (
                    take.outcome is TakeOutcome.DENIED
                    and (take.is_new or take.began.at_us >= set_back.ended.at_us + _REMEMBERED_US)
                )
            )
        )
        return min(ends, default=None)


def keys_of(history: LimitHistory) -> list[KeyFacts]:
    """Return what happened to each key."""
    takes: defaultdict[tuple[str, str], list[Take]] = defaultdict(list)
    for take in history.takes:
        takes[take.organization_id, take.key].append(take)
    looks: defaultdict[tuple[str, str], list[Look]] = defaultdict(list)
    for look in history.looks:
        looks[look.organization_id, look.key].append(look)
    set_back = tuple(sorted(history.set_back, key=lambda each: each.began.at_us))
    return [
        KeyFacts(
            f"{organization}/{key}",
            limit_of(key),
            tuple(sorted(of_key, key=lambda take: take.began.at_us)),
            tuple(sorted(looks[organization, key], key=lambda look: look.began.at_us)),
            set_back,
        )
        for (organization, key), of_key in takes.items()
    ]


class LatestFree:
    """When the whole burst of a key is free again, at the latest.

    It is later the later the takes before it came, so each counts as if at its end, or as still to come where that was
    never seen. A crash of the server only makes it earlier. Once a row was seen after the clock was set back, it is a
    whole burst away at most.
    """

    def __init__(self, facts: KeyFacts) -> None:
        self._unit_us = facts.unit_us
        self._set_back = [(each.began.at_us, facts.noticed_us(each)) for each in facts.set_back]
        self._begun = _Costs(
            (take.began.at_us, take.cost) for take in facts.takes if take.outcome is not TakeOutcome.DENIED
        )
        allowed = [
            (take.ended.at_us, take.cost)
            for take in facts.takes
            if take.outcome is TakeOutcome.ALLOWED and take.ended is not None
        ]
        self._ended = _Costs(allowed)
        noticed = {noticed for _, noticed in self._set_back if noticed is not None}
        free = _NEVER_TAKEN
        self._times: list[int] = []
        self._free = [free]
        # What was noticed is noticed before the take that did so is paid.
        for at, cost in sorted([*allowed, *((at, 0) for at in noticed)]):
            free = at + facts.whole_us if cost == 0 else max(free, at) + self._unit_us * cost
            self._times.append(at)
            self._free.append(free)

    def for_denial(self, began_us: int, ended_us: int) -> int | None:
        """Return that time as a take may have found it; None where the clock was set back, and nothing is known."""
        for since, noticed in self._set_back:
            if since < ended_us and (noticed is None or noticed > began_us):
                return None
        free = self._free[bisect_left(self._times, ended_us)]
        under_way = self._begun.before(ended_us) - self._ended.before(ended_us)
        return max(free, ended_us) + self._unit_us * under_way if under_way else free


class _Costs:
    """What was paid before some moment."""

    def __init__(self, paid: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(paid)
        self._times = [at for at, _ in ordered]
        self._sums = [0]
        for _, cost in ordered:
            self._sums.append(self._sums[-1] + cost)

    def before(self, at_us: int) -> int:
        return self._sums[bisect_left(self._times, at_us)]
