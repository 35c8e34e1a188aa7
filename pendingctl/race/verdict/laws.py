"""The laws of a race, one function each, named as the report names it; each yields what it found wrong, in words.

Pure. Questions are independent of each other, so most laws look at the story of one question at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import combinations

from ...model import Outcome as Ending
from ..history.history import DECIDED, WON, History, Operation, Outcome, Reason, Reported, Row
from ..plan.operations import OperationKind
from .linearization import linearize
from .one_question import Story

# True whatever the outcome: a claim that outlasts the platform's patience goes on after the person was asked to try
# again.
CANNOT_SERVE = "cannot_serve"


def single_winner(story: Story) -> Iterator[str]:
    """Of all clicks on a question that is asked once, one wins; only the same press may learn again that it won."""
    if not story.is_counted:
        return
    winners = story.winners
    if len(winners) > 1:
        yield f"{len(winners)} clicks were told that they won: {_names(winners)}"
    presses = {operation.press for operation in story.claims if operation.outcome in WON}
    if len(winners) <= 1 and len(presses) > 1:
        keys = ", ".join(sorted(str(key) for key, _ in presses))
        yield f"{len(presses)} different presses were told that they won: {keys}"


def winner_is_real(story: Story) -> Iterator[str]:
    """The stored winner is a click that was fired, and a click that was told that it won is the stored one."""
    row = story.row
    if row is not None and row.claimed_at is not None and row.outcome != Ending.DEFAULTED:
        stored = (row.delivery_key, row.answer)
        fired = {operation.press for operation in story.rightful}
        may_have_won = {each.press for each in story.rightful if each.outcome in (*WON, Outcome.UNKNOWN)}
        if stored not in may_have_won:
            known = "was not told that it won" if stored in fired else "is no rightful click that was fired"
            yield f"the stored winner {row.delivery_key!r} with answer {row.answer!r} {known}"
    if row is None or not story.is_counted:
        return
    for operation in story.claims:
        if operation.outcome not in WON:
            continue
        reported = (*operation.press, operation.reported.at)
        if reported != (row.delivery_key, row.answer, row.claimed_at):
            yield (
                f"{name_of(operation)} was told that it won with {operation.planned.value!r} "
                f"at {_time(operation.reported.at)}, but stored is {_stored(row)}"
            )


def scope(story: Story) -> Iterator[str]:
    """No operation from another organization, connection or user gets through, and the row stays in its scope."""
    for operation in story.operations:
        if operation.outcome in WON and not story.is_rightful(operation):
            yield f"{name_of(operation)} got through, and it is foreign"
    if story.row is not None and story.row.scope != story.question.scope:
        yield f"the row moved from {story.question.scope} to {story.row.scope}"


def wrong_clicks_cost_nothing(story: Story) -> Iterator[str]:
    """However many wrong clicks there are, a rightful one that got its verdict means that the question is won."""
    decided = [operation for operation in story.rightful if operation.outcome in DECIDED]
    in_doubt = any(operation.outcome is Outcome.UNKNOWN for operation in story.rightful)
    if not story.is_counted or not decided:
        return
    if not in_doubt and not any(operation.outcome in WON for operation in decided):
        yield f"no click won, although {len(decided)} rightful ones were served: {_names(decided)}"
    if story.row is not None and story.row.claimed_at is None:
        yield f"the row is unclaimed, although {len(decided)} rightful clicks were served: {_names(decided)}"


def loser_was_told_the_truth(story: Story) -> Iterator[str]:
    """Every click gets a true reply: why it lost, and to which answer; and never that it lost when it had won."""
    first_winner_ns = min(
        (each.started_ns for each in story.rightful if each.outcome in (Outcome.OK, Outcome.UNKNOWN)), default=None
    )
    for operation in story.claims:
        if operation.outcome not in DECIDED:
            continue
        if operation.reply not in (_due_reply(operation), CANNOT_SERVE, None):
            yield f"{name_of(operation)} was {_said(operation)}, and the person was told {operation.reply!r}"
        if operation.outcome is not Outcome.REFUSED:
            continue
        if (true_reason := _true_reason(story, operation)) is not None:
            yield from _false_reply_to_a_stranger(operation, true_reason)
        elif operation.reported.reason is Reason.ALREADY_ANSWERED:
            yield from _false_defeat(story, operation, first_winner_ns)
        elif story.is_counted or operation.reported.reason not in _ends_of_an_extra(story, operation):
            yield f"{name_of(operation)} is rightful, and was told {_said(operation)}"


def linearizable(story: Story) -> Iterator[str]:
    """The operations on a question have one order in which everything that was reported is true."""
    search = linearize(story.question, story.everything, story.row, None)
    if search.found or search.undecided:
        return
    stuck = "the row at the end" if search.stuck is None else f"{name_of(search.stuck)}, told {_said(search.stuck)}"
    yield f"no order of its {len(story.everything)} operations explains {stuck}"


def payload_intact(story: Story) -> Iterator[str]:
    """The row is there with a payload that was stored, and the winner was given the same."""
    stored = (story.question.payload, *story.question.editions)
    if story.row is None and story.is_counted:
        yield "the row is gone"
    elif story.row is not None and story.row.payload not in stored:
        yield f"the payload was {stored[0]} and is {story.row.payload}"
    for operation in story.claims:
        # Of the asking before the present one the payload is not kept.
        is_late = operation.outcome is Outcome.REPEATED and not story.is_counted and not operation.reported.payload
        if operation.outcome in WON and operation.reported.payload not in stored and not is_late:
            yield f"{name_of(operation)} was given the payload {operation.reported.payload}, not {stored[0]}"


def terminal_stays_terminal(story: Story) -> Iterator[str]:
    """After a delete or a sweep took the row no click wins, unless the question was put again since."""
    removals = [each for each in story.everything if _took_the_row(each)]
    # A put whose outcome is unknown may take effect at any time after its start.
    puts = [each for each in story.operations if each.kind is OperationKind.PUT and each.outcome in _MAY_HAVE_DONE]
    for claim in story.claims:
        if claim.outcome not in WON:
            continue
        for removal in removals:
            if removal.ended_ns is None or removal.ended_ns >= claim.started_ns:
                continue
            if not any(_might_follow(put, removal) and _might_precede(put, claim) for put in puts):
                yield f"{name_of(claim)} won after {name_of(removal)} had taken the row"
                break


def sweep_took_only_stale_rows(story: Story) -> Iterator[str]:
    """A sweep took only rows that were stale by the server's clock, and no answer that was not delivered."""
    if not any(sweep.outcome is Outcome.OK for sweep in story.sweeps):
        return
    for sweep in story.sweeps:
        if sweep.outcome is Outcome.OK and story.is_counted:
            yield f"{name_of(sweep)} took the row of a question that had just been asked"
    search = linearize(story.question, story.everything, story.row, story.stale_after)
    if search.found or search.undecided:
        return
    # If only what a sweep may take is in the way of an order, a sweep took what it may not.
    if linearize(story.question, story.everything, story.row, None).found:
        took = [sweep for sweep in story.sweeps if sweep.outcome is Outcome.OK]
        yield f"a row that was not stale yet, or whose answer was not delivered, was taken by one of {_names(took)}"


def every_answer_delivered(story: Story) -> Iterator[str]:
    """An answer that was accepted is handed over by some pod, whatever became of the pod that accepted it."""
    if not story.question.delivers:
        return
    handed = Counter[tuple[int | None, str | None]]((each.ask_number, each.value) for each in story.hand_overs)
    accepted = Counter((each.reported.ask_number, each.planned.value) for each in story.winners)
    row = story.row
    if row is not None and row.claimed_at is not None:
        if row.undelivered:
            yield f"the answer {row.answer!r} of asking {row.ask_number} is undelivered at the end"
        # The reply to the click that won may have been lost.
        accepted[row.ask_number, row.answer] = max(1, accepted[row.ask_number, row.answer])
    for (ask_number, value), times in accepted.items():
        if handed[ask_number, value] < times:
            often = "never" if times == 1 else f"{handed[ask_number, value]} times, and won {times} times"
            yield f"the answer {value!r} of asking {ask_number} was handed over {often}"


def applied_once(story: Story) -> Iterator[str]:
    """A worker that honours the key applies one answer per asking: the stored one, for the question's own user."""
    expected = (story.question.scope.expected_user_id, story.question.conversation_id)
    for each in story.hand_overs:
        if (each.user_id, each.conversation_id) != expected:
            yield f"handed over to {(each.user_id, each.conversation_id)} instead of {expected}"
    may_have_won = {each.planned.value for each in story.rightful if each.outcome in (*WON, Outcome.UNKNOWN)}
    may_have_won |= {story.question.schedule.default, None}
    for value in dict.fromkeys(each.value for each in story.hand_overs if each.value not in may_have_won):
        yield f"{value!r} was handed over, and no click won with it"
    applied: dict[int, str | None] = {}
    for each in story.hand_overs:
        first = applied.setdefault(each.ask_number, each.value)
        if each.value != first:
            yield f"{each.pod} handed {each.value!r} over under the key of {first!r}"
    row = story.row
    if row is None:
        return
    for ask_number, value in applied.items():
        # An extra question may have been asked again since.
        is_last = story.is_counted or ask_number == row.ask_number
        if is_last and (ask_number, value) != (row.ask_number, row.answer):
            yield f"applied was {value!r} of asking {ask_number}, but stored is {_stored(row)}"


def sweep_was_bounded(history: History) -> Iterator[str]:
    """A sweep took no more rows than its limit, and none but the run's."""
    own = {question.id for question in history.questions}
    for operation in history.operations:
        if operation.kind is not OperationKind.SWEEP:
            continue
        taken, limit = operation.reported.ids, operation.planned.limit
        if limit is not None and len(taken) > limit:
            yield f"{name_of(operation)} took {len(taken)} rows, and its limit was {limit}"
        if strange := [id for id in taken if id not in own]:
            yield f"{name_of(operation)} took rows that are not the run's: {', '.join(strange[:5])}"


def nothing_left_behind(history: History) -> Iterator[str]:
    """After the clean-up no row and no organization of the run is left."""
    if history.left_behind:
        more = len(history.left_behind) - 5
        yield "left behind: " + ", ".join(history.left_behind[:5]) + (f" and {more} more" if more > 0 else "")


def was_contended(story: Story) -> bool:
    """Whether two different rightful presses on two pods were in flight at the same time."""
    return any(
        one.pod != other.pod
        and one.press != other.press
        and Outcome.FAILED not in (one.outcome, other.outcome)
        and one.ended_ns is not None
        and other.ended_ns is not None
        and one.started_ns < other.ended_ns
        and other.started_ns < one.ended_ns
        for one, other in combinations(story.rightful, 2)
    )


# Whether it was true at the time, `linearizable` says.
_ENDS_OF_AN_EXTRA = frozenset({Reason.UNKNOWN_OR_EXPIRED, Reason.SUPERSEDED, Reason.WITHDRAWN, Reason.EXPIRED})
_MAY_HAVE_DONE = frozenset({Outcome.OK, Outcome.UNKNOWN})


def _ends_of_an_extra(story: Story, operation: Operation) -> frozenset[Reason]:
    is_the_other = operation.planned.scope == story.scope_of_other
    return _ENDS_OF_AN_EXTRA | ({Reason.NOT_YOURS} if is_the_other else frozenset())


def _took_the_row(operation: Operation) -> bool:
    return operation.outcome is Outcome.OK and operation.kind in (OperationKind.DELETE, OperationKind.SWEEP)


def _might_follow(put: Operation, removal: Operation) -> bool:
    return put.outcome is Outcome.UNKNOWN or put.ended_ns is None or put.ended_ns >= removal.started_ns


def _might_precede(put: Operation, claim: Operation) -> bool:
    return claim.ended_ns is None or put.started_ns <= claim.ended_ns


def _true_reason(story: Story, operation: Operation) -> Reason | None:
    """Why a foreign click is refused, in the precedence of law 7; None for a rightful one."""
    if story.is_rightful(operation):
        return None
    acting, own = operation.planned.scope, story.question.scope
    if (acting.organization_id, acting.connection_id) != (own.organization_id, own.connection_id):
        return Reason.UNKNOWN_OR_EXPIRED
    return Reason.NOT_YOURS if acting.expected_user_id != own.expected_user_id else None


def _false_reply_to_a_stranger(operation: Operation, true_reason: Reason) -> Iterator[str]:
    reported = operation.reported
    if reported.reason is not true_reason:
        yield f"{name_of(operation)} was told {reported.reason}, and the truth is {true_reason}"
    if (reported.answered_by, reported.answer, reported.at) != (None, None, None):
        yield f"{name_of(operation)} is foreign, and was told of the answer {reported.answer!r}"


def _false_defeat(story: Story, operation: Operation, first_winner_ns: int | None) -> Iterator[str]:
    reported, row = operation.reported, story.row
    if _is_of_the_default(story, reported):
        return
    if first_winner_ns is None:
        yield f"{name_of(operation)} was told already_answered, and no click won"
    elif operation.ended_ns is not None and operation.ended_ns < first_winner_ns:
        yield f"{name_of(operation)} was told already_answered before any winner began"
    if not story.is_counted:
        yield from _false_defeat_of_an_extra(story, operation)
        return
    if row is None:
        return
    stands = (story.question.scope.expected_user_id, row.answer, row.claimed_at)
    if (reported.answered_by, reported.answer, reported.at) != stands:
        said = f"{reported.answer!r} by {reported.answered_by} at {_time(reported.at)}"
        yield f"{name_of(operation)} was told that the answer is {said}, but stored is {_stored(row)}"
    won = {each.planned.name for each in story.rightful if each.press == (row.delivery_key, row.answer)}
    if operation.planned.name in won:
        yield f"{name_of(operation)} is the press that won, and was told that it lost"


def _false_defeat_of_an_extra(story: Story, operation: Operation) -> Iterator[str]:
    """The row may have been deleted and stored again since: look for the winner among the clicks."""
    reported = operation.reported
    if (reported.answered_by, reported.answer, reported.at) == (None, None, None):
        return
    gave = [
        each
        for each in story.rightful
        if (each.planned.value, each.planned.scope.expected_user_id) == (reported.answer, reported.answered_by)
    ]
    winners = [each for each in gave if each.outcome is Outcome.OK]
    in_doubt = any(each.outcome is Outcome.UNKNOWN for each in gave)
    if reported.at not in {each.reported.at for each in winners} and not in_doubt:
        said = f"{reported.answer!r} by {reported.answered_by} at {_time(reported.at)}"
        yield f"{name_of(operation)} was told that the answer is {said}, and no click gave that"


def _is_of_the_default(story: Story, reported: Reported) -> bool:
    """Whether the answer is the default, which nobody gave; whether it was by then, `linearizable` says."""
    default = story.question.schedule.default
    return default is not None and (reported.answered_by, reported.answer) == (None, default)


def _due_reply(operation: Operation) -> str | None:
    return "answered" if operation.outcome in WON else operation.reported.reason


def _said(operation: Operation) -> str:
    return str(operation.reported.reason or operation.outcome)


def name_of(operation: Operation) -> str:
    """Return what reports call an operation."""
    wrong = f" ({operation.planned.wrong})" if operation.planned.wrong else ""
    return f"{operation.kind} {operation.planned.name} of {operation.pod}{wrong}"


def _names(operations: list[Operation]) -> str:
    return ", ".join(name_of(operation) for operation in operations)


def _stored(row: Row) -> str:
    if row.claimed_at is None:
        return "no winner"
    return f"{row.answer!r} by {row.delivery_key} at {_time(row.claimed_at)}"


def _time(time: datetime | None) -> str:
    return "no time" if time is None else time.isoformat()
