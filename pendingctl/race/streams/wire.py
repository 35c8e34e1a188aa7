"""What the coordinator of a race on streams writes to its pods: an assignment, and then orders, a line each.

What the pods write back is as in any race, see `..pods.wire`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from .plan import StreamFaultKind, StreamRaceSettings

MODULE = "pendingctl.race.streams"


@dataclass(frozen=True, slots=True)
class StreamAssignment:
    """What a pod receives at its start; through the pipe, as the DSN may hold a password."""

    dsn: str
    name: str
    number: int
    settings: StreamRaceSettings
    organizations: tuple[str, str]
    history: str


class Do(StrEnum):
    """What a pod is to do.

    Append what the plan has for it in a round; read a stream for a reader, which goes on until it stops; close or
    delete a stream; or let the next wake-up, which follows a commit, wait for the end of the pod.
    """

    ROUND = "round"
    READ = "read"
    STOP = "stop"
    CLOSE = "close"
    DELETE = "delete"
    AIM = "aim"


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """An order; what it does not need is empty."""

    number: int
    do: Do
    round: int = 0
    reader: str = ""
    stream: str = ""
    after: str | None = None


def encode(message: StreamAssignment | StreamOrder) -> bytes:
    """Return an assignment or an order as one line."""
    return json.dumps(asdict(message)).encode() + b"\n"


def decode_assignment(line: bytes) -> StreamAssignment:
    """Return the assignment that `encode` wrote."""
    fields = json.loads(line)
    settings = fields["settings"]
    settings = StreamRaceSettings(**settings | {"faults": tuple(map(StreamFaultKind, settings["faults"]))})
    first, second = fields["organizations"]
    return StreamAssignment(**fields | {"settings": settings, "organizations": (first, second)})


def decode_order(line: bytes) -> StreamOrder:
    """Return the order that `encode` wrote."""
    fields = json.loads(line)
    return StreamOrder(**fields | {"do": Do(fields["do"])})
