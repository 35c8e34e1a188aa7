"""Whether the operations on one question have an order that explains all of them. Pure.

The algorithm is Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of the
configurations seen before ("Testing for linearizability", 2017). Linearizability is local (Herlihy and Wing, 1990),
hence each question is searched by itself, which keeps it cheap: an asking is a register that is written once, and
most operations only read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf

from ..history.history import Operation, Outcome, RacedQuestion, RacedSchedule, Reported, Row
from ..plan.operations import OperationKind
from .effects import WITHOUT_AN_ANSWER, Held, State, apply, end_of, explains, in_time

# A question of a race needs a few dozen; this bounds what a hostile history can cost.
MOST_CONFIGURATIONS = 100_000


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found. Without an order, `stuck` is the operation that no order got past; None means the row."""

    found: bool
    undecided: bool = False
    stuck: Operation | None = None


def linearize(
    question: RacedQuestion, operations: Sequence[Operation], row: Row | None, stale_after: timedelta | None
) -> Search:
    """Search for an order of the operations that explains what each reported, and the row at the end.

    An operation takes effect at one moment between its start and its end. One whose outcome is unknown takes effect
    at any time after its start, or never. `operations` are those on this question, and the sweeps that took it or
    whose outcome is unknown: a sweep counts as one delete of each question that it took. With `stale_after` None a
    sweep may take any row, however young, even with an answer that is not delivered.

    What time does to a row is no operation: its deadline passes and it is escalated so long after the put, whose start
    and end the database's clock was read between; and past its deadline a pod ends it at any time.
    """
    steps = [step for each in operations if each.outcome is not Outcome.FAILED for step in _steps(each)]
    considered = sorted(steps, key=lambda each: each.started_ns)
    starts = [each.started_ns for each in considered]
    ends = [end_of(each) for each in considered]
    required = sum(1 << place for place, each in enumerate(considered) if each.outcome is not Outcome.UNKNOWN)
    first: State = None if question.is_extra else Held(question.ask_number)
    lives_in_time = question.schedule != RacedSchedule()

    seen: set[tuple[int, State]] = set()
    waiting: list[tuple[int, State]] = [(0, first)]
    furthest = (-1, 0)
    while waiting:
        configuration = waiting.pop()
        if configuration in seen:
            continue
        if len(seen) >= MOST_CONFIGURATIONS:
            return Search(found=False, undecided=True)
        seen.add(configuration)
        done, state = configuration
        if done & required == required and explains(state, row):
            return Search(found=True)
        furthest = max(furthest, ((done & required).bit_count(), done))
        following: list[tuple[int, State]] = []
        alone = list(in_time(state, question)) if lives_in_time else []
        latest = min((latest for _, latest, _ in alone), default=inf) if alone else inf
        for place in _next(done, starts, ends, latest):
            operation = considered[place]
            outcomes = list(apply(operation, state, question, stale_after))
            if operation.outcome is Outcome.UNKNOWN:
                # It may still take effect later; doing nothing is the same as never happening.
                following += [(done | 1 << place, after) for after in outcomes if after != state]
            elif outcomes == [state]:
                # An operation that only reads, and fits here, may as well come first: that restricts no other.
                following = [(done | 1 << place, state)]
                break
            else:
                following += [(done | 1 << place, after) for after in outcomes]
        else:
            if alone:
                until = min((end for place, end in enumerate(ends) if not done >> place & 1), default=inf)
                following += [(done, after) for earliest, _, after in alone if earliest <= until]
        waiting += reversed(following)
    return Search(found=False, stuck=_stuck(considered, required, furthest[1], starts, ends))


def _steps(operation: Operation) -> Iterator[Operation]:
    """What an operation does to the row: an asker, whose put is an operation of its own, gives up or marks.

    One that gives up leaves the question to its deadline, or withdraws it.
    """
    if operation.kind is not OperationKind.ASK:
        yield operation
        return
    planned, reported = operation.planned, operation.reported
    in_doubt = operation.outcome is Outcome.UNKNOWN
    if in_doubt or reported.reason in WITHOUT_AN_ANSWER:
        yield replace(operation, outcome=operation.outcome if in_doubt else Outcome.OK, reported=Reported())
    if in_doubt or operation.outcome is Outcome.OK:
        mark = replace(planned, kind=OperationKind.DELIVER, value=reported.answer, ask_number=reported.ask_number)
        yield replace(operation, planned=mark, reported=Reported())


def _next(done: int, starts: Sequence[int], ends: Sequence[float], latest: float = inf) -> Iterator[int]:
    """The operations that may come next: none of the others had ended before they started, nor the `latest` time."""
    earliest_end = latest
    place = (~done & (done + 1)).bit_length() - 1
    while place < len(starts) and starts[place] <= earliest_end:
        if not done >> place & 1:
            yield place
            earliest_end = min(earliest_end, ends[place])
        place += 1


def _stuck(
    considered: Sequence[Operation], required: int, done: int, starts: Sequence[int], ends: Sequence[float]
) -> Operation | None:
    blocking = [place for place in _next(done, starts, ends) if required >> place & 1]
    return considered[min(blocking, key=lambda place: ends[place])] if blocking else None
