"""Everything that a history holds of one question, which is what most laws look at. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property

from ...model import NEW_ASKINGS, Scope
from ...trail import TrailEntry
from ..history.history import (
    AppendedEvent,
    CardEdit,
    CardPost,
    HandOver,
    Operation,
    Outcome,
    RacedQuestion,
    ReminderPost,
    Row,
)
from ..plan.operations import OperationKind


@dataclass(frozen=True)
class Story:
    """Everything that happened to one question, operations in the order of their start. `row` is None when it is gone.

    `sweeps` are those that took its row, and those whose outcome is unknown. It `is_whole` unless pods were
    lost, and not by a fault: what they were about to do nobody knows. `trail` is None where there is none to look at,
    and so are `events`, those of its stream.
    Where it `is_undisturbed` nothing went wrong in the race, and no pod has lost what it was about to note.
    """

    question: RacedQuestion
    operations: tuple[Operation, ...] = ()
    sweeps: tuple[Operation, ...] = ()
    hand_overs: tuple[HandOver, ...] = ()
    row: Row | None = None
    stale_after: timedelta = timedelta()
    card_posts: tuple[CardPost, ...] = ()
    card_edits: tuple[CardEdit, ...] = ()
    reminders: tuple[ReminderPost, ...] = ()
    is_whole: bool = True
    trail: tuple[TrailEntry, ...] | None = None
    is_undisturbed: bool = False
    events: tuple[AppendedEvent, ...] | None = None

    @cached_property
    def claims(self) -> list[Operation]:
        """The clicks."""
        return [operation for operation in self.operations if operation.kind is OperationKind.CLAIM]

    @cached_property
    def rightful(self) -> list[Operation]:
        """The clicks that may win."""
        return [operation for operation in self.claims if self.is_rightful(operation)]

    @cached_property
    def winners(self) -> list[Operation]:
        """The clicks that were told that they won, and not that they had won before."""
        return [operation for operation in self.claims if operation.outcome is Outcome.OK]

    def is_rightful(self, operation: Operation) -> bool:
        """Whether the operation's own scope is the question's, whatever the plan called it.

        Or that of the user to whom the question is escalated, if it may have been by the operation's end.
        """
        acting, own = operation.planned.scope, self.question.scope
        return acting == own or (
            acting == self.scope_of_other
            and self.may_be_escalated_ns is not None
            and (operation.ended_ns is None or operation.ended_ns >= self.may_be_escalated_ns)
        )

    @property
    def scope_of_other(self) -> Scope | None:
        """The scope of the user to whom the question is escalated."""
        other = self.question.schedule.escalate_to
        return None if other is None else replace(self.question.scope, expected_user_id=other)

    @cached_property
    def may_be_escalated_ns(self) -> int | None:
        """When the question is escalated at the earliest, by the monotonic clock."""
        after, puts = self.question.schedule.escalate_after_ns, [each for each in self.puts if each.planned.shows]
        return None if after is None or not puts else min(each.started_ns for each in puts) + after

    @cached_property
    def puts(self) -> list[Operation]:
        """The puts that have begun an asking, and those of which that is unknown."""
        return [
            each
            for each in self.operations
            if each.kind is OperationKind.PUT and (each.outcome is Outcome.UNKNOWN or each.reported.put in NEW_ASKINGS)
        ]

    @cached_property
    def askings(self) -> dict[int, Operation]:
        """The puts that have begun an asking, by its number."""
        return {number: each for each in self.puts if (number := each.reported.ask_number) is not None}

    @property
    def is_counted(self) -> bool:
        """Whether the question is asked once and its row stays."""
        return self.question.is_counted

    @property
    def everything(self) -> list[Operation]:
        """Operations and sweeps in the order of their start."""
        return sorted((*self.operations, *self.sweeps), key=lambda each: each.started_ns)
