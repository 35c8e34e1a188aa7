"""The law of a race about the trail: it is the history of each question, no more and no less. Pure.

Clicks that were refused or repeated are left aside: a pod counts them, and what it has counted is lost with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...model import NEW_ASKINGS, Scope
from ...trail import Step, TrailEntry
from ..history.history import Operation, Outcome, Row
from ..plan.operations import OperationKind
from .laws import name_of
from .one_question import Story
from .trail_cards import cards_in_the_trail
from .trail_order import ENDINGS, TracedRow, follow, name_of_entry

_COUNTED = (Step.REFUSED, Step.REPEATED)
# Nothing in a race does these.
_NEVER = (Step.EXTENDED, Step.REDELIVERED, Step.REPAIRED)
# What operations have done, each of them once.
_DONE = (
    *(Step.ASKED, Step.ANSWERED, Step.WITHDRAWN, Step.DELIVERED, Step.FAILED),
    *(Step.DELETED, Step.SWEPT),
)


@dataclass(frozen=True, slots=True)
class _Deed:
    """What an operation has left in the trail, or only may have: the step, and what the entry's columns say."""

    what: str
    step: Step
    columns: Mapping[str, object] = field(default_factory=dict)
    is_sure: bool = True
    # A sweep whose outcome is unknown may have taken a row more than once.
    is_once: bool = True

    def fits(self, entry: TrailEntry) -> bool:
        return entry.step is self.step and all(getattr(entry, name) == said for name, said in self.columns.items())


def trail_is_the_history(story: Story) -> Iterator[str]:
    """A question's trail is what has happened to it: each step once, by whoever did it, in an order that can be.

    What an operation of unknown outcome may have done is in it or not; it agrees with the row that remains in any case.
    """
    if story.trail is None:
        return
    entries = [entry for entry in story.trail if entry.step not in _COUNTED]
    traced, wrong = follow(entries)
    yield from wrong
    yield from _matched(entries, list(_deeds(story)))
    for entry in entries:
        if entry.step in _NEVER:
            yield f"{name_of_entry(entry)} is something that nobody does in a race"
        if entry.organization_id != story.question.scope.organization_id:
            yield f"{name_of_entry(entry)} names the organization {entry.organization_id!r}"
        if entry.step in (Step.DEFAULTED, Step.EXPIRED) and not _has_a_deadline(story):
            yield f"{name_of_entry(entry)} is of a question without a deadline"
    yield from _unheld_hand_overs(story, entries)
    yield from _disagreements(story, story.row, traced)
    if story.is_whole:
        yield from cards_in_the_trail(story, entries, traced)


def _has_a_deadline(story: Story) -> bool:
    return story.question.schedule.expires_in_ns is not None or story.question.is_awaited


def _matched(entries: Sequence[TrailEntry], deeds: list[_Deed]) -> Iterator[str]:
    """Find a deed for each entry, those that were surely done first, and an entry for each of these."""
    left = sorted(deeds, key=lambda deed: not deed.is_sure)
    for entry in entries:
        if entry.step not in _DONE:
            continue
        deed = next((deed for deed in left if deed.fits(entry)), None)
        if deed is None:
            yield f"{name_of_entry(entry)} is nothing that anybody has done, or there is one too many"
        elif deed.is_once:
            left.remove(deed)
    for deed in left:
        if deed.is_sure:
            said = ", ".join(f"{name} {value!r}" for name, value in deed.columns.items())
            yield f"the trail lacks what {deed.what} has done: {deed.step}, {said}"


def _deeds(story: Story) -> Iterator[_Deed]:
    question = story.question
    if question.ask_number is not None:
        asked = {**_asked_by(question.scope), "ask_number": question.ask_number, "detail": "created"}
        asked |= {"application": question.application, "request_key": None, "attempt": None}
        yield _Deed("the race", Step.ASKED, asked)
    if question.answer is not None:
        answered = {"ask_number": question.ask_number, "user_id": question.scope.expected_user_id}
        yield _Deed("the race", Step.ANSWERED, answered)
    for operation in story.operations:
        for step, columns, is_sure in _left_by(story, operation):
            yield _Deed(name_of(operation), step, {"pod": operation.pod, **columns}, is_sure)
    for sweep in story.sweeps:
        is_sure = sweep.outcome is Outcome.OK
        yield _Deed(name_of(sweep), Step.SWEPT, {"pod": sweep.pod}, is_sure, is_once=is_sure)
    for pod, number in _unheard(story):
        columns = {"ask_number": number}
        yield _Deed(f"{pod}, unheard", Step.DELIVERED, columns, is_sure=False, is_once=False)


def _asked_by(scope: Scope) -> dict[str, object]:
    return {"user_id": scope.expected_user_id, "connection_id": scope.connection_id}


def _left_by(story: Story, operation: Operation) -> Iterator[tuple[Step, dict[str, object], bool]]:
    """Return the steps that an operation has left in the trail, or may have, with what they say."""
    planned, reported, outcome = operation.planned, operation.reported, operation.outcome
    is_done, is_unknown = outcome is Outcome.OK, outcome is Outcome.UNKNOWN
    number: dict[str, object] = {} if planned.ask_number is None else {"ask_number": planned.ask_number}
    match operation.kind:
        case OperationKind.PUT if is_unknown or (is_done and reported.put in NEW_ASKINGS):
            asked = {**_asked_by(planned.scope), "request_key": planned.request_key}
            asked |= {"application": story.question.application, "attempt": 1 if planned.posts else None}
            if is_done:
                asked |= {"ask_number": reported.ask_number, "detail": reported.put}
            yield Step.ASKED, asked, is_done
        case OperationKind.CLAIM if is_done or is_unknown or outcome is Outcome.REPEATED:
            # A claim that the bridge has tried again may have won by its first try.
            if is_done and reported.ask_number is not None:
                number = {"ask_number": reported.ask_number}
            yield Step.ANSWERED, {**number, "user_id": planned.scope.expected_user_id}, is_done
        case OperationKind.WITHDRAW if is_done or is_unknown:
            yield Step.WITHDRAWN, {}, is_done
        case OperationKind.DELETE if is_done or is_unknown:
            yield Step.DELETED, {}, is_done
        case OperationKind.DELIVER:
            if is_done or is_unknown:
                yield Step.DELIVERED, number, is_done
            if not is_done:
                yield Step.FAILED, number, False
        case OperationKind.ASK:
            # Whoever gives up withdraws the question, and takes note of how it has ended otherwise.
            yield Step.WITHDRAWN, {}, False
            yield Step.DELIVERED, {"ask_number": reported.ask_number} if is_done else {}, is_done


def _unheard(story: Story) -> Iterator[tuple[str | None, int | None]]:
    """The endings that pods mark without a hand-over: those of which their worker does not hear."""
    for entry in story.trail or ():
        if entry.step in ENDINGS and entry.step not in story.question.heard:
            yield entry.pod, entry.ask_number


def _unheld_hand_overs(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    """Whoever hands an ending over has leased it, and it is the one that the trail has."""
    leased = {(entry.pod, entry.ask_number) for entry in entries if entry.step is Step.LEASED or _is_leased(entry)}
    ended = {(entry.ask_number, entry.step.value) for entry in entries if entry.step in ENDINGS}
    for handed in dict.fromkeys(story.hand_overs):
        if (handed.pod, handed.ask_number) not in leased:
            yield f"{handed.pod} handed over how asking {handed.ask_number} ended, and the trail has no lease of it"
        if (handed.ask_number, handed.outcome) not in ended:
            yield f"asking {handed.ask_number} was handed over as {handed.outcome}, and the trail does not have that"


def _is_leased(entry: TrailEntry) -> bool:
    return entry.step is Step.ANSWERED and entry.attempt is not None


def _disagreements(story: Story, row: Row | None, traced: TracedRow) -> Iterator[str]:
    """What the trail says in the end that the row does not."""
    if row is None or traced.ask_number is None:
        if (row is None) is not (traced.ask_number is None):
            yield "the row is gone, and the trail says that it is there" if row is None else "the trail has no such row"
        return
    if row.ask_number != traced.ask_number:
        yield f"the row is that of asking {row.ask_number}, and the trail ends with asking {traced.ask_number}"
        return
    outcome, ending = _outcome(row), traced.ending
    if outcome != (None if ending is None else ending.step.value):
        yield f"the row is {outcome or 'open'}, and the trail says {'open' if ending is None else ending.step}"
        return
    if ending is not None and row.answered_by not in (None, ending.user_id):
        yield f"the row was answered by {row.answered_by}, and the trail says {ending.user_id}"
    if ending is not None and row.pod not in (None, ending.pod):
        yield f"the row was {outcome} by {row.pod}, and the trail says {ending.pod}"
    if row.is_stuck is not (traced.delivery is Step.STUCK):
        is_stuck = "is" if row.is_stuck else "is not"
        yield f"the row {is_stuck} stuck, and the last step of its delivery is {traced.delivery}"
    is_due = story.question.delivers and outcome is not None and outcome in story.question.heard
    is_delivered = traced.delivery is Step.DELIVERED
    if (is_due and not row.undelivered and not is_delivered) or (row.undelivered and is_delivered):
        said = "undelivered" if row.undelivered else "delivered"
        yield f"the ending of asking {row.ask_number} is {said}, and the last step of its delivery is {traced.delivery}"


def _outcome(row: Row) -> str | None:
    if row.outcome is None and row.claimed_at is not None:
        return Step.ANSWERED.value
    return Step.WITHDRAWN.value if row.outcome is None and row.withdrawn else row.outcome
