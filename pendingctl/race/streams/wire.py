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
    listen_dsn: str | None = None


class Do(StrEnum):
    """What a pod is to do.

    Append what the plan has for it in a round, or, between press and ease, all the while; read a stream for a reader,
    which goes on until it stops, and between stall and take takes nothing; close or delete a stream; let the next
    wake-up, which follows a commit, wait for the end of the pod; or drain.
    """

    ROUND = "round"
    READ = "read"
    STOP = "stop"
    CLOSE = "close"
    DELETE = "delete"
    AIM = "aim"
    PRESS = "press"
    EASE = "ease"
    STALL = "stall"
    TAKE = "take"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """An order; what it does not need is empty.

    `events` are in each append of a press. A reader with `stalls_after` stalls when it has got so many items.
    """

    number: int
    do: Do
    round: int = 0
    reader: str = ""
    stream: str = ""
    after: str | None = None
    events: int = 1
    stalls_after: int | None = None


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
