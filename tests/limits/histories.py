"""What was taken from one key, and whether a limit could have decided so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pendingctl.limits import Limit


@dataclass(frozen=True, slots=True)
class Taken:
    """One take: decided at some moment between its begin and its end, in seconds of one clock."""

    began: float
    ended: float
    is_allowed: bool
    cost: int = 1


def excess(history: Sequence[Taken], limit: Limit) -> float:
    """Return by how many units some window has surely more than burst + rate · w; below 0 where none has."""
    allowed = [each for each in history if each.is_allowed]
    rate = limit.rate / limit.per.total_seconds()
    worst = float("-inf")
    for begin in {each.began for each in allowed}:
        units = 0
        for each in sorted((each for each in allowed if each.began >= begin), key=lambda each: each.ended):
            units += each.cost
            worst = max(worst, units - limit.burst - rate * (each.ended - begin))
    return worst


def false_denials(history: Sequence[Taken], limit: Limit) -> list[Taken]:
    """Return the denials that no order of the takes explains: all that others may have taken by then left enough."""
    unit, found = limit.unit.total_seconds(), []
    allowed = [each for each in history if each.is_allowed]
    for denial in history:
        if denial.is_allowed:
            continue
        tat = float("-inf")
        before = (each for each in allowed if each.began < denial.ended)
        for at, cost in sorted((min(each.ended, denial.ended), each.cost) for each in before):
            tat = max(tat, at) + unit * cost
        if tat <= denial.began + unit * (limit.burst - denial.cost):
            found.append(denial)
    return found
