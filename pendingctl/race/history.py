"""What happened in a race, as records that travel between processes as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..model import Click, JsonObject, Scope
from .plan import ClickKind


class Outcome(StrEnum):
    """How a click ended.

    `failed` was surely not applied. `unknown` may have been: the connection was lost, or the pod.
    """

    WON = "won"
    REPEATED = "repeated"
    ALREADY_ANSWERED = "already_answered"
    NOT_YOURS = "not_yours"
    UNKNOWN_OR_EXPIRED = "unknown_or_expired"
    CANNOT_SERVE = "cannot_serve"
    FAILED = "failed"
    UNKNOWN = "unknown"


# The click was told a verdict; the others ended without one.
DECIDED = frozenset(
    {Outcome.WON, Outcome.REPEATED, Outcome.ALREADY_ANSWERED, Outcome.NOT_YOURS, Outcome.UNKNOWN_OR_EXPIRED}
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the store told a click besides its outcome: of the answer that stands, and to a winner the payload."""

    answered_by: str | None = None
    answer: str | None = None
    claimed_at: datetime | None = None
    payload: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One click as a pod fired it.

    Times are nanoseconds of the monotonic clock, which all processes of a machine share, around the store's
    claim; `ended_ns` is None for a click whose end nobody saw. `reply` is the kind of the bridge's reply, and
    `detail` the message of the error, if one there was.
    """

    pod: str
    number: int
    kind: ClickKind
    click: Click
    started_ns: int
    ended_ns: int | None
    outcome: Outcome
    told: Told = Told()
    reply: str | None = None
    detail: str = ""

    @property
    def took_ms(self) -> float | None:
        """The claim's latency."""
        return None if self.ended_ns is None else (self.ended_ns - self.started_ns) / 1e6


@dataclass(frozen=True, slots=True)
class HandOver:
    """One answer as a pod's bridge handed it to the answer handler."""

    pod: str
    question_id: str
    ask_number: int
    value: str | None
    user_id: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was stored before the race."""

    id: str
    scope: Scope
    payload: JsonObject
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Row:
    """A question's row as it stands after the race."""

    id: str
    scope: Scope
    payload: JsonObject
    claimed_at: datetime | None
    ask_number: int
    answer: str | None
    delivery_key: str | None


@dataclass(frozen=True, slots=True)
class History:
    """Everything that the checker knows of a run.

    `ended_pods` are the pods that ended in good order, so that all their hand-overs are known. `left_behind`
    names what the clean-up did not remove.
    """

    asked: tuple[Asked, ...]
    operations: tuple[Operation, ...]
    hand_overs: tuple[HandOver, ...]
    rows: tuple[Row, ...]
    ended_pods: frozenset[str] = frozenset()
    left_behind: tuple[str, ...] = ()


def encode_operation(operation: Operation) -> dict[str, Any]:
    """Return an operation as an object that JSON can hold; `decode_operation` reads it."""
    click, told = operation.click, operation.told
    return {
        "pod": operation.pod,
        "number": operation.number,
        "kind": operation.kind,
        "question_id": click.question_id,
        "ask_number": click.ask_number,
        "organization_id": click.organization_id,
        "connection_id": click.connection_id,
        "user_id": click.user_id,
        "delivery_key": click.delivery_key,
        "value": click.value,
        "started_ns": operation.started_ns,
        "ended_ns": operation.ended_ns,
        "outcome": operation.outcome,
        "answered_by": told.answered_by,
        "answer": told.answer,
        "claimed_at": None if told.claimed_at is None else told.claimed_at.isoformat(),
        "payload": told.payload,
        "reply": operation.reply,
        "detail": operation.detail,
    }


def decode_operation(record: dict[str, Any]) -> Operation:
    """Return the operation that `encode_operation` wrote; raises KeyError or ValueError for anything else."""
    claimed_at = record["claimed_at"]
    return Operation(
        pod=record["pod"],
        number=record["number"],
        kind=ClickKind(record["kind"]),
        click=Click(
            record["question_id"],
            record["organization_id"],
            record["connection_id"],
            record["user_id"],
            record["delivery_key"],
            record["value"],
            record["ask_number"],
        ),
        started_ns=record["started_ns"],
        ended_ns=record["ended_ns"],
        outcome=Outcome(record["outcome"]),
        told=Told(
            record["answered_by"],
            record["answer"],
            None if claimed_at is None else datetime.fromisoformat(claimed_at),
            record["payload"],
        ),
        reply=record["reply"],
        detail=record["detail"],
    )
