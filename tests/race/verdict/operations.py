"""Operations on one question, and the row that they leave, as a test writes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pendingctl.model import Scope
from pendingctl.race.history.history import Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.operations import OperationKind, PlannedOperation

SCOPE = Scope("acme", "slack", "U1")
STRANGERS = (Scope("globex", "slack", "U1"), Scope("acme", "teams", "U1"), Scope("acme", "slack", "U2"))
EXTRA = RacedQuestion("x", SCOPE, {}, "C", is_extra=True)
COUNTED = RacedQuestion("q", SCOPE, {}, "C", ask_number=1)
# Answers that the pods deliver, rather than whoever claims.
DELIVERING = replace(EXTRA, delivers=True)
STALE_AFTER = timedelta(seconds=15)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

PUT, CLAIM, DELETE, SWEEP, DELIVER, _, WITHDRAW = OperationKind
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
