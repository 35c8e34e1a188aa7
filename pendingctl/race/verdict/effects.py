"""What operations and time do to a question's row, as the laws see it. Pure.

A row is a state, and an operation leads from one state to others: those that agree with what it reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf

from ...model import Outcome as Ending
from ...model import PutOutcome
from ..history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from ..plan.operations import OperationKind

Press = tuple[str | None, str | None]
# In nanoseconds of the monotonic clock: when something happens at the earliest and at the latest.
Window = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the asking before the present one ended: by a press, withdrawn, or when another took its place."""

    ask_number: int | None
    press: Press | None
    withdrawn: Reason | None = None
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A question's row as the laws see it; None means that there is no row. `created_at` is None where it is unknown.

    So is `ask_number`, until something reports it, after a put whose own report was lost. An ending is `delivered`
    once it is marked; until then an accepted answer's row is changed by nothing but its delivery. `previous` is the
    asking before. `withdrawn` is withdrawn or expired. The press of a default has no key.

    Once its `deadline` has passed, an open question waits for a pod to end it.
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
    deadline: Window | None = None
    is_past: bool = False
    escalation: Window | None = None
    is_escalated: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether it was answered, withdrawn, or a pod has ended it at its deadline."""
        return self.press is not None or self.withdrawn is not None

    @property
    def is_open(self) -> bool:
        """Whether it can be answered and withdrawn."""
        return not self.has_ended and not self.is_past

    @property
    def undelivered(self) -> bool:
        """Whether it has ended, and that is not delivered."""
        return self.has_ended and not self.delivered

    @property
    def outcome(self) -> str | None:
        """How it has ended, as a row says it."""
        if self.press is not None:
            return Ending.DEFAULTED if self.press[0] is None else Ending.ANSWERED
        return None if self.withdrawn is None else self.withdrawn.value


State = Held | None


# An asker that gives up leaves the question to its deadline, or withdraws it.
WITHOUT_AN_ANSWER = (Reason.EXPIRED, Reason.WITHDRAWN)


def in_time(state: State, question: RacedQuestion) -> Iterator[tuple[int, float, Held]]:
    """Return what may happen to a row without an operation: the earliest and the latest time, and the row after it."""
    if state is None or state.has_ended:
        return
    if state.escalation is not None and not state.is_escalated:
        yield *state.escalation, replace(state, is_escalated=True)
    if state.is_past:
        yield 0, inf, replace(state, withdrawn=Reason.EXPIRED, delivered=not _is_heard(question, Ending.EXPIRED))
        if (default := question.schedule.default) is not None:
            yield 0, inf, replace(state, press=(None, default), delivered=not _is_heard(question, Ending.DEFAULTED))
    elif state.deadline is not None:
        yield *state.deadline, replace(state, is_past=True)


def _is_heard(question: RacedQuestion, ending: Ending) -> bool:
    return question.delivers and ending in question.heard


def end_of(operation: Operation) -> float:
    """Return when an operation has taken effect at the latest."""
    unknown = operation.outcome is Outcome.UNKNOWN or operation.ended_ns is None
    return inf if unknown else float(operation.ended_ns or 0)


def explains(state: State, row: Row | None) -> bool:
    """Whether this is the row that was found at the end."""
    if state is None or row is None:
        return state is None and row is None
    press = None if row.claimed_at is None else (row.delivery_key, row.answer)
    agrees = _agrees(row.ask_number, state.ask_number)
    is_withdrawn = state.withdrawn is not None
    agrees = agrees and row.outcome in (None, state.outcome)
    return agrees and (state.press, state.undelivered, is_withdrawn) == (press, row.undelivered, row.withdrawn)


def apply(
    operation: Operation, state: State, question: RacedQuestion, stale_after: timedelta | None
) -> Iterator[State]:
    """Return the states to which an operation leads, given what it reported; none if that cannot have been true."""
    if operation.kind is OperationKind.SWEEP:
        # It has no scope: it takes whatever is stale.
        if state is not None and _may_sweep(state, operation, stale_after):
            yield None
    elif operation.planned.scope != question.scope:
        if operation.kind is OperationKind.CLAIM and _is_by_the_other(operation, question):
            yield from _apply_claim_of_the_other(operation, state, question)
        # A stranger is refused, whatever the state, and changes nothing.
        elif operation.outcome in (Outcome.REFUSED, Outcome.UNKNOWN):
            yield state
    elif operation.kind is OperationKind.PUT:
        yield from _apply_put(operation, state, question)
    elif operation.kind is OperationKind.CLAIM:
        yield from _apply_claim(operation, state, question)
    elif operation.kind is OperationKind.DELIVER:
        yield from _apply_delivery(operation, state)
    elif operation.kind is OperationKind.WITHDRAW:
        yield from _apply_withdrawal(operation, state, question)
    elif operation.kind is OperationKind.ASK:
        if state is not None and state.is_open:
            yield from (replace(state, withdrawn=how, delivered=True) for how in WITHOUT_AN_ANSWER)
    else:
        yield from _apply_delete(operation, state)


def _apply_put(operation: Operation, state: State, question: RacedQuestion) -> Iterator[State]:
    """The request key decides where both have one, else the edition: the same is a retry, another a new asking."""
    planned, reported = operation.planned, operation.reported
    key = planned.request_key
    is_late = state is not None and key is not None and key in state.displaced_keys
    is_own = state is not None and key is not None and key == state.request_key
    if reported.reason is Reason.ROLLED_BACK:
        yield state
        return
    if state is not None and state.is_past and not state.has_ended:
        # It is ended first.
        return
    if operation.outcome is Outcome.REFUSED:
        if state is not None and reported.reason is _due_refusal(operation, state, is_late=is_late, is_own=is_own):
            yield state
        return
    new = Held(
        reported.ask_number,
        None,
        reported.at,
        edition=planned.edition,
        request_key=key,
        deadline=_window(operation, question.schedule.expires_in_ns),
        escalation=_window(operation, question.schedule.escalate_after_ns),
    )
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
        ended = Ended(state.ask_number, state.press, state.withdrawn, state.is_escalated)
        after = replace(new, displaced_keys=displaced, previous=ended)
        if None not in (new.ask_number, state.ask_number) and (new.ask_number or 0) <= (state.ask_number or 0):
            return
    if operation.outcome is Outcome.UNKNOWN or reported.put == did:
        yield after


def _window(put: Operation, after_ns: int | None) -> Window | None:
    """When something happens so long after the database has read its clock in a put."""
    if after_ns is None or not put.planned.shows:
        return None
    return put.started_ns + after_ns, end_of(put) + after_ns


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


def _apply_withdrawal(operation: Operation, state: State, question: RacedQuestion) -> Iterator[State]:
    match operation.reported.reason:
        case Reason.NO_SUCH_ROW:
            is_true = state is None
        case Reason.WITHDRAWN | Reason.EXPIRED:
            is_true = state is not None and state.withdrawn is operation.reported.reason
        case Reason.ALREADY_ANSWERED:
            is_true = state is not None and state.press is not None
        case _:
            if state is not None and state.is_open:
                is_heard = _is_heard(question, Ending.WITHDRAWN)
                yield replace(state, withdrawn=Reason.WITHDRAWN, delivered=not is_heard)
            return
    if is_true:
        yield state


def _apply_delete(operation: Operation, state: State) -> Iterator[State]:
    if operation.reported.reason is Reason.UNDELIVERED:
        if state is not None and _is_kept(state):
            yield state
    elif operation.outcome is Outcome.REFUSED:
        if state is None:
            yield None
    elif state is not None and not _is_kept(state):
        yield None


def _is_kept(state: Held) -> bool:
    """Whether the row holds an answer that is not delivered, somebody's or the default."""
    return state.undelivered and state.outcome in (Ending.ANSWERED, Ending.DEFAULTED)


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
        and planned.value in (None, None if state.press is None else state.press[1])
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
            before = None if state is None else state.previous
            if (
                before is not None
                and (before.ask_number, before.press) == (card, operation.press)
                and _agrees(reported.ask_number, card)
            ):
                yield state
        case _ if _is_true_refusal(operation, state, fits):
            yield state


def _is_by_the_other(operation: Operation, question: RacedQuestion) -> bool:
    other = question.schedule.escalate_to
    return other is not None and operation.planned.scope == replace(question.scope, expected_user_id=other)


def _apply_claim_of_the_other(operation: Operation, state: State, question: RacedQuestion) -> Iterator[State]:
    """To the user to whom a question is escalated it is somebody else's until then, and their own from then on."""
    card, is_theirs = operation.planned.ask_number, False
    if state is not None and card in (None, state.ask_number):
        is_theirs = state.is_escalated
    elif state is not None and state.previous is not None and state.previous.ask_number == card:
        is_theirs = state.previous.is_escalated
    if is_theirs:
        yield from _apply_claim(operation, state, question)
        return
    true_reason = Reason.UNKNOWN_OR_EXPIRED if state is None else Reason.NOT_YOURS
    if operation.outcome is Outcome.UNKNOWN or operation.reported.reason is true_reason:
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
        if before is None or before.ask_number != card or (before.press, before.withdrawn) == (None, None):
            return reported.reason is Reason.SUPERSEDED
        press, withdrawn = before.press, before.withdrawn
    if fits and state.is_past and not state.has_ended:
        return reported.reason is Reason.EXPIRED
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
