"""What the coordinator and its pods write to each other, one line at a time, over the pods' stdin and stdout.

The coordinator's first line is the pod's assignment; each further one is an order, or permission for an aimed operation
to go on. A pod ends when these lines end, however the coordinator ended. A pod's line is a keyword and, after a space,
its argument. What the pod did is not reported here: it stands in the pod's history file.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from ..plan.operations import Names
from ..plan.schedule import FaultKind, Moment
from ..plan.settings import RaceSettings

# The pod has its connections and waits; its wall clock follows / it could not start, and why.
READY = b"ready"
CANNOT = b"cannot"
# Everything that an order asked for has ended / an operation is about to be sent from a port / the pod ends normally.
DONE = b"done"
AIMED = b"aimed"
ENDED = b"ended"
# A put has begun an asking of a question, which has drawn a number.
ASKED = b"asked"

# The coordinator's permission to send the aimed operation.
GO = b"go\n"

# A line with an assignment; the others are short.
MAX_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a pod receives at its start. The plan follows from settings and names.

    It travels through the pipe because the DSN may hold a password, which an argument or the environment of a process
    would show to others. `number` is the plan's number of the pod, which a pod's successor takes over.
    """

    dsn: str
    name: str
    number: int
    connections: int
    settings: RaceSettings
    names: Names
    history: str
    statement_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """Fire the pod's operations of one burst of some questions together: all, `only` one, or all `without` one.

    With `aim` the operation waits, right before it is sent, for permission to go on, and an asker before its last
    step; with `aim_delivery` the delivery of the answer that it wins waits at that moment. With `again` the pod fires
    it whichever pod it was planned for: its outcome is unknown, and it is tried once more. `askings` are each
    question's so far, with the number and the edition of each.
    """

    number: int
    labels: Sequence[str]
    burst: int = 0
    only: str | None = None
    without: str | None = None
    aim: bool = False
    again: bool = False
    aim_delivery: Moment | None = None
    askings: Sequence[Sequence[Sequence[int]]] = field(default_factory=list)


def encode_assignment(assignment: Assignment) -> bytes:
    """Return the assignment as one line."""
    return json.dumps(asdict(assignment)).encode() + b"\n"


def decode_assignment(line: bytes) -> Assignment:
    """Return the assignment that `encode_assignment` wrote."""
    fields = json.loads(line)
    settings = fields.pop("settings")
    faults = tuple(map(FaultKind, settings.pop("faults")))
    settings = RaceSettings(**settings, faults=faults)
    return Assignment(**fields | {"settings": settings, "names": Names(**fields["names"])})


def encode_order(order: Order) -> bytes:
    """Return the order as one line."""
    # By hand: asdict copies all of it, for every question of a race.
    fields = (
        order.number,
        order.labels,
        order.burst,
        order.only,
        order.without,
        order.aim,
        order.again,
        order.aim_delivery,
        order.askings,
    )
    return json.dumps(fields).encode() + b"\n"


def decode_order(line: bytes) -> Order:
    """Return the order that `encode_order` wrote."""
    order = Order(*json.loads(line))
    return replace(order, aim_delivery=None if order.aim_delivery is None else Moment(order.aim_delivery))


def report(keyword: bytes, argument: str = "") -> None:
    """Write a line of this pod to the coordinator."""
    os.write(sys.stdout.fileno(), keyword + b" " + argument.encode() + b"\n")
