"""The laws of limits, each as a function of what happened to a key that yields what is wrong with it. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from .facts import KeyFacts, LatestFree
from .history import Look, Take, TakeOutcome

_MICROSECOND = timedelta(microseconds=1)


def limit_never_exceeded(facts: KeyFacts) -> Iterator[str]:
    """In any time w of the database's clock a key gets at most burst + rate · w, and its burst again for each crash.

    A window counts what surely happened within it: what began after its beginning and ended before its end.
    """
    rate, burst, per_us = facts.limit.rate, facts.limit.burst, facts.limit.per // _MICROSECOND
    allowed = [
        (take.began, take.ended, take.cost)
        for take in facts.takes
        if take.outcome is TakeOutcome.ALLOWED and take.ended is not None
    ]
    crashes = _crashes_before(facts)
    by_end = sorted(allowed, key=lambda take: take[1].at_us)
    ends = [ended.at_us for _, ended, _ in by_end]
    still_to_come = sum(cost for _, _, cost in allowed)
    for since, _, paid in allowed:
        taken = 0
        for began, ended, cost in by_end[bisect_left(ends, since.at_us) :]:
            bursts = 1 + max(crashes[ended.server] - crashes[since.server], 0)
            most = bursts * burst * per_us + rate * (ended.at_us - since.at_us)
            # The longer the window, the more is allowed.
            if still_to_come * per_us <= most:
                break
            taken += cost if began.at_us >= since.at_us else 0
            if taken * per_us > most:
                seconds = (ended.at_us - since.at_us) / 1e6
                yield f"{taken} units within {seconds:.3f} s, where at most {most // per_us} are allowed"
                return
        still_to_come -= paid


def _crashes_before(facts: KeyFacts) -> dict[int, int]:
    """Return how many crashes were before each state of the server, which is known by when it was first seen."""
    seen = sorted(
        (moment.at_us, moment.server)
        for take in facts.takes
        for moment in (take.began, take.ended)
        if moment is not None
    )
    return {server: place for place, server in enumerate(dict.fromkeys(server for _, server in seen))}


def no_false_denial(facts: KeyFacts) -> Iterator[str]:
    """No take is denied that its key has room for, whatever others have taken by then."""
    for denial, free_us in _false_denials(facts):
        if not _was_set_back(facts, denial):
            yield _said(facts, denial, free_us)


def clock_set_back_costs_one_burst(facts: KeyFacts) -> Iterator[str]:
    """After the clock was set back a key that is asked for counts as used up at most, from then on."""
    for denial, free_us in _false_denials(facts):
        if _was_set_back(facts, denial):
            yield f"{_said(facts, denial, free_us)}, after the clock was set back"


def _false_denials(facts: KeyFacts) -> Iterator[tuple[Take, int]]:
    free = LatestFree(facts)
    for take in facts.takes:
        if take.outcome is TakeOutcome.DENIED and take.ended is not None:
            free_us = free.for_denial(take.began.at_us, take.ended.at_us)
            if free_us is not None and free_us <= take.began.at_us + facts.tolerance_us(take.cost):
                yield take, free_us


def _was_set_back(facts: KeyFacts, take: Take) -> bool:
    return take.ended is not None and any(each.began.at_us < take.ended.at_us for each in facts.set_back)


def _said(facts: KeyFacts, denial: Take, free_us: int) -> str:
    used = max(0, free_us - denial.began.at_us) / facts.unit_us
    return (
        f"take {denial.number} of {denial.pod} was denied {denial.cost} units, where at most {used:.1f} of "
        f"{facts.limit.burst} were used"
    )


def denial_writes_nothing(facts: KeyFacts) -> Iterator[str]:
    """Between two looks at a row, between which nothing was done but denials, nobody has written or locked it."""
    for pair in unchanged(facts):
        before, after = pair.first.row, pair.second.row
        assert before is not None
        if after is None:
            yield f"its row has gone, after {len(pair.denials)} denials"
        elif (after.xmin, after.tat_us) != (before.xmin, before.tat_us):
            yield f"transaction {after.xmin} has written its row, beside {len(pair.denials)} denials"
        # Postgres may forget who has locked a row.
        elif after.xmax not in (0, before.xmax):
            yield f"transaction {after.xmax} has locked its row, beside {len(pair.denials)} denials"


@dataclass(frozen=True, slots=True)
class LooksAtDenials:
    """Two looks at a row that nobody may change between them, and the denials that came meanwhile."""

    first: Look
    second: Look
    denials: tuple[Take, ...]


def unchanged(facts: KeyFacts) -> Iterator[LooksAtDenials]:
    """Yield the looks between which all takes began when the row already denied them, and still did at their end.

    A take that began before may have waited for the one that used the key up, and locked its row.
    """
    spent: Look | None = None
    for first, second in zip(facts.looks, facts.looks[1:], strict=False):
        spent = spent if spent is not None and _still_denies(facts, spent, second) else first
        meanwhile = [
            take
            for take in facts.takes
            if take.began.at_us < second.ended.at_us
            and (take.ended is None or take.outcome is TakeOutcome.UNKNOWN or take.ended.at_us > first.began.at_us)
        ]
        if (
            _still_denies(facts, spent, second)
            and first.row is not None
            and first.ended.at_us <= second.began.at_us
            and all(take.outcome is TakeOutcome.DENIED and take.began.at_us >= spent.ended.at_us for take in meanwhile)
            and not any(
                each.began.at_us < second.ended.at_us and each.ended.at_us > spent.began.at_us
                for each in facts.set_back
            )
        ):
            yield LooksAtDenials(first, second, tuple(meanwhile))


def _still_denies(facts: KeyFacts, look: Look, until: Look) -> bool:
    """Whether a row that one look has seen denies everything until the end of another, on the same start."""
    return (
        look.row is not None
        and look.row.tat_us > until.ended.at_us + facts.tolerance_us(1)
        and look.began.server == until.ended.server
    )
