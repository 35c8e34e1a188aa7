"""The search for an order: on histories written by hand, and against a slow and obvious search over all orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations
from random import Random
from typing import TypeAlias, TypedDict

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pendingctl.model import Scope
from pendingctl.race.history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.operations import OperationKind, PlannedOperation
from pendingctl.race.verdict import linearization
from pendingctl.race.verdict.linearization import linearize

SCOPE = Scope("acme", "slack", "U1")
STRANGERS = (Scope("globex", "slack", "U1"), Scope("acme", "teams", "U1"), Scope("acme", "slack", "U2"))
EXTRA = RacedQuestion("x", SCOPE, {}, "C", is_extra=True)
COUNTED = RacedQuestion("q", SCOPE, {}, "C", ask_number=1)
# Answers that the pods deliver, rather than whoever claims.
DELIVERING = replace(EXTRA, delivers=True)
STALE_AFTER = timedelta(seconds=15)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

PUT, CLAIM, DELETE, SWEEP, DELIVER, _ = OperationKind
OK, REPEATED, REFUSED, FAILED, UNKNOWN = Outcome


def clock(seconds: float) -> datetime:
    """The server's time so long after noon."""
    return NOON + timedelta(seconds=seconds)


def operation(
    kind: OperationKind,
    started: int,
    ended: int | None,
    outcome: Outcome = OK,
    reported: Reported = Reported(),  # noqa: B008
    *,
    key: str = "a",
    value: str = "yes",
    ask_number: int | None = None,
    keeps: bool = False,
    scope: Scope = SCOPE,
) -> Operation:
    planned = PlannedOperation(f"x.{started}", 0, kind, "x", scope, reopens=kind is PUT and not keeps)
    if kind is CLAIM:
        planned = replace(planned, delivery_key=key, value=value, ask_number=ask_number)
    if kind is DELIVER:
        planned = replace(planned, value=value, ask_number=ask_number or 1)
    return Operation("pod-1", started, planned, started, ended, outcome, reported)


def put(
    started: int,
    ended: int,
    did: str,
    ask_number: int = 1,
    at: datetime | None = None,
    *,
    key: str | None = None,
    edition: int = 0,
) -> Operation:
    told = Reported(put=did, ask_number=ask_number, at=at)
    return by_request(operation(PUT, started, ended, reported=told), key, edition)


def by_request(put: Operation, key: str | None, edition: int = 0) -> Operation:
    return replace(put, planned=replace(put.planned, request_key=key, edition=edition))


def turned_away(started: int, ended: int, key: str, edition: int = 0) -> Operation:
    refused = operation(PUT, started, ended, REFUSED, Reported(Reason.REQUEST_REFUSED))
    return by_request(refused, key, edition)


def superseded(started: int, ended: int, ask_number: int) -> Operation:
    return operation(CLAIM, started, ended, REFUSED, Reported(Reason.SUPERSEDED), key="z", ask_number=ask_number)


def won_before(started: int, ended: int, key: str, ask_number: int) -> Operation:
    return replace(again(started, ended, key, ask_number), reported=Reported(ask_number=ask_number))


def claim(started: int, ended: int, key: str = "a", ask_number: int | None = None, won: int = 1) -> Operation:
    return operation(CLAIM, started, ended, reported=Reported(ask_number=won), key=key, ask_number=ask_number)


def again(started: int, ended: int, key: str = "a", ask_number: int | None = None) -> Operation:
    return operation(CLAIM, started, ended, REPEATED, key=key, ask_number=ask_number)


def lost(started: int, ended: int, answer: str | None = "yes", key: str = "b", ask: int | None = None) -> Operation:
    reported = Reported(Reason.ALREADY_ANSWERED, answer=answer)
    return operation(CLAIM, started, ended, REFUSED, reported, key=key, value="no", ask_number=ask)


def expired(started: int, ended: int, key: str = "c", ask_number: int | None = None) -> Operation:
    reported = Reported(Reason.UNKNOWN_OR_EXPIRED)
    return operation(CLAIM, started, ended, REFUSED, reported, key=key, ask_number=ask_number)


def delete(started: int, ended: int) -> Operation:
    return operation(DELETE, started, ended)


def nothing(started: int, ended: int) -> Operation:
    """A delete that found no row."""
    return operation(DELETE, started, ended, REFUSED, Reported(Reason.NO_SUCH_ROW))


def kept(started: int, ended: int, key: str | None = None) -> Operation:
    """A put that leaves an answered question alone, as each does whose key has asked it."""
    left = operation(PUT, started, ended, REFUSED, Reported(Reason.ALREADY_ANSWERED), keeps=key is None)
    return by_request(left, key)


def sweep(started: int, ended: int, at: datetime | None) -> Operation:
    return operation(SWEEP, started, ended, reported=Reported(at=at, ids=("x",)))


def unknown(kind: OperationKind, started: int, ended: int | None = None, key: str = "a") -> Operation:
    return operation(kind, started, ended, UNKNOWN, key=key)


def delivered(started: int, ended: int, ask_number: int = 1, value: str = "yes") -> Operation:
    return operation(DELIVER, started, ended, ask_number=ask_number, value=value)


def foreign(kind: OperationKind, started: int, ended: int, outcome: Outcome = REFUSED) -> Operation:
    return operation(kind, started, ended, outcome, scope=STRANGERS[0])


def row(key: str | None = None, ask_number: int = 1, value: str = "yes", *, undelivered: bool = False) -> Row:
    """The row at the end, unclaimed without a key."""
    if key is None:
        return Row("x", SCOPE, {}, None, ask_number, None, None)
    return Row("x", SCOPE, {}, NOON, ask_number, value, key, undelivered=undelivered)


ToldSo: TypeAlias = tuple[tuple[Operation, ...], Row | None]

CREATED = put(0, 10, "created", at=clock(0))
DISPLACED = (put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="l"))
ASKED_AGAIN = (CREATED, claim(10, 20), put(20, 30, "reopened", 2))
# By pairs: what has an order, and what is told a little differently and has none.
PAIRS: dict[str, tuple[RacedQuestion, ToldSo, ToldSo]] = {
    "nothing was done": (EXTRA, ((), None), ((), row())),
    "nothing was done to a counted question": (COUNTED, ((), row()), ((), None)),
    "a put creates, and a second one finds it": (
        EXTRA,
        ((CREATED, put(5, 15, "refreshed")), row()),
        ((CREATED, put(5, 15, "created")), row()),
    ),
    "a counted question is there before the first operation": (
        COUNTED,
        ((put(0, 10, "refreshed"),), row()),
        ((put(0, 10, "created"),), row()),
    ),
    "a claim wins after the put": (
        EXTRA,
        ((CREATED, claim(10, 20)), row("a")),
        ((CREATED, claim(10, 20)), row()),
    ),
    "a claim cannot win before the put": (
        EXTRA,
        ((put(20, 40, "created"), claim(10, 20)), row("a")),
        ((put(21, 40, "created"), claim(10, 20)), row("a")),
    ),
    "one of two claims wins": (
        COUNTED,
        ((claim(0, 10), lost(0, 10)), row("a")),
        ((claim(0, 10), claim(0, 10, "b")), row("a")),
    ),
    "a loser is told while the winner is under way": (
        COUNTED,
        ((claim(0, 10), lost(5, 6)), row("a")),
        ((claim(7, 10), lost(5, 6)), row("a")),
    ),
    "a loser is told the answer that stands": (
        COUNTED,
        ((claim(0, 10), lost(0, 10, "yes")), row("a")),
        ((claim(0, 10), lost(0, 10, "no")), row("a")),
    ),
    "the press that won does not lose": (
        COUNTED,
        ((claim(0, 10), again(20, 30)), row("a")),
        ((claim(0, 10), replace(lost(20, 30), planned=claim(0, 10).planned)), row("a")),
    ),
    "only the press that won is told so again": (
        COUNTED,
        ((claim(0, 10), again(20, 30, "a")), row("a")),
        ((claim(0, 10), again(20, 30, "b")), row("a")),
    ),
    "a win is told again after it was won": (
        COUNTED,
        ((claim(0, 10), again(10, 20)), row("a")),
        ((claim(11, 20), again(0, 10)), row("a")),
    ),
    "the row is what the last claim left": (
        COUNTED,
        ((claim(0, 10),), row("a")),
        ((claim(0, 10),), row("a", value="no")),
    ),
    "a question is asked again once it was answered": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((CREATED, put(20, 30, "reopened", 2)), row(ask_number=2)),
    ),
    "each asking has its own number": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 9), claim(30, 40, "b", won=9)), row("b", 9)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 1), claim(30, 40, "b", won=1)), row("b", 1)),
    ),
    "a winner is told which asking it won": (
        EXTRA,
        ((CREATED, claim(10, 20, won=1)), row("a")),
        ((CREATED, claim(10, 20, won=2)), row("a")),
    ),
    "a winner is told again which asking it won": (
        EXTRA,
        ((CREATED, claim(10, 20), replace(again(20, 30), reported=Reported(ask_number=1))), row("a")),
        ((CREATED, claim(10, 20), replace(again(20, 30), reported=Reported(ask_number=2))), row("a")),
    ),
    "the button of an asking that is over loses": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(30, 40, ask=1)), row(ask_number=2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), claim(30, 40, "b", 1)), row("b", 2)),
    ),
    "a click that lost to the asking before gets its answer": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(30, 40, "yes", ask=1)), row(ask_number=2)),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2), lost(31, 40, None, ask=1)), row(ask_number=2)),
    ),
    "the press that won the asking before is told so again": (
        EXTRA,
        ((*ASKED_AGAIN, won_before(30, 40, "a", 1)), row(ask_number=2)),
        ((*ASKED_AGAIN, won_before(30, 40, "b", 1)), row(ask_number=2)),
    ),
    "the button of an asking before that is superseded": (
        EXTRA,
        (
            (*ASKED_AGAIN, claim(30, 40, "b", won=2), put(40, 50, "reopened", 3), superseded(50, 60, 1)),
            row(ask_number=3),
        ),
        ((*ASKED_AGAIN, superseded(31, 40, 1)), row(ask_number=2)),
    ),
    "another edition supersedes an open question": (
        EXTRA,
        ((CREATED, put(10, 20, "superseded", 2, edition=1), superseded(30, 40, 1)), row(ask_number=2)),
        ((CREATED, put(10, 20, "refreshed", 1, edition=1)), row()),
    ),
    "the same edition under another key is another asking": (
        EXTRA,
        ((put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="l")), row(ask_number=2)),
        ((put(0, 10, "created", key="k"), put(10, 20, "refreshed", 1, key="l")), row()),
    ),
    "the same key again is a retry": (
        EXTRA,
        ((put(0, 10, "created", key="k"), put(10, 20, "refreshed", 1, key="k")), row()),
        ((put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="k")), row(ask_number=2)),
    ),
    "a put without a key leaves the key to a later one": (
        EXTRA,
        ((CREATED, put(10, 20, "refreshed", key="k"), put(20, 30, "superseded", 2, key="l")), row(ask_number=2)),
        ((CREATED, put(10, 20, "refreshed", key="k"), put(20, 30, "refreshed", key="l")), row()),
    ),
    "the same key with another edition is refused": (
        EXTRA,
        ((put(0, 10, "created", key="k"), turned_away(10, 20, "k", 1)), row()),
        ((put(0, 10, "created", key="k"), turned_away(10, 20, "l", 1)), row()),
    ),
    "a displaced key is refused": (
        EXTRA,
        (
            (put(0, 10, "created", key="k"), put(10, 20, "superseded", 2, key="l"), turned_away(20, 30, "k")),
            row(ask_number=2),
        ),
        (
            (
                put(0, 10, "created", key="k"),
                put(10, 20, "superseded", 2, key="l"),
                put(20, 30, "superseded", 3, key="k"),
            ),
            row(ask_number=3),
        ),
    ),
    "the key that has asked a question does not ask it again": (
        EXTRA,
        ((put(0, 10, "created", key="k"), claim(10, 20), kept(20, 30, "k")), row("a")),
        ((put(0, 10, "created", key="k"), claim(10, 20), put(20, 30, "reopened", 2, key="k")), row(ask_number=2)),
    ),
    "the number of an asking whose put was lost is what a later report says": (
        EXTRA,
        ((unknown(PUT, 0), claim(10, 20, won=5), lost(20, 30)), row("a", 5)),
        ((unknown(PUT, 0), claim(10, 20, won=5), lost(20, 30)), row("a", 6)),
    ),
    "the button of an asking that is to come is unknown": (
        EXTRA,
        ((CREATED, expired(10, 20, ask_number=2)), row()),
        ((CREATED, expired(11, 20, ask_number=1)), row()),
    ),
    "a put that keeps finds an answered question": (
        COUNTED,
        ((claim(0, 10), kept(5, 15)), row("a")),
        ((claim(16, 20), kept(5, 15)), row("a")),
    ),
    "a put that reopens is not turned away": (
        EXTRA,
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((CREATED, claim(10, 20), replace(kept(20, 30), planned=CREATED.planned)), row("a")),
    ),
    "a put of one's own is not told that it is another's": (
        EXTRA,
        ((CREATED,), row()),
        ((CREATED, replace(nothing(10, 20), planned=CREATED.planned, reported=Reported(Reason.OTHER_SCOPE))), row()),
    ),
    "a delete takes the row": (EXTRA, ((CREATED, delete(10, 20)), None), ((CREATED, delete(10, 20)), row())),
    "one of two deletes takes the row": (
        EXTRA,
        ((CREATED, delete(10, 20), nothing(10, 20)), None),
        ((CREATED, delete(10, 20), delete(10, 20)), None),
    ),
    "a delete that found nothing came before the put or after the other": (
        EXTRA,
        ((put(0, 30, "created"), nothing(10, 20)), row()),
        ((put(0, 5, "created"), nothing(10, 20)), row()),
    ),
    "no click wins after a delete": (
        EXTRA,
        ((CREATED, delete(10, 20), expired(21, 30)), None),
        ((CREATED, delete(10, 20), claim(21, 30)), None),
    ),
    "a click may win while the delete is under way": (
        EXTRA,
        ((CREATED, delete(10, 30), claim(15, 20)), None),
        ((CREATED, delete(10, 30), claim(15, 20)), row("a")),
    ),
    "a question lives again after a delete": (
        EXTRA,
        ((CREATED, claim(10, 20), delete(20, 30), put(30, 40, "created", 2)), row(ask_number=2)),
        ((CREATED, claim(10, 20), delete(20, 30), put(30, 40, "reopened", 2)), row(ask_number=2)),
    ),
    "a sweep takes what is stale": (
        EXTRA,
        ((CREATED, sweep(10, 20, clock(15.001))), None),
        ((CREATED, sweep(10, 20, clock(15))), None),
    ),
    "a refresh does not make a row younger": (
        EXTRA,
        ((CREATED, put(10, 20, "refreshed", at=clock(10)), sweep(20, 30, clock(20))), None),
        ((CREATED, delete(10, 15), put(15, 20, "created", at=clock(10)), sweep(20, 30, clock(20))), None),
    ),
    "a question that is asked again is young": (
        EXTRA,
        ((CREATED, sweep(20, 30, clock(20)), put(20, 30, "created", at=clock(18))), row()),
        ((CREATED, claim(10, 20), put(20, 30, "reopened", 2, clock(18)), sweep(31, 40, clock(20))), None),
    ),
    "the age of an answered question counts from its end": (
        EXTRA,
        ((CREATED, sweep(10, 20, clock(20)), put(15, 40, "created", 2), claim(15, 50, won=2)), row("a", 2)),
        ((CREATED, claim(10, 20), sweep(20, 30, clock(20))), None),
    ),
    "a sweep takes only what is there": (
        EXTRA,
        ((CREATED, delete(10, 30), put(15, 30, "created"), sweep(15, 30, clock(20))), None),
        ((CREATED, delete(10, 30), sweep(15, 30, clock(20))), None),
    ),
    "strangers change nothing": (
        COUNTED,
        ((foreign(CLAIM, 0, 10), foreign(DELETE, 0, 10), foreign(PUT, 0, 10)), row()),
        ((foreign(CLAIM, 0, 10),), row("a")),
    ),
    "strangers are refused": (
        COUNTED,
        ((foreign(DELETE, 0, 10, UNKNOWN),), row()),
        ((foreign(DELETE, 0, 10, OK),), None),
    ),
    "a stranger's win is none": (
        COUNTED,
        ((foreign(CLAIM, 0, 10, UNKNOWN), claim(0, 10)), row("a")),
        ((foreign(CLAIM, 0, 10, OK),), row("a")),
    ),
    "an unknown claim may have won": (
        COUNTED,
        ((unknown(CLAIM, 0, 10), again(20, 30)), row("a")),
        ((unknown(CLAIM, 21, 30), again(10, 20)), row("a")),
    ),
    "an unknown claim may take effect long after its end": (
        EXTRA,
        ((unknown(CLAIM, 0, 10), put(20, 30, "created"), lost(40, 50)), row("a")),
        ((unknown(CLAIM, 51), put(20, 30, "created"), lost(40, 50)), row("a")),
    ),
    "an unknown claim may never take effect": (
        COUNTED,
        ((unknown(CLAIM, 0, 10), claim(20, 30, "b")), row("b")),
        ((unknown(CLAIM, 0, 10), claim(20, 30, "b"), again(20, 30)), row("b")),
    ),
    "an unknown claim takes effect once": (
        EXTRA,
        ((unknown(CLAIM, 0), CREATED, put(20, 30, "reopened", 2)), row(ask_number=2)),
        ((unknown(CLAIM, 0), CREATED, put(20, 30, "reopened", 2), put(30, 40, "reopened", 3)), row(ask_number=3)),
    ),
    "an unknown put may take effect long after its end, when a refresh would have been due at once": (
        EXTRA,
        ((CREATED, unknown(PUT, 10, 15), delete(20, 30), claim(40, 50)), row("a")),
        ((CREATED, unknown(PUT, 51), delete(20, 30), claim(40, 50)), row("a")),
    ),
    "an unknown delete may take effect long after its start, when there was no row": (
        EXTRA,
        ((unknown(DELETE, 0), put(10, 20, "created"), put(30, 40, "created")), row()),
        ((unknown(DELETE, 0), put(10, 20, "created"), put(30, 40, "created"), put(50, 60, "created")), row()),
    ),
    "an unknown sweep may have taken a row however young": (
        EXTRA,
        ((CREATED, unknown(SWEEP, 0), expired(20, 30)), None),
        ((CREATED, unknown(SWEEP, 31), expired(20, 30)), None),
    ),
    "nobody knows the age of a row of an unknown put": (
        EXTRA,
        ((unknown(PUT, 0), sweep(20, 30, clock(-9_999))), None),
        ((CREATED, sweep(20, 30, clock(-9_999))), None),
    ),
    "what failed was never done": (
        COUNTED,
        ((operation(CLAIM, 0, 10, FAILED), claim(20, 30, "b")), row("b")),
        ((operation(CLAIM, 0, 10, FAILED), again(20, 30)), row("a")),
    ),
    "what ended before another began comes first": (
        EXTRA,
        ((put(0, 10, "created"), delete(10, 20), expired(15, 20)), None),
        ((put(0, 10, "created"), delete(22, 30), expired(15, 20)), None),
    ),
}


@pytest.mark.parametrize(("question", "lawful", "lawless"), PAIRS.values(), ids=PAIRS.keys())
def test_what_has_an_order_is_distinguished_from_what_has_none(
    question: RacedQuestion, lawful: ToldSo, lawless: ToldSo
) -> None:
    assert linearize(question, *lawful, STALE_AFTER).found
    refuted = linearize(question, *lawless, STALE_AFTER)
    assert (refuted.found, refuted.undecided) == (False, False)


@pytest.mark.parametrize(("question", "lawful", "lawless"), PAIRS.values(), ids=PAIRS.keys())
def test_the_pairs_are_right_by_the_slow_search_too(question: RacedQuestion, lawful: ToldSo, lawless: ToldSo) -> None:
    assert has_order(question, *lawful, STALE_AFTER)
    assert not has_order(question, *lawless, STALE_AFTER)


def test_without_an_age_a_sweep_may_take_any_row() -> None:
    assert linearize(EXTRA, (CREATED, sweep(10, 20, clock(1))), None, None).found
    undelivered = (CREATED, claim(10, 20), sweep(30, 40, clock(90)))
    assert linearize(DELIVERING, undelivered, None, None).found
    assert not linearize(DELIVERING, undelivered, None, STALE_AFTER).found


def test_the_order_in_which_operations_are_given_does_not_matter() -> None:
    operations = (CREATED, claim(10, 20), put(20, 30, "reopened", 2), delete(30, 40))

    assert all(linearize(EXTRA, each, None, STALE_AFTER).found for each in permutations(operations))


def test_what_stands_in_the_way_is_named() -> None:
    stray = claim(40, 50, "b")

    search = linearize(EXTRA, (CREATED, claim(10, 20), delete(20, 30), stray, nothing(60, 70)), None, STALE_AFTER)

    assert search.stuck == stray


def test_when_only_the_row_stands_in_the_way_no_operation_is_named() -> None:
    search = linearize(EXTRA, (CREATED, claim(10, 20)), None, STALE_AFTER)

    assert (search.found, search.undecided, search.stuck) == (False, False, None)


def test_a_search_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearization, "MOST_CONFIGURATIONS", 2)

    search = linearize(EXTRA, (CREATED, claim(10, 20), delete(20, 30)), None, STALE_AFTER)

    assert (search.found, search.undecided, search.stuck) == (False, True, None)


def test_a_crowd_of_clicks_is_searched_quickly() -> None:
    crowd = [lost(0, 1_000, key=f"b{number}") for number in range(300)]
    doubtful = [unknown(CLAIM, 0, key=f"u{number}") for number in range(30)]

    assert linearize(COUNTED, (*crowd, *doubtful, claim(0, 1_000)), row("a"), STALE_AFTER).found
    assert not linearize(COUNTED, (*crowd, *doubtful, again(0, 1_000, "z")), row("a"), STALE_AFTER).found


def test_what_was_tried_before_in_another_order_is_not_tried_again() -> None:
    # 25 million orders, and a few thousand configurations.
    doubtful = [unknown(kind, 0) for kind in (PUT, DELETE) for _ in range(7)]

    search = linearize(EXTRA, (*doubtful, again(0, 10)), None, STALE_AFTER)

    assert (search.found, search.undecided) == (False, False)


# The slow search: every subset of the unknown operations, in every order that the clock allows, on a table of rows.


class Held(TypedDict):
    """A row of the model. `created` is None where nobody was told, and `asking` where nobody was told yet."""

    asking: int | None
    answered: tuple[str | None, str | None] | None
    created: datetime | None
    undelivered: bool
    edition: int
    key: str | None
    displaced: list[str]
    before: tuple[int | None, tuple[str | None, str | None] | None] | None


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
        if is_sure and held["answered"] is not None:
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
        return _put(table, action, now)
    if action.kind is DELIVER:
        if held is None or not held["undelivered"] or held["asking"] not in (None, planned.ask_number):
            return REFUSED, Reported(Reason.LEASE_LOST)
        if held["answered"] is None or held["answered"][1] != planned.value:
            return REFUSED, Reported(Reason.LEASE_LOST)
        table["row"] = {**held, "undelivered": False, "asking": planned.ask_number}
        return OK, Reported()
    return _claim(table, action, now, delivers=delivers)


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
    if held["answered"] is not None and (not planned.reopens or held["undelivered"] or is_own):
        return REFUSED, Reported(Reason.ALREADY_ANSWERED)
    if held["answered"] is None and held["edition"] == planned.edition and (is_own or None in (key, held["key"])):
        table["row"] = {**held, "key": held["key"] or key, "asking": held["asking"] or number}
        return OK, Reported(put="refreshed", ask_number=held["asking"] or number)
    if held["answered"] is None and is_own:
        return REFUSED, Reported(Reason.REQUEST_REFUSED)
    if number is not None and held["asking"] is not None and number <= held["asking"]:
        return OK, Reported(put="never under a number of before")
    displaced = [*held["displaced"], *([held["key"]] if held["key"] is not None else [])]
    table["row"] = {**new, "displaced": displaced, "before": (held["asking"], held["answered"])}
    did = "superseded" if held["answered"] is None else "reopened"
    return OK, Reported(put=did, ask_number=number, at=now)


def _claim(table: Table, action: Operation, now: datetime | None, *, delivers: bool) -> tuple[Outcome, Reported]:
    held, planned = table.get("row"), action.planned
    if held is None:
        return REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
    press = (planned.delivery_key, planned.value)
    if planned.ask_number not in (None, held["asking"]):
        if held["asking"] is not None and planned.ask_number > held["asking"]:
            return REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
        if held["before"] is None or held["before"][0] != planned.ask_number or held["before"][1] is None:
            return REFUSED, Reported(Reason.SUPERSEDED)
        if held["before"][1] == press:
            return REPEATED, Reported(ask_number=planned.ask_number)
        return REFUSED, Reported(Reason.ALREADY_ANSWERED, "U1", held["before"][1][1])
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
    return held[0] in (None, left.ask_number) and held[1:] == (answered, left.undelivered)


def as_row(table: Table) -> tuple[int | None, tuple[str | None, str | None] | None, bool] | None:
    held = table.get("row")
    return None if held is None else (held["asking"], held["answered"], held["undelivered"])


@dataclass(frozen=True, slots=True)
class Made:
    """A history that was made up."""

    question: RacedQuestion
    operations: tuple[Operation, ...]
    row: Row | None


def made_from_an_order(random: Random) -> Made:
    """What operations are told that are carried out one after the other, each some time within its interval.

    Some of them are lost on the way, there or back: these took effect or not, and as late as they liked.
    """
    question = random.choice([EXTRA, DELIVERING, COUNTED])
    table: Table = {} if question.is_extra else {"row": NEVER_TOLD}
    operations: list[Operation] = []
    for place in range(random.randint(1, 6)):
        moment = place * 10
        started, ended = moment - random.randint(0, 25), moment + random.randint(0, 25)
        action = _planned(random, started, ended)
        fate = random.random()
        if fate < 0.1:
            operations.append(replace(action, outcome=random.choice([UNKNOWN, FAILED])))
            continue
        if action.kind is PUT:
            # Nobody presses the button of an asking whose number nobody was told.
            action = replace(action, reported=Reported(ask_number=moment + (11 if fate >= 0.25 else 15)))
        outcome, reported = carry_out(table, action, clock(moment), delivers=question.delivers)
        if action.kind is SWEEP and not reported.ids and fate >= 0.25:
            # A sweep that took nothing is not part of this question's history.
            continue
        if fate < 0.25:
            seen = random.choice([None, started, ended])
            operations.append(replace(action, outcome=UNKNOWN, reported=Reported(), ended_ns=seen))
            continue
        if action.kind is CLAIM and random.random() < 0.2:
            reported = replace(reported, ask_number=None)
        operations.append(replace(action, outcome=outcome, reported=reported))
    random.shuffle(operations)
    return Made(question, tuple(operations), _left(table))


def made_up(random: Random) -> Made:
    """Operations that were told anything at all that such an operation can be told."""
    question = random.choice([EXTRA, DELIVERING, COUNTED])
    operations = []
    for _ in range(random.randint(1, 6)):
        started = random.randint(0, 30)
        operations.append(_told_anything(random, _planned(random, started, started + random.randint(0, 15))))
    return Made(question, tuple(operations), _any_row(random))


def made_from_an_order_and_spoilt(random: Random) -> Made:
    """A true history in which one thing was changed, which may or may not matter."""
    made = made_from_an_order(random)
    if not made.operations or random.random() < 0.2:
        return replace(made, row=_any_row(random))
    place = random.randrange(len(made.operations))
    spoilt = made.operations[place]
    if random.random() < 0.5:
        spoilt = _told_anything(random, spoilt)
    else:
        started = random.randint(-20, 60)
        spoilt = replace(spoilt, started_ns=started, ended_ns=started + random.randint(0, 15))
    return replace(made, operations=(*made.operations[:place], spoilt, *made.operations[place + 1 :]))


MAKERS = (made_from_an_order, made_from_an_order_and_spoilt, made_up)


def _planned(random: Random, started: int, ended: int) -> Operation:
    kind = random.choice([PUT, PUT, CLAIM, CLAIM, CLAIM, DELETE, SWEEP, DELIVER])
    scope = SCOPE if kind in (SWEEP, DELIVER) or random.random() < 0.85 else random.choice(STRANGERS)
    planned = operation(
        kind,
        started,
        ended,
        key=random.choice("abc"),
        value=random.choice(["yes", "yes", "no"]),
        ask_number=random.choice([None, 1, 11, 21]),
        keeps=random.random() < 0.25,
        scope=scope,
    )
    if kind is not PUT:
        return planned
    return by_request(planned, random.choice([None, None, "k", "l"]), random.choice([0, 0, 1]))


def _told_anything(random: Random, action: Operation) -> Operation:
    asking = random.choice([None, 1, 1, 11, 21])
    at = clock(random.randint(0, 40))
    answer = random.choice([None, "yes", "yes", "no"])
    possible: dict[OperationKind, list[tuple[Outcome, Reported]]] = {
        PUT: [
            (OK, Reported(put="created", ask_number=asking, at=at)),
            (OK, Reported(put="refreshed", ask_number=asking)),
            (OK, Reported(put="reopened", ask_number=asking, at=at)),
            (OK, Reported(put="superseded", ask_number=asking, at=at)),
            (REFUSED, Reported(Reason.REQUEST_REFUSED)),
            (REFUSED, Reported(Reason.ALREADY_ANSWERED)),
            (REFUSED, Reported(Reason.OTHER_SCOPE)),
        ],
        CLAIM: [
            (OK, Reported(ask_number=asking)),
            (OK, Reported(ask_number=asking)),
            (REPEATED, Reported(ask_number=asking)),
            (REFUSED, Reported(Reason.ALREADY_ANSWERED, answer=answer)),
            (REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)),
            (REFUSED, Reported(Reason.NOT_YOURS)),
            (REFUSED, Reported(Reason.SUPERSEDED)),
        ],
        DELETE: [(OK, Reported()), (REFUSED, Reported(Reason.NO_SUCH_ROW)), (REFUSED, Reported(Reason.UNDELIVERED))],
        DELIVER: [(OK, Reported()), (REFUSED, Reported(Reason.LEASE_LOST))],
        SWEEP: [(OK, Reported(at=at, ids=("x",)))],
    }
    outcome, reported = random.choice([*possible[action.kind], (UNKNOWN, Reported())])
    if action.planned.scope != SCOPE and random.random() < 0.8:
        outcome, reported = REFUSED, Reported(Reason.OTHER_SCOPE if action.kind is PUT else Reason.UNKNOWN_OR_EXPIRED)
    return replace(action, outcome=outcome, reported=reported)


def _any_row(random: Random) -> Row | None:
    undelivered = random.random() < 0.5
    return random.choice([None, row(), row("a"), row("b", undelivered=undelivered), row(ask_number=11), row("c", 11)])


def _left(table: Table) -> Row | None:
    held = table.get("row")
    if held is None or held["answered"] is None:
        return None if held is None else row(ask_number=held["asking"] or 1)
    key, value = held["answered"]
    return row(key, held["asking"] or 1, value or "", undelivered=held["undelivered"])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.sampled_from(MAKERS), st.sampled_from([STALE_AFTER, None]))
def test_the_search_agrees_with_one_over_all_orders(
    random: Random, maker: Callable[[Random], Made], stale_after: timedelta | None
) -> None:
    made = maker(random)
    expected = has_order(made.question, made.operations, made.row, stale_after)

    search = linearize(made.question, made.operations, made.row, stale_after)

    event(f"has an order: {expected}")
    assert (search.found, search.undecided) == (expected, False)


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_really_happened_has_an_order(random: Random) -> None:
    made = made_from_an_order(random)

    assert linearize(made.question, made.operations, made.row, STALE_AFTER).found


@pytest.mark.parametrize("maker", MAKERS)
def test_the_search_agrees_on_histories_with_an_order_and_on_those_without(maker: Callable[[Random], Made]) -> None:
    verdicts: Counter[bool] = Counter()
    disagreed: list[int] = []
    for seed in range(2_000):
        made = maker(Random(seed))
        expected = has_order(made.question, made.operations, made.row, STALE_AFTER)
        verdicts[expected] += 1
        if linearize(made.question, made.operations, made.row, STALE_AFTER).found is not expected:
            disagreed.append(seed)

    assert disagreed == []
    assert verdicts[True] >= 50
    assert verdicts[False] == 0 if maker is made_from_an_order else verdicts[False] >= 50
