"""Whether the operations on one question have an order that explains all of them. Pure.

The algorithm is Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of the
configurations seen before ("Testing for linearizability", 2017). Linearizability is local (Herlihy and Wing, 1990),
hence each question is searched by itself, which keeps it cheap: an asking is a register that is written once, and
most operations only read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from ...model import PutOutcome
from ..history.history import Operation, Outcome, RacedQuestion, Reason, Row
from ..plan.plan import OperationKind

# A question of a race needs a few dozen; this bounds what a hostile history can cost.
MOST_CONFIGURATIONS = 100_000


@dataclass(frozen=True, slots=True)
class Held:
    """A question's row as the laws see it; None means that there is no row. `created_at` is None where it is unknown.

    An accepted answer is `delivered` once it is marked; until then nothing but its delivery changes the row.
    """

    ask_number: int = 1
    press: tuple[str | None, str | None] | None = None
    created_at: datetime | None = None
    delivered: bool = False

    @property
    def undelivered(self) -> bool:
        """Whether an answer was accepted and not delivered."""
        return self.press is not None and not self.delivered


State = Held | None


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
    """
    considered = sorted(
        (each for each in operations if each.outcome is not Outcome.FAILED), key=lambda each: each.started_ns
    )
    starts = [each.started_ns for each in considered]
    ends = [_end(each) for each in considered]
    required = sum(1 << place for place, each in enumerate(considered) if each.outcome is not Outcome.UNKNOWN)
    first: State = None if question.is_extra else Held()

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
        if done & required == required and _explains(state, row):
            return Search(found=True)
        furthest = max(furthest, ((done & required).bit_count(), done))
        following: list[tuple[int, State]] = []
        for place in _next(done, starts, ends):
            operation = considered[place]
            outcomes = list(_apply(operation, state, question, stale_after))
            if operation.outcome is Outcome.UNKNOWN:
                # It may still take effect later; doing nothing is the same as never happening.
                following += [(done | 1 << place, after) for after in outcomes if after != state]
            elif outcomes == [state]:
                # An operation that only reads, and fits here, may as well come first: that restricts no other.
                following = [(done | 1 << place, state)]
                break
            else:
                following += [(done | 1 << place, after) for after in outcomes]
        waiting += reversed(following)
    return Search(found=False, stuck=_stuck(considered, required, furthest[1], starts, ends))


def _end(operation: Operation) -> float:
    unknown = operation.outcome is Outcome.UNKNOWN or operation.ended_ns is None
    return inf if unknown else float(operation.ended_ns or 0)


def _next(done: int, starts: Sequence[int], ends: Sequence[float]) -> Iterator[int]:
    """The operations that may come next: none of the others had ended before they started."""
    earliest_end = inf
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


def _explains(state: State, row: Row | None) -> bool:
    if state is None or row is None:
        return state is None and row is None
    press = None if row.claimed_at is None else (row.delivery_key, row.answer)
    return (state.ask_number, state.press, state.undelivered) == (row.ask_number, press, row.undelivered)


def _apply(
    operation: Operation, state: State, question: RacedQuestion, stale_after: timedelta | None
) -> Iterator[State]:
    """The states to which an operation leads, given what it reported; none if that cannot have been true."""
    if operation.kind is OperationKind.SWEEP:
        # It has no scope: it takes whatever is stale.
        if state is not None and _may_sweep(state, operation, stale_after):
            yield None
    elif operation.planned.scope != question.scope:
        # A stranger is refused, whatever the state, and changes nothing.
        if operation.outcome in (Outcome.REFUSED, Outcome.UNKNOWN):
            yield state
    elif operation.kind is OperationKind.PUT:
        yield from _apply_put(operation, state)
    elif operation.kind is OperationKind.CLAIM:
        yield from _apply_claim(operation, state, question)
    elif operation.kind is OperationKind.DELIVER:
        yield from _apply_delivery(operation, state)
    else:
        yield from _apply_delete(operation, state)


def _apply_put(operation: Operation, state: State) -> Iterator[State]:
    reported, answered = operation.reported, state is not None and state.press is not None
    if operation.outcome is Outcome.REFUSED:
        is_kept = not operation.planned.reopens or (state is not None and state.undelivered)
        if answered and is_kept and reported.reason is Reason.ALREADY_ANSWERED:
            yield state
        return
    created = Held(1, None, reported.at)
    if state is None:
        did, after = PutOutcome.CREATED, created
    elif not answered:
        did, after = PutOutcome.REFRESHED, state
    elif operation.planned.reopens and not state.undelivered:
        did, after = PutOutcome.REOPENED, replace(created, ask_number=state.ask_number + 1)
    else:
        return
    if operation.outcome is Outcome.UNKNOWN or (
        reported.put == did and reported.ask_number in (None, after.ask_number)
    ):
        yield after


def _apply_delete(operation: Operation, state: State) -> Iterator[State]:
    if operation.reported.reason is Reason.UNDELIVERED:
        if state is not None and state.undelivered:
            yield state
    elif operation.outcome is Outcome.REFUSED:
        if state is None:
            yield None
    elif state is not None and not state.undelivered:
        yield None


def _apply_delivery(operation: Operation, state: State) -> Iterator[State]:
    """A mark ends the delivery once and for all; who was told that its lease is lost has changed nothing."""
    planned = operation.planned
    if operation.outcome is Outcome.REFUSED:
        yield state
    elif (
        state is not None
        and state.press is not None
        and not state.delivered
        and (state.ask_number, state.press[1]) == (planned.ask_number, planned.value)
    ):
        yield replace(state, delivered=True)


def _apply_claim(operation: Operation, state: State, question: RacedQuestion) -> Iterator[State]:
    reported, card = operation.reported, operation.planned.ask_number
    fits = state is not None and card in (None, state.ask_number)
    match operation.outcome:
        case Outcome.OK | Outcome.UNKNOWN:
            if state is not None and fits and state.press is None and reported.ask_number in (None, state.ask_number):
                yield replace(state, press=operation.press, delivered=not question.delivers)
        case Outcome.REPEATED:
            is_the_winner = state is not None and fits and state.press == operation.press
            if is_the_winner and reported.ask_number in (None, state.ask_number if state else None):
                yield state
        case _ if _is_true_refusal(operation, state, fits):
            yield state


def _is_true_refusal(operation: Operation, state: State, fits: bool) -> bool:
    reported, card = operation.reported, operation.planned.ask_number
    match reported.reason:
        case Reason.ALREADY_ANSWERED if state is not None and fits:
            return state.press is not None and state.press != operation.press and reported.answer == state.press[1]
        case Reason.ALREADY_ANSWERED:
            return state is not None and card is not None and card < state.ask_number and reported.answer is None
        case Reason.UNKNOWN_OR_EXPIRED:
            return state is None or (card is not None and card > state.ask_number)
        case _:
            return False


def _may_sweep(state: Held, sweep: Operation, stale_after: timedelta | None) -> bool:
    if stale_after is None:
        return True
    if state.undelivered:
        return False
    if sweep.outcome is Outcome.UNKNOWN or state.created_at is None or sweep.reported.at is None:
        return True
    return state.created_at + stale_after < sweep.reported.at
