"""The smallest story that shows a broken law: everything that was done to one question, in order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..history.history import WON, History, Operation, Outcome
from ..plan.operations import OperationKind
from .checker import Violation, stories
from .one_question import Story

# More than anybody would read.
MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One operation: when, in milliseconds since the first of the question, on which pod, and what came of it."""

    from_ms: float
    to_ms: float | None
    pod: str
    what: str
    outcome: str
    is_winner: bool


def smallest_story(history: History, violations: Sequence[Violation]) -> tuple[StoryLine, ...]:
    """Return the shortest story of a question on which a law was broken; empty where all laws held."""
    broken = {violation.question_id for violation in violations}
    broken_stories = (
        [story for story in stories(history) if story.question.id in broken and story.everything] if broken else []
    )
    return _lines(min(broken_stories, key=lambda story: len(story.everything))) if broken_stories else ()


def _lines(story: Story) -> tuple[StoryLine, ...]:
    operations = story.everything
    first = operations[0].started_ns
    return tuple(_line(operation, first, story) for operation in operations[:MOST_LINES])


def _line(operation: Operation, first_ns: int, story: Story) -> StoryLine:
    planned, reported, row = operation.planned, operation.reported, story.row
    what = f"{operation.kind} {planned.name.partition('.')[2]}"
    if planned.wrong is not None:
        what += f" by the {planned.wrong.replace('_', ' ')}"
    if planned.value is not None:
        what += f" {planned.value!r}"
    outcome = str(reported.reason or reported.put or operation.outcome).replace("_", " ")
    if operation.outcome is Outcome.REFUSED and reported.answer is not None:
        outcome += f" {reported.answer!r}"
    won = operation.outcome in WON
    if row is not None:
        # The reply to the click that won may have been lost.
        may_have_won = won or operation.outcome is Outcome.UNKNOWN
        won = may_have_won and operation.press == (row.delivery_key, row.answer)
    return StoryLine(
        round((operation.started_ns - first_ns) / 1e6, 2),
        None if operation.ended_ns is None else round((operation.ended_ns - first_ns) / 1e6, 2),
        operation.pod,
        what,
        outcome,
        operation.kind is OperationKind.CLAIM and won,
    )
