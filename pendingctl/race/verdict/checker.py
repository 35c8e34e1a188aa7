"""Whether a history shows that the laws held. Pure: no database, no files, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from ...trail import TrailEntry
from ..history.history import (
    DECIDED,
    AppendedEvent,
    CardEdit,
    CardPost,
    HandOver,
    History,
    Operation,
    Outcome,
    ReminderPost,
)
from ..plan.operations import OperationKind
from . import laws
from .appends import appended_once
from .askings import answered_what_was_shown, asker_or_pods, key_never_reused, only_its_application, others_unharmed
from .cards import cards_show_the_end
from .endings import every_ending_told, no_click_after_deadline, one_ending
from .laws import name_of, was_contended
from .linearization import linearize
from .one_question import Story
from .posts import every_question_shown, reminded_once
from .trail import trail_is_the_history


class Verdict(StrEnum):
    """What a run, or one check of it, showed. A check is skipped where there was nothing for it to look at."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Violation:
    """A law that was broken; `question_id` is None for a law about the whole run."""

    law: str
    question_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found."""

    name: str
    verdict: Verdict
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a history proves: nothing when there are `reasons`, and a broken law in any case.

    `contended` is the number of questions on which clicks really competed.
    """

    checks: tuple[CheckResult, ...]
    reasons: tuple[str, ...]
    contended: int

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Everything that the checks found, in their order."""
        return tuple(chain.from_iterable(check.violations for check in self.checks))

    @property
    def verdict(self) -> Verdict:
        """One of pass, fail and inconclusive."""
        if self.violations:
            return Verdict.FAIL
        return Verdict.INCONCLUSIVE if self.reasons else Verdict.PASS


QUESTION_LAWS: tuple[Callable[[Story], Iterator[str]], ...] = (
    laws.single_winner,
    laws.winner_is_real,
    laws.scope,
    laws.wrong_clicks_cost_nothing,
    laws.loser_was_told_the_truth,
    laws.linearizable,
    laws.payload_intact,
    laws.terminal_stays_terminal,
    laws.sweep_took_only_stale_rows,
    laws.every_answer_delivered,
    laws.applied_once,
    answered_what_was_shown,
    key_never_reused,
    only_its_application,
    asker_or_pods,
    cards_show_the_end,
    no_click_after_deadline,
    one_ending,
    every_question_shown,
    every_ending_told,
    reminded_once,
    trail_is_the_history,
    appended_once,
)
RUN_LAWS: tuple[Callable[[History], Iterator[str]], ...] = (
    laws.sweep_was_bounded,
    laws.nothing_left_behind,
    others_unharmed,
)

# These look at questions too about which the race's own clicks and deliveries do not decide.
_OF_ALL_QUESTIONS = (only_its_application, trail_is_the_history)

CHECKS = tuple(check.__name__ for check in (*QUESTION_LAWS, *RUN_LAWS))

# The operations without which a check cannot fail; where the plan holds none of them it is skipped.
_NEEDS = {
    laws.terminal_stays_terminal.__name__: (OperationKind.DELETE, OperationKind.SWEEP),
    laws.sweep_took_only_stale_rows.__name__: (OperationKind.SWEEP,),
    laws.sweep_was_bounded.__name__: (OperationKind.SWEEP,),
    asker_or_pods.__name__: (OperationKind.ASK,),
}


def judge(history: History) -> Judgement:
    """Check every law, and whether the history could have broken one."""
    every_story = stories(history)
    violations: defaultdict[str, list[Violation]] = defaultdict(list)
    for check in QUESTION_LAWS:
        for story in every_story:
            if not story.question.is_raced and check not in _OF_ALL_QUESTIONS:
                continue
            for detail in check(story):
                violations[check.__name__].append(Violation(check.__name__, story.question.id, detail))
    for run_check in RUN_LAWS:
        for detail in run_check(history):
            violations[run_check.__name__].append(Violation(run_check.__name__, None, detail))
    contended = sum(was_contended(story) for story in every_story if story.is_counted)
    return Judgement(
        tuple(_result(name, tuple(violations[name]), history) for name in CHECKS),
        (*history.reasons, *_proves_nothing(history, every_story, contended)),
        contended,
    )


def _result(name: str, violations: tuple[Violation, ...], history: History) -> CheckResult:
    if violations:
        return CheckResult(name, Verdict.FAIL, violations)
    needed = _NEEDS.get(name)
    skipped = needed is not None and history.planned_kinds.isdisjoint(needed)
    if name == trail_is_the_history.__name__:
        skipped = history.trail is None
    if name == appended_once.__name__:
        skipped = history.events is None or all(each.stream is None for each in history.questions)
    return CheckResult(name, Verdict.SKIPPED if skipped else Verdict.PASS, ())


def stories(history: History) -> list[Story]:
    """Return the history question by question, in the order of asking; operations in the order of their start."""
    operations: defaultdict[str, list[Operation]] = defaultdict(list)
    sweeps: defaultdict[str, list[Operation]] = defaultdict(list)
    unknown_sweeps: list[Operation] = []
    for operation in sorted(history.operations, key=lambda operation: operation.started_ns):
        if operation.kind is not OperationKind.SWEEP:
            operations[operation.planned.question_id].append(operation)
            continue
        if operation.outcome is Outcome.UNKNOWN:
            unknown_sweeps.append(operation)
            continue
        for id in operation.reported.ids:
            sweeps[id].append(operation)
    hand_overs: defaultdict[str, list[HandOver]] = defaultdict(list)
    for handed in history.hand_overs:
        hand_overs[handed.question_id].append(handed)
    card_posts: defaultdict[str, list[CardPost]] = defaultdict(list)
    card_edits: defaultdict[str, list[CardEdit]] = defaultdict(list)
    # A pod that was lost, and not by a fault, has left cards behind of which no other one knows.
    if not history.reasons:
        for post in history.card_posts:
            card_posts[post.question_id].append(post)
        for edit in history.card_edits:
            card_edits[edit.question_id].append(edit)
    reminders: defaultdict[str, list[ReminderPost]] = defaultdict(list)
    for reminder in history.reminders:
        reminders[reminder.question_id].append(reminder)
    entries: defaultdict[str, list[TrailEntry]] = defaultdict(list)
    for entry in history.trail or ():
        entries[entry.question_id].append(entry)
    events: defaultdict[str, list[AppendedEvent]] = defaultdict(list)
    for event in history.events or ():
        events[event.question_id].append(event)
    rows = {row.id: row for row in history.rows}
    return [
        Story(
            question,
            tuple(operations.get(question.id, ())),
            (*sweeps.get(question.id, ()), *(unknown_sweeps if question.is_extra else ())),
            tuple(hand_overs.get(question.id, ())),
            rows.get(question.id),
            history.stale_after,
            tuple(card_posts.get(question.id, ())),
            tuple(card_edits.get(question.id, ())),
            tuple(reminders.get(question.id, ())),
            is_whole=not history.reasons,
            trail=None if history.trail is None else tuple(entries.get(question.id, ())),
            is_undisturbed=not history.reasons and not history.faults,
            events=None if history.events is None else tuple(events.get(question.id, ())),
        )
        for question in history.questions
    ]


def _proves_nothing(history: History, every_story: list[Story], contended: int) -> Iterator[str]:
    if not contended:
        yield (
            "no question was contended: two different rightful clicks of two pods were never in flight at the same "
            "time; race with at least 2 pods, 2 clicks and more questions"
        )
    succeeded = {each.kind for each in history.operations if each.outcome is Outcome.OK and _did_something(each)}
    for kind in OperationKind:
        if kind in history.planned_kinds and kind not in succeeded:
            yield f"no {kind} succeeded, although the plan held some"
    for fault in history.faults:
        if not fault.landed:
            moment = f" ({fault.moment})" if fault.moment else ""
            yield f"the fault {fault.kind}{moment} never landed: {fault.detail or 'it was not struck'}"
    decided = {each.planned.name for each in history.operations if each.outcome in DECIDED}
    open_claims = [
        each
        for each in history.operations
        if each.kind is OperationKind.CLAIM and each.outcome is Outcome.UNKNOWN and each.planned.name not in decided
    ]
    if open_claims:
        yield f"clicks whose outcome was never learnt: {len(open_claims)}, the first {_first_detail(open_claims)}"
    failed = [each for each in history.operations if each.outcome is Outcome.FAILED]
    if failed and not history.faults:
        yield f"operations that failed: {len(failed)}, the first {_first_detail(failed)}"
    ages = (None, history.stale_after)
    searched = [story for story in every_story if story.question.is_extra]
    if undecided := sum(
        any(linearize(s.question, s.everything, s.row, age).undecided for age in ages) for s in searched
    ):
        yield f"questions with too many orders to search: {undecided}"


def _did_something(operation: Operation) -> bool:
    return operation.kind is not OperationKind.SWEEP or bool(operation.reported.ids)


def _first_detail(operations: list[Operation]) -> str:
    first = operations[0]
    return name_of(first) + (f": {first.detail}" if first.detail else "")
