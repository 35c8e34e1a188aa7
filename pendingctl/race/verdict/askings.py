"""The laws of a race about askings: what a card showed, whose answer it is, and which number it had; and about tenants.

Pure. Like those of `laws` each yields what it found wrong, in words.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model import NEW_ASKINGS
from ...payload import JsonObject, option_at
from ..history.history import DECIDED, WON, History, Operation, Outcome, Reason
from ..plan.operations import OperationKind
from ..plan.schedule import TROUBLES
from .laws import CANNOT_SERVE, name_of
from .one_question import Story

# A platform's patience, which a neighbour's answer has as well.
IN_TIME_NS = 2_500_000_000


def answered_what_was_shown(story: Story) -> Iterator[str]:
    """A click that pressed a card's button answered the question that this card showed, and as that button says."""
    shown = {story.question.ask_number: story.question.payload} | {
        each.reported.ask_number: _edition(story, each)
        for each in story.operations
        if each.kind is OperationKind.PUT and each.reported.put in NEW_ASKINGS
    }
    for claim in story.claims:
        planned, reported = claim.planned, claim.reported
        card = shown.get(planned.ask_number)
        if claim.outcome not in WON or planned.ask_number is None or card is None:
            continue
        # Of the asking before the present one the payload is not kept, and of a counted question it has its own check.
        if not story.is_counted and reported.payload and reported.payload != card:
            yield f"{name_of(claim)} pressed the button of {card}, and answered {reported.payload}"
        if planned.option is not None and reported.answer != option_at(card, planned.option):
            yield f"{name_of(claim)} pressed button {planned.option + 1} of {card}, and answered {reported.answer!r}"


def _edition(story: Story, put: Operation) -> JsonObject:
    number = put.planned.edition
    return story.question.editions[number - 1] if number else story.question.payload


def key_never_reused(story: Story) -> Iterator[str]:
    """Each asking has a greater number than all before, also when the question was deleted in between."""
    begun = [each for each in story.operations if each.kind is OperationKind.PUT and each.reported.put in NEW_ASKINGS]
    first = story.question.ask_number
    for place, put in enumerate(begun):
        number = put.reported.ask_number or 0
        before = [each.reported.ask_number or 0 for each in begun if (each.ended_ns or 0) < put.started_ns]
        if number in (first, *(each.reported.ask_number for each in begun[:place])):
            yield f"{name_of(put)} asked under the number {number} once more, and its answer has the key of another one"
        elif number < max([first or 0, *before]):
            yield f"{name_of(put)} asked under the number {number}, after {max([first or 0, *before])}"


def asker_or_pods(story: Story) -> Iterator[str]:
    """An answer that somebody waits for is the asker's or the pods': of the two one hands it over.

    Both do only where the asker's mark failed, which it reports, or where it died before.
    """
    if not story.question.is_awaited:
        return
    in_doubt = any(
        each.kind is OperationKind.ASK
        and (each.outcome is Outcome.UNKNOWN or each.reported.reason is Reason.LEASE_LOST)
        for each in story.operations
    )
    by_asker = {each.ask_number for each in story.hand_overs if each.by_asker}
    by_pods = {each.ask_number for each in story.hand_overs if not each.by_asker}
    for number in sorted(by_asker & by_pods):
        if not in_doubt:
            yield f"the answer of asking {number} was handed over by its asker and by a pod"
    for claim in story.winners:
        won = claim.reported.ask_number
        if won is not None and won not in by_asker | by_pods:
            yield f"the answer {claim.planned.value!r} of asking {won} went neither to its asker nor to the pods"


def only_its_application(story: Story) -> Iterator[str]:
    """The rows of another application are as they were, nothing of them is handed over, and clicks are not served."""
    question, row = story.question, story.row
    if not question.is_of_another_application:
        return
    for handed in story.hand_overs:
        yield f"{handed.pod} handed over the answer {handed.value!r} of another application"
    for claim in story.claims:
        if claim.outcome in DECIDED and claim.reported.reason is not Reason.OTHER_APPLICATION:
            learnt = claim.reported.reason or claim.outcome
            yield f"{name_of(claim)} pressed another application's button, and learnt {learnt}"
        elif claim.outcome in DECIDED and claim.reply not in (CANNOT_SERVE, None):
            yield f"{name_of(claim)} pressed another application's button, and the person was told {claim.reply!r}"
    if row is None:
        yield "the row of another application is gone"
        return
    was = (question.ask_number, question.payload, question.answer, question.answer is not None)
    is_claimed = row.claimed_at is not None
    if (row.ask_number, row.payload, row.answer, row.undelivered) != was or is_claimed is not row.undelivered:
        yield "the row of another application has changed"


def others_unharmed(history: History) -> Iterator[str]:
    """While one tenant is in trouble, another's click gets a true reply, and its answer is handed over, in time.

    An answer that cannot be read is given up with its error, and no other one with it.
    """
    yield from _given_up(history)
    for fault in history.faults:
        if fault.kind not in TROUBLES or fault.organization_id is None or fault.ended_ns is None:
            continue
        for claim in history.operations:
            is_anothers = claim.planned.scope.organization_id != fault.organization_id and claim.planned.wrong is None
            if claim.kind is not OperationKind.CLAIM or not is_anothers:
                continue
            if not fault.started_ns < claim.started_ns < fault.ended_ns:
                continue
            if claim.outcome not in DECIDED or claim.reply == CANNOT_SERVE:
                yield f"{name_of(claim)} got no true reply in time while {fault.organization_id} was in trouble"
            elif claim.outcome is Outcome.OK and not _was_delivered_in_time(history, claim):
                yield f"the answer of {name_of(claim)} had to wait while {fault.organization_id} was in trouble"


def _given_up(history: History) -> Iterator[str]:
    poisoned = {each.id for each in history.questions if each.is_poisoned}
    given_up = {row.id: row.error for row in history.rows if row.is_stuck}
    for id in given_up.keys() - poisoned:
        yield f"the answer of {id} is stuck: {given_up[id]}"
    # Of pods that were lost, and not by a fault, nobody knows how far they came.
    for id in poisoned if not history.reasons else ():
        if not given_up.get(id):
            yield f"the answer of {id} cannot be read, and was not given up with its error"


def _was_delivered_in_time(history: History, claim: Operation) -> bool:
    latest_ns = (claim.ended_ns or 0) + IN_TIME_NS
    return any(
        each.kind is OperationKind.DELIVER
        and each.planned.question_id == claim.planned.question_id
        and each.started_ns <= latest_ns
        for each in history.operations
    )
