"""The slow search: every subset of the unknown operations, in every order that the clock allows, on a table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations, permutations
from typing import TypedDict

from pendingctl.race.history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.plan import PlannedOperation
from tests.race.verdict.operations import (
    DELETE,
    DELIVER,
    FAILED,
    OK,
    PUT,
    REFUSED,
    REPEATED,
    SCOPE,
    STALE_AFTER,
    SWEEP,
    UNKNOWN,
)


class Held(TypedDict):
    """A row of the model. `created` is None where nobody was told."""

    asking: int
    answered: tuple[str | None, str | None] | None
    created: datetime | None
    undelivered: bool


Table = dict[str, Held]

# A counted question's row, which the coordinator has stored.
NEVER_TOLD: Held = {"asking": 1, "answered": None, "created": None, "undelivered": False}


def carry_out(
    table: Table, action: Operation, now: datetime | None, *, delivers: bool, is_sure: bool = True
) -> tuple[Outcome, Reported]:
    """Do to the table what the store does, and return what it would tell.

    `now` is the server's time, None where it is not known; without `is_sure` a sweep takes any row. With `delivers` an
    answer is undelivered until a delivery has marked it.
    """
    planned = action.planned
    held = table.get("row")
    if action.kind is SWEEP:
        if held is None:
            return OK, Reported(at=now)
        if is_sure and held["undelivered"]:
            return OK, Reported(at=now)
        if is_sure and held["created"] is not None and now is not None and held["created"] + STALE_AFTER >= now:
            return OK, Reported(at=now)
        del table["row"]
        return OK, Reported(at=now, ids=("x",))
    if planned.scope != SCOPE:
        return REFUSED, Reported(Reason.OTHER_SCOPE if action.kind is PUT else Reason.UNKNOWN_OR_EXPIRED)
    if action.kind is DELETE:
        if held is None:
            return REFUSED, Reported(Reason.NO_SUCH_ROW)
        if held["undelivered"]:
            return REFUSED, Reported(Reason.UNDELIVERED)
        del table["row"]
        return OK, Reported()
    if action.kind is PUT:
        return _put(table, planned, now)
    if action.kind is DELIVER:
        if held is None or not held["undelivered"] or held["asking"] != planned.ask_number:
            return REFUSED, Reported(Reason.LEASE_LOST)
        if held["answered"] is None or held["answered"][1] != planned.value:
            return REFUSED, Reported(Reason.LEASE_LOST)
        table["row"] = {**held, "undelivered": False}
        return OK, Reported()
    return _claim(table, planned, now, delivers=delivers)


def _put(table: Table, planned: PlannedOperation, now: datetime | None) -> tuple[Outcome, Reported]:
    held = table.get("row")
    if held is None:
        table["row"] = {"asking": 1, "answered": None, "created": now, "undelivered": False}
        return OK, Reported(put="created", ask_number=1, at=now)
    if held["answered"] is None:
        return OK, Reported(put="refreshed", ask_number=held["asking"])
    if not planned.reopens or held["undelivered"]:
        return REFUSED, Reported(Reason.ALREADY_ANSWERED)
    asking = held["asking"] + 1
    table["row"] = {"asking": asking, "answered": None, "created": now, "undelivered": False}
    return OK, Reported(put="reopened", ask_number=asking, at=now)


def _claim(
    table: Table, planned: PlannedOperation, now: datetime | None, *, delivers: bool
) -> tuple[Outcome, Reported]:
    held = table.get("row")
    if held is None:
        return REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
    asking = planned.ask_number or held["asking"]
    if asking > held["asking"]:
        return REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
    if asking < held["asking"]:
        return REFUSED, Reported(Reason.ALREADY_ANSWERED)
    press = (planned.delivery_key, planned.value)
    if held["answered"] is None:
        table["row"] = {**held, "answered": press, "undelivered": delivers}
        return OK, Reported(ask_number=asking, at=now)
    if held["answered"] == press:
        return REPEATED, Reported(ask_number=asking)
    return REFUSED, Reported(Reason.ALREADY_ANSWERED, "U1", held["answered"][1])


def is_true(action: Operation, table: Table, question: RacedQuestion, aged: bool) -> bool:
    """Carry the operation out, and say whether it was told what the store would have told it."""
    reported = action.reported
    if action.kind is DELIVER and action.outcome is REFUSED:
        # Another pod's lease is not in the model: a delivery may have lost its own at any time.
        return True
    if action.outcome is UNKNOWN:
        carry_out(table, action, None, delivers=question.delivers, is_sure=aged)
        return True
    outcome, truth = carry_out(table, action, reported.at, delivers=question.delivers, is_sure=aged)
    if action.kind is SWEEP:
        return action.outcome is OK and truth.ids == reported.ids
    if action.planned.scope != SCOPE:
        return action.outcome is REFUSED
    if action.outcome is not outcome:
        return False
    if outcome is REFUSED:
        return (reported.reason, reported.answer) == (truth.reason, truth.answer)
    return reported.put == truth.put and reported.ask_number in (None, truth.ask_number)


def has_order(
    question: RacedQuestion, operations: Sequence[Operation], left: Row | None, stale_after: timedelta | None
) -> bool:
    """Whether any order of all decided operations and any of the unknown ones explains everything."""
    decided = [each for each in operations if each.outcome not in (UNKNOWN, FAILED)]
    doubtful = [each for each in operations if each.outcome is UNKNOWN]
    return any(
        respects_the_clock(order) and explains(question, order, left, stale_after is not None)
        for count in range(len(doubtful) + 1)
        for chosen in combinations(doubtful, count)
        for order in permutations((*decided, *chosen))
    )


def respects_the_clock(order: Sequence[Operation]) -> bool:
    return not any(
        later.outcome is not UNKNOWN and later.ended_ns is not None and later.ended_ns < earlier.started_ns
        for earlier, later in combinations(order, 2)
    )


def explains(question: RacedQuestion, order: Sequence[Operation], left: Row | None, aged: bool) -> bool:
    table: Table = {} if question.is_extra else {"row": NEVER_TOLD}
    return all(is_true(each, table, question, aged) for each in order) and as_row(table) == (
        None
        if left is None
        else (left.ask_number, (left.delivery_key, left.answer) if left.claimed_at else None, left.undelivered)
    )


def as_row(table: Table) -> tuple[int, tuple[str | None, str | None] | None, bool] | None:
    held = table.get("row")
    return None if held is None else (held["asking"], held["answered"], held["undelivered"])
