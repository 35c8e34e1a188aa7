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
from ..history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from ..plan.operations import OperationKind

# A question of a race needs a few dozen; this bounds what a hostile history can cost.
MOST_CONFIGURATIONS = 100_000


Press = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the asking before the present one ended: by a press, withdrawn, or when another took its place."""

    ask_number: int | None
    press: Press | None
    withdrawn: Reason | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A question's row as the laws see it; None means that there is no row. `created_at` is None where it is unknown.

    So is `ask_number`, until something reports it, after a put whose own report was lost. An accepted answer is
    `delivered` once it is marked; until then nothing but its delivery changes the row. `previous` is the asking before.
    `withdrawn` is withdrawn or expired.
    """

    ask_number: int | None = None
    press: Press | None = None
    created_at: datetime | None = None
    delivered: bool = False
    edition: int = 0
    request_key: str | None = None
    displaced_keys: frozenset[str] = frozenset()
    previous: Ended | None = None
    withdrawn: Reason | None = None

    @property
    def is_open(self) -> bool:
        """Whether it was neither answered nor withdrawn."""
        return self.press is None and self.withdrawn is None

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
    steps = [step for each in operations if each.outcome is not Outcome.FAILED for step in _steps(each)]
    considered = sorted(steps, key=lambda each: each.started_ns)
    starts = [each.started_ns for each in considered]
    ends = [_end(each) for each in considered]
    required = sum(1 << place for place, each in enumerate(considered) if each.outcome is not Outcome.UNKNOWN)
    first: State = None if question.is_extra else Held(question.ask_number)

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


def _steps(operation: Operation) -> Iterator[Operation]:
    """What an operation does to the row: an asker, whose put is an operation of its own, gives up or marks.

    One that gives up leaves the question to its deadline, or withdraws it.
    """
    if operation.kind is not OperationKind.ASK:
        yield operation
        return
    planned, reported = operation.planned, operation.reported
    in_doubt = operation.outcome is Outcome.UNKNOWN
    if in_doubt or reported.reason in _WITHOUT_AN_ANSWER:
        yield replace(operation, outcome=operation.outcome if in_doubt else Outcome.OK, reported=Reported())
    if in_doubt or operation.outcome is Outcome.OK:
        mark = replace(planned, kind=OperationKind.DELIVER, value=reported.answer, ask_number=reported.ask_number)
        yield replace(operation, planned=mark, reported=Reported())


_WITHOUT_AN_ANSWER = (Reason.EXPIRED, Reason.WITHDRAWN)


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
    agrees = _agrees(row.ask_number, state.ask_number)
    is_withdrawn = state.withdrawn is not None
    return agrees and (state.press, state.undelivered, is_withdrawn) == (press, row.undelivered, row.withdrawn)


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
    elif operation.kind is OperationKind.WITHDRAW:
        yield from _apply_withdrawal(operation, state)
    elif operation.kind is OperationKind.ASK:
        if state is not None and state.is_open:
            yield from (replace(state, withdrawn=how) for how in _WITHOUT_AN_ANSWER)
    else:
        yield from _apply_delete(operation, state)


def _apply_put(operation: Operation, state: State) -> Iterator[State]:
    """The request key decides where both have one, else the edition: the same is a retry, another a new asking."""
    planned, reported = operation.planned, operation.reported
    key = planned.request_key
    is_late = state is not None and key is not None and key in state.displaced_keys
    is_own = state is not None and key is not None and key == state.request_key
    if operation.outcome is Outcome.REFUSED:
        if state is not None and reported.reason is _due_refusal(operation, state, is_late=is_late, is_own=is_own):
            yield state
        return
    new = Held(reported.ask_number, None, reported.at, edition=planned.edition, request_key=key)
    if state is None:
        did, after = PutOutcome.CREATED, new
    elif is_late or _due_refusal(operation, state, is_late=is_late, is_own=is_own) is not None:
        return
    elif state.is_open and state.edition == planned.edition and (is_own or None in (key, state.request_key)):
        did, after = PutOutcome.REFRESHED, replace(_bound(state, reported), request_key=state.request_key or key)
        if not _agrees(reported.ask_number, state.ask_number):
            return
    else:
        did = PutOutcome.SUPERSEDED if state.is_open else PutOutcome.REOPENED
        displaced = state.displaced_keys | ({state.request_key} if state.request_key is not None else set())
        after = replace(new, displaced_keys=displaced, previous=Ended(state.ask_number, state.press, state.withdrawn))
        if None not in (new.ask_number, state.ask_number) and (new.ask_number or 0) <= (state.ask_number or 0):
            return
    if operation.outcome is Outcome.UNKNOWN or reported.put == did:
        yield after


def _due_refusal(operation: Operation, state: Held, *, is_late: bool, is_own: bool) -> Reason | None:
    planned = operation.planned
    if is_late:
        return Reason.REQUEST_REFUSED
    if not state.is_open:
        is_kept = not planned.reopens or state.undelivered or is_own
        return (state.withdrawn or Reason.ALREADY_ANSWERED) if is_kept else None
    return Reason.REQUEST_REFUSED if is_own and planned.edition != state.edition else None


def _agrees(reported: int | None, held: int | None) -> bool:
    return reported is None or held is None or reported == held


def _bound(state: Held, reported: Reported) -> Held:
    """Return the state with the number that was reported, if it was not known."""
    return replace(state, ask_number=reported.ask_number) if state.ask_number is None else state


def _apply_withdrawal(operation: Operation, state: State) -> Iterator[State]:
    match operation.reported.reason:
        case Reason.NO_SUCH_ROW:
            is_true = state is None
        case Reason.WITHDRAWN | Reason.EXPIRED:
            is_true = state is not None and state.withdrawn is operation.reported.reason
        case Reason.ALREADY_ANSWERED:
            is_true = state is not None and state.press is not None
        case _:
            if state is not None and state.is_open:
                yield replace(state, withdrawn=Reason.WITHDRAWN)
            return
    if is_true:
        yield state


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
    """A mark ends the delivery once and for all; whoever was told that its lease is lost has changed nothing.

    One without a value is that of an asker of which nobody knows what it had.
    """
    planned = operation.planned
    if operation.outcome is Outcome.REFUSED:
        yield state
    elif (
        state is not None
        and state.undelivered
        and state.press is not None
        and planned.value in (None, state.press[1])
        and _agrees(planned.ask_number, state.ask_number)
    ):
        yield replace(state, ask_number=state.ask_number or planned.ask_number, delivered=True)


def _apply_claim(operation: Operation, state: State, question: RacedQuestion) -> Iterator[State]:
    reported, card = operation.reported, operation.planned.ask_number
    fits = state is not None and card in (None, state.ask_number)
    match operation.outcome:
        case Outcome.OK | Outcome.UNKNOWN:
            if state is not None and fits and state.is_open and _agrees(reported.ask_number, state.ask_number):
                yield replace(_bound(state, reported), press=operation.press, delivered=not question.delivers)
        case Outcome.REPEATED if state is not None and fits:
            if state.press == operation.press and _agrees(reported.ask_number, state.ask_number):
                yield _bound(state, reported)
        case Outcome.REPEATED:
            # It had won the asking before, which the row remembers.
            if (
                state is not None
                and state.previous == Ended(card, operation.press)
                and _agrees(reported.ask_number, card)
            ):
                yield state
        case _ if _is_true_refusal(operation, state, fits):
            yield state


def _is_true_refusal(operation: Operation, state: State, fits: bool) -> bool:
    reported, card = operation.reported, operation.planned.ask_number
    if state is None:
        return reported.reason is Reason.UNKNOWN_OR_EXPIRED
    press, withdrawn = state.press, state.withdrawn
    if not fits:
        if card is not None and state.ask_number is not None and card > state.ask_number:
            return reported.reason is Reason.UNKNOWN_OR_EXPIRED
        before = state.previous
        if before is None or before.ask_number != card or before == Ended(card, None):
            return reported.reason is Reason.SUPERSEDED
        press, withdrawn = before.press, before.withdrawn
    if withdrawn is not None:
        return reported.reason is withdrawn
    was_answered = reported.reason is Reason.ALREADY_ANSWERED and press is not None
    return was_answered and press != operation.press and reported.answer == (press[1] if press else None)


def _may_sweep(state: Held, sweep: Operation, stale_after: timedelta | None) -> bool:
    if stale_after is None:
        return True
    # The age of an ended question counts from its end, which a race does not move into the past.
    if not state.is_open:
        return False
    if sweep.outcome is Outcome.UNKNOWN or state.created_at is None or sweep.reported.at is None:
        return True
    return state.created_at + stale_after < sweep.reported.at
