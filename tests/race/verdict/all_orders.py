"""The slow search: every subset of the unknown operations, in every order that the clock allows, on a table of rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations, permutations
from typing import TypedDict

from pendingctl.race.history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.operations import PlannedOperation
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
    WITHDRAW,
)


class Held(TypedDict):
    """A row of the model. `created` is None where nobody was told, and `asking` where nobody was told yet."""

    asking: int | None
    answered: tuple[str | None, str | None] | None
    created: datetime | None
    undelivered: bool
    edition: int
    key: str | None
    displaced: list[str]
    withdrawn: bool
    # Its number, the press that had won, and whether it was withdrawn.
    before: tuple[int | None, tuple[str | None, str | None] | None, bool] | None


Table = dict[str, Held]

# A counted question's row, which the coordinator has stored.
NEVER_TOLD: Held = {
    "asking": 1,
    "answered": None,
    "created": None,
    "undelivered": False,
    "edition": 0,
    "key": None,
    "displaced": [],
    "withdrawn": False,
    "before": None,
}


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
        if is_sure and (held["answered"] is not None or held["withdrawn"]):
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
    if action.kind is WITHDRAW:
        return _withdraw(table)
    if action.kind is PUT:
        return _put(table, action, now)
    if action.kind is DELIVER:
        return _deliver(table, planned)
    return _claim(table, action, now, delivers=delivers)


def _withdraw(table: Table) -> tuple[Outcome, Reported]:
    held = table.get("row")
    if held is None:
        return REFUSED, Reported(Reason.NO_SUCH_ROW)
    if held["withdrawn"] or held["answered"] is not None:
        return REFUSED, Reported(Reason.WITHDRAWN if held["withdrawn"] else Reason.ALREADY_ANSWERED)
    table["row"] = {**held, "withdrawn": True}
    return OK, Reported()


def _deliver(table: Table, planned: PlannedOperation) -> tuple[Outcome, Reported]:
    held = table.get("row")
    if held is None or not held["undelivered"] or held["asking"] not in (None, planned.ask_number):
        return REFUSED, Reported(Reason.LEASE_LOST)
    if held["answered"] is None or held["answered"][1] != planned.value:
        return REFUSED, Reported(Reason.LEASE_LOST)
    table["row"] = {**held, "undelivered": False, "asking": planned.ask_number}
    return OK, Reported()


def _put(table: Table, action: Operation, now: datetime | None) -> tuple[Outcome, Reported]:
    """The database draws the number: whichever was reported, if it is a greater one."""
    held, planned, key = table.get("row"), action.planned, action.planned.request_key
    number = action.reported.ask_number
    new: Held = {**NEVER_TOLD, "asking": number, "created": now, "edition": planned.edition, "key": key}
    if held is None:
        table["row"] = new
        return OK, Reported(put="created", ask_number=number, at=now)
    if key is not None and key in held["displaced"]:
        return REFUSED, Reported(Reason.REQUEST_REFUSED)
    is_own = key is not None and key == held["key"]
    is_over = held["answered"] is not None or held["withdrawn"]
    if is_over and (not planned.reopens or held["undelivered"] or is_own):
        return REFUSED, Reported(Reason.WITHDRAWN if held["withdrawn"] else Reason.ALREADY_ANSWERED)
    if not is_over and held["edition"] == planned.edition and (is_own or None in (key, held["key"])):
        table["row"] = {**held, "key": held["key"] or key, "asking": held["asking"] or number}
        return OK, Reported(put="refreshed", ask_number=held["asking"] or number)
    if not is_over and is_own:
        return REFUSED, Reported(Reason.REQUEST_REFUSED)
    if number is not None and held["asking"] is not None and number <= held["asking"]:
        return OK, Reported(put="never under a number of before")
    displaced = [*held["displaced"], *([held["key"]] if held["key"] is not None else [])]
    table["row"] = {**new, "displaced": displaced, "before": (held["asking"], held["answered"], held["withdrawn"])}
    did = "reopened" if is_over else "superseded"
    return OK, Reported(put=did, ask_number=number, at=now)


def _claim(table: Table, action: Operation, now: datetime | None, *, delivers: bool) -> tuple[Outcome, Reported]:
    held, planned = table.get("row"), action.planned
    if held is None:
        return REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
    press = (planned.delivery_key, planned.value)
    if planned.ask_number not in (None, held["asking"]):
        if held["asking"] is not None and planned.ask_number > held["asking"]:
            return REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
        if held["before"] is None or held["before"][0] != planned.ask_number:
            return REFUSED, Reported(Reason.SUPERSEDED)
        if held["before"][2]:
            return REFUSED, Reported(Reason.WITHDRAWN)
        if held["before"][1] is None:
            return REFUSED, Reported(Reason.SUPERSEDED)
        if held["before"][1] == press:
            return REPEATED, Reported(ask_number=planned.ask_number)
        return REFUSED, Reported(Reason.ALREADY_ANSWERED, "U1", held["before"][1][1])
    if held["withdrawn"]:
        return REFUSED, Reported(Reason.WITHDRAWN)
    asking = held["asking"] or action.reported.ask_number
    if held["answered"] is None:
        table["row"] = {**held, "answered": press, "undelivered": delivers, "asking": asking}
        return OK, Reported(ask_number=asking, at=now)
    if held["answered"] == press:
        table["row"] = {**held, "asking": asking}
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
    if not all(is_true(each, table, question, aged) for each in order):
        return False
    held = as_row(table)
    if left is None or held is None:
        return left is None and held is None
    answered = (left.delivery_key, left.answer) if left.claimed_at else None
    return held[0] in (None, left.ask_number) and held[1:] == (answered, left.undelivered, left.withdrawn)


def as_row(table: Table) -> tuple[int | None, tuple[str | None, str | None] | None, bool, bool] | None:
    held = table.get("row")
    return None if held is None else (held["asking"], held["answered"], held["undelivered"], held["withdrawn"])
