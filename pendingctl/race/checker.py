"""Whether the laws held in a race: pure functions over its history. No database, no clock.

One function a law, named as the report names it; each yields what it found wrong, in words. Questions are
independent of each other, so most laws look at the story of one question at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from .history import DECIDED, Asked, HandOver, History, Operation, Outcome, Row
from .plan import ClickKind

_TOLD_IT_WON = frozenset({Outcome.WON, Outcome.REPEATED})
_UNDECIDED = tuple(outcome for outcome in Outcome if outcome not in DECIDED)

# What the person may be told for each outcome. A claim that outlasts the platform's patience goes on after the
# person was asked to try again, which is true whatever comes of it.
_TRY_AGAIN = "cannot_serve"
_REPLIES = {
    Outcome.WON: "answered",
    Outcome.REPEATED: "answered",
    Outcome.ALREADY_ANSWERED: "already_answered",
    Outcome.NOT_YOURS: "not_yours",
    Outcome.UNKNOWN_OR_EXPIRED: "unknown_or_expired",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that was broken; `question_id` is None where the law is about the whole run."""

    law: str
    question_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a history proves: nothing when there are `reasons`, and a broken law in any case."""

    violations: tuple[Violation, ...]
    reasons: tuple[str, ...]
    contended: int

    @property
    def verdict(self) -> str:
        """One of pass, fail and inconclusive."""
        return "fail" if self.violations else "inconclusive" if self.reasons else "pass"


@dataclass(frozen=True, slots=True)
class Story:
    """All that happened to one question. `row` is None when it is gone."""

    asked: Asked
    operations: tuple[Operation, ...]
    hand_overs: tuple[HandOver, ...]
    row: Row | None
    ended_pods: frozenset[str]

    def is_rightful(self, operation: Operation) -> bool:
        """Whether the click's own scope is the question's, whatever the plan called it."""
        click, scope = operation.click, self.asked.scope
        return (click.organization_id, click.connection_id, click.user_id) == (
            scope.organization_id,
            scope.connection_id,
            scope.expected_user_id,
        )

    @property
    def rightful(self) -> list[Operation]:
        """The clicks that may win."""
        return [operation for operation in self.operations if self.is_rightful(operation)]

    @property
    def winners(self) -> list[Operation]:
        """The clicks that were told that they won; by law there is at most one."""
        return [operation for operation in self.operations if operation.outcome is Outcome.WON]


def single_winner(story: Story) -> Iterator[str]:
    """Of all clicks one wins; only the very same press may be told so again."""
    winners = story.winners
    if len(winners) > 1:
        yield f"{len(winners)} clicks were told that they won: {_names(winners)}"
    presses = {_press(operation) for operation in story.operations if operation.outcome in _TOLD_IT_WON}
    if len(winners) <= 1 and len(presses) > 1:
        keys = ", ".join(sorted(key for key, _ in presses))
        yield f"{len(presses)} different presses were told that they won: {keys}"


def winner_is_real(story: Story) -> Iterator[str]:
    """The stored winner is a click that was fired, and who was told that it won is stored."""
    row = story.row
    if row is None:
        return
    fired = {_press(operation): operation for operation in story.rightful}
    may_have_won = {
        _press(operation)
        for operation in story.rightful
        if operation.outcome in _TOLD_IT_WON or operation.outcome is Outcome.UNKNOWN
    }
    if row.claimed_at is not None and (stored := (row.delivery_key or "", row.answer)) not in may_have_won:
        known = "was not told that it won" if stored in fired else "is no rightful click that was fired"
        yield f"the stored winner {row.delivery_key!r} with answer {row.answer!r} {known}"
    for operation in story.operations:
        if operation.outcome not in _TOLD_IT_WON:
            continue
        told = (*_press(operation), operation.told.claimed_at)
        if told != (row.delivery_key, row.answer, row.claimed_at):
            yield (
                f"{_name(operation)} was told that it won with {operation.click.value!r} "
                f"at {_time(operation.told.claimed_at)}, but stored is {_stored(row)}"
            )


def scope(story: Story) -> Iterator[str]:
    """No click from another organization, connection or user wins, and the row stays in its scope."""
    for operation in story.operations:
        if operation.outcome in _TOLD_IT_WON and not story.is_rightful(operation):
            yield f"{_name(operation)} was told that it won, and it is foreign"
    if story.row is not None and story.row.scope != story.asked.scope:
        yield f"the row moved from {story.asked.scope} to {story.row.scope}"


def wrong_clicks_cost_nothing(story: Story) -> Iterator[str]:
    """However many wrong clicks there are, a rightful one that got its verdict means that the question is won."""
    decided = [operation for operation in story.rightful if operation.outcome in DECIDED]
    in_doubt = any(operation.outcome is Outcome.UNKNOWN for operation in story.rightful)
    if not decided or in_doubt:
        return
    if not any(operation.outcome in _TOLD_IT_WON for operation in decided):
        yield f"no click won, although {len(decided)} rightful ones were served: {_names(decided)}"
    if story.row is not None and story.row.claimed_at is None:
        yield f"the row is unclaimed, although {len(decided)} rightful clicks were served: {_names(decided)}"


def loser_was_told_the_truth(story: Story) -> Iterator[str]:
    """Every click is told what is so: why it lost, and to which answer."""
    first_winner_ns = min(
        (each.started_ns for each in story.operations if each.outcome in (Outcome.WON, Outcome.UNKNOWN)),
        default=None,
    )
    for operation in story.operations:
        if operation.outcome not in DECIDED:
            continue
        if operation.reply not in (_REPLIES[operation.outcome], _TRY_AGAIN):
            yield f"{_name(operation)} was {operation.outcome}, and the person was told {operation.reply!r}"
        if (true_reason := _true_reason(story, operation)) is not None:
            if operation.outcome is not true_reason and operation.outcome not in _TOLD_IT_WON:
                yield f"{_name(operation)} was told {operation.outcome}, and the truth is {true_reason}"
            if (operation.told.answered_by, operation.told.answer, operation.told.claimed_at) != (
                None,
                None,
                None,
            ):
                yield f"{_name(operation)} is foreign, and was told of the answer {operation.told.answer!r}"
        elif operation.outcome is Outcome.ALREADY_ANSWERED:
            yield from _false_defeat(story, operation, first_winner_ns)
        elif operation.outcome not in _TOLD_IT_WON:
            yield f"{_name(operation)} is rightful, and was told {operation.outcome}"


def payload_intact(story: Story) -> Iterator[str]:
    """The row is there with the payload that was stored, and the winner was given the same."""
    if story.row is None:
        yield "the row is gone"
    elif story.row.payload != story.asked.payload:
        yield f"the payload was {story.asked.payload} and is {story.row.payload}"
    for operation in story.operations:
        if operation.outcome in _TOLD_IT_WON and operation.told.payload != story.asked.payload:
            yield f"{_name(operation)} was given the payload {operation.told.payload}, not {story.asked.payload}"


def handed_over_once(story: Story) -> Iterator[str]:
    """The winning answer is handed over once, for the question's own user and conversation."""
    if len(story.hand_overs) > 1:
        yield f"the answer was handed over {len(story.hand_overs)} times"
    winners = story.winners
    if len(winners) == 1 and not story.hand_overs and winners[0].pod in story.ended_pods:
        yield f"{_name(winners[0])} won, and the answer was never handed over"
    expected = (story.asked.scope.expected_user_id, story.asked.conversation_id)
    for handed in story.hand_overs:
        if (handed.user_id, handed.conversation_id) != expected:
            yield f"handed over to {(handed.user_id, handed.conversation_id)} instead of {expected}"
        if story.row is not None and (handed.value, handed.ask_number) != (
            story.row.answer,
            story.row.ask_number,
        ):
            yield f"handed over was {handed.value!r} of asking {handed.ask_number}, but stored is {_stored(story.row)}"


def nothing_left_behind(history: History) -> Iterator[str]:
    """After the clean-up no row and no organization of the run is there."""
    if history.left_behind:
        more = len(history.left_behind) - 5
        yield "left behind: " + ", ".join(history.left_behind[:5]) + (f" and {more} more" if more > 0 else "")


QUESTION_CHECKS: tuple[Callable[[Story], Iterator[str]], ...] = (
    single_winner,
    winner_is_real,
    scope,
    wrong_clicks_cost_nothing,
    loser_was_told_the_truth,
    payload_intact,
    handed_over_once,
)
RUN_CHECKS: tuple[Callable[[History], Iterator[str]], ...] = (nothing_left_behind,)


def judge(history: History, reasons: tuple[str, ...] = ()) -> Judgement:
    """Check every law. `reasons` say why the run itself proves nothing, such as a pod that was lost."""
    told = stories(history)
    violations = [
        Violation(check.__name__, story.asked.id, detail)
        for check in QUESTION_CHECKS
        for story in told
        for detail in check(story)
    ]
    violations += [Violation(check.__name__, None, detail) for check in RUN_CHECKS for detail in check(history)]
    contended = sum(was_contended(story) for story in told)
    return Judgement(tuple(violations), (*reasons, *_proves_nothing(history, contended)), contended)


def stories(history: History) -> list[Story]:
    """Return the history question by question, in the order of asking; operations in the order of their start."""
    operations: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(history.operations, key=lambda operation: operation.started_ns):
        operations[operation.click.question_id].append(operation)
    hand_overs: defaultdict[str, list[HandOver]] = defaultdict(list)
    for handed in history.hand_overs:
        hand_overs[handed.question_id].append(handed)
    rows = {row.id: row for row in history.rows}
    return [
        Story(
            asked,
            tuple(operations.get(asked.id, ())),
            tuple(hand_overs.get(asked.id, ())),
            rows.get(asked.id),
            history.ended_pods,
        )
        for asked in history.asked
    ]


def was_contended(story: Story) -> bool:
    """Whether two different rightful presses on two pods were in flight at the same time."""
    return any(
        one.pod != other.pod
        and one.click.delivery_key != other.click.delivery_key
        and one.ended_ns is not None
        and other.ended_ns is not None
        and one.started_ns < other.ended_ns
        and other.started_ns < one.ended_ns
        for one, other in combinations(story.rightful, 2)
    )


def _proves_nothing(history: History, contended: int) -> Iterator[str]:
    counted = Counter(operation.outcome for operation in history.operations)
    for outcome in _UNDECIDED:
        if counted[outcome]:
            detail = next((each.detail for each in history.operations if each.outcome is outcome and each.detail), "")
            yield f"{counted[outcome]} clicks ended as {outcome}" + (f", the first with: {detail}" if detail else "")
    if not contended:
        yield (
            "no question was contended: two different rightful clicks of two pods were never in flight at the same "
            "time; race with at least 2 pods, 2 clicks and more questions"
        )


def _true_reason(story: Story, operation: Operation) -> Outcome | None:
    """Why a foreign click is refused, in the precedence of law 7; None for a rightful one."""
    click, scope = operation.click, story.asked.scope
    if (click.organization_id, click.connection_id) != (scope.organization_id, scope.connection_id):
        return Outcome.UNKNOWN_OR_EXPIRED
    return Outcome.NOT_YOURS if click.user_id != scope.expected_user_id else None


def _false_defeat(story: Story, operation: Operation, first_winner_ns: int | None) -> Iterator[str]:
    told, row = operation.told, story.row
    if first_winner_ns is None:
        yield f"{_name(operation)} was told already_answered, and no click won"
    elif operation.ended_ns is not None and operation.ended_ns < first_winner_ns:
        yield f"{_name(operation)} was told already_answered before any winner began"
    if row is None:
        return
    stands = (story.asked.scope.expected_user_id, row.answer, row.claimed_at)
    if (told.answered_by, told.answer, told.claimed_at) != stands:
        said = f"{told.answer!r} by {told.answered_by} at {_time(told.claimed_at)}"
        yield f"{_name(operation)} was told that the answer is {said}, but stored is {_stored(row)}"
    if _press(operation) == (row.delivery_key, row.answer):
        yield f"{_name(operation)} is the press that won, and was told that it lost"


def _press(operation: Operation) -> tuple[str, str | None]:
    return operation.click.delivery_key, operation.click.value


def _name(operation: Operation) -> str:
    kind = "" if operation.kind is ClickKind.RIGHTFUL else f" ({operation.kind})"
    return f"click {operation.number} of {operation.pod}{kind}"


def _names(operations: list[Operation]) -> str:
    return ", ".join(_name(operation) for operation in operations)


def _stored(row: Row) -> str:
    if row.claimed_at is None:
        return "no winner"
    return f"{row.answer!r} by {row.delivery_key} at {_time(row.claimed_at)}"


def _time(time: datetime | None) -> str:
    return "no time" if time is None else time.isoformat()
