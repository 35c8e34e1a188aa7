"""What the coordinator and its pods say to each other, one line at a time, over the pods' stdin and stdout.

The coordinator's first line is the orders; each further one is something to fire, or the word that an aimed operation
may go on. The end of its lines ends the pod, however the coordinator ended. A pod's line is a word and, after a space,
what belongs to it. What the pod did is not said here: it stands in its history file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from .plan import Names, RaceSettings
from .schedule import FaultKind, Moment

# The pod has its connections and waits, its wall clock follows / could not start, and why.
READY = b"ready"
CANNOT = b"cannot"
# All that an order told to fire has ended / an operation is about to be sent from a port / the pod ends in good order.
DONE = b"done"
AIMED = b"aimed"
ENDED = b"ended"

# The coordinator's word that the aimed operation may be sent.
GO = b"go\n"

# A line of the orders; the others are short.
MAX_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Orders:
    """What a pod is told at its start. The plan follows from settings and names.

    They travel through the pipe because the DSN may hold a password, which an argument or the environment of a
    process would show to others. `number` is the plan's number of the pod, which a pod's successor takes over.
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
class Fire:
    """Fire the pod's operations of one burst of some questions together: all, `only` one, or all `without` one.

    With `aim` the operation waits, right before it is sent, until it is told to go on; with `aim_delivery` the
    delivery of the answer that it wins waits at that moment. With `again` it is fired whoever's it is: its outcome is
    unknown, and it is asked again.
    """

    order: int
    labels: Sequence[str]
    burst: int = 0
    only: str | None = None
    without: str | None = None
    aim: bool = False
    again: bool = False
    aim_delivery: Moment | None = None


def encode_orders(orders: Orders) -> bytes:
    """Return the orders as one line."""
    return json.dumps(asdict(orders)).encode() + b"\n"


def decode_orders(line: bytes) -> Orders:
    """Return the orders that `encode_orders` wrote."""
    fields = json.loads(line)
    settings = fields.pop("settings")
    faults = tuple(map(FaultKind, settings.pop("faults")))
    return Orders(**fields | {"settings": RaceSettings(**settings, faults=faults), "names": Names(**fields["names"])})


def encode_fire(fire: Fire) -> bytes:
    """Return what is to be fired as one line."""
    # By hand: asdict copies all of it, for every question of a race.
    fields = (fire.order, fire.labels, fire.burst, fire.only, fire.without, fire.aim, fire.again, fire.aim_delivery)
    return json.dumps(fields).encode() + b"\n"


def decode_fire(line: bytes) -> Fire:
    """Return what `encode_fire` wrote."""
    fire = Fire(*json.loads(line))
    return replace(fire, aim_delivery=None if fire.aim_delivery is None else Moment(fire.aim_delivery))
