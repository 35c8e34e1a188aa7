"""What the coordinator and its pods say to each other, one line at a time, over the pods' stdin and stdout.

The coordinator's first line is the orders, and each further one the number of a question to fire at now. The
end of its lines ends the pod, however the coordinator ended. A pod's line is a word and, after a space, JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from .history import HandOver, Operation, decode_operation, encode_operation
from .plan import Names, RaceSettings

# The pod has its connections and waits for questions / could not start, and why.
READY = b"ready"
CANNOT = b"cannot"
# All clicks at one question have ended / an answer was handed over / everything has been told.
DONE = b"done"
HANDED = b"handed"
ENDED = b"ended"

# A line carries all clicks of one pod at one question.
MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Orders:
    """What a pod is told at its start. The plan follows from settings and names.

    They travel through the pipe because the DSN may hold a password, which an argument or the environment of a
    process would show to others.
    """

    dsn: str
    name: str
    number: int
    connections: int
    settings: RaceSettings
    names: Names


@dataclass(frozen=True, slots=True)
class QuestionDone:
    """What one pod did at one question."""

    question: int
    operations: tuple[Operation, ...]


def encode_orders(orders: Orders) -> bytes:
    """Return the orders as one line."""
    return json.dumps(asdict(orders)).encode() + b"\n"


def decode_orders(line: bytes) -> Orders:
    """Return the orders that `encode_orders` wrote."""
    fields = json.loads(line)
    settings, names = RaceSettings(**fields.pop("settings")), Names(**fields.pop("names"))
    return Orders(**fields, settings=settings, names=names)


def encode_done(done: QuestionDone) -> bytes:
    """Return a pod's line about one question."""
    operations = json.dumps([encode_operation(operation) for operation in done.operations])
    return b"%s %d %s\n" % (DONE, done.question, operations.encode())


def decode_done(said: bytes) -> QuestionDone:
    """Return what `encode_done` wrote, its word taken off."""
    number, _, operations = said.partition(b" ")
    return QuestionDone(int(number), tuple(decode_operation(record) for record in json.loads(operations)))


def encode_hand_over(handed: HandOver) -> bytes:
    """Return a pod's line about an answer."""
    return b"%s %s\n" % (HANDED, json.dumps(asdict(handed)).encode())


def decode_hand_over(said: bytes) -> HandOver:
    """Return what `encode_hand_over` wrote, its word taken off."""
    return HandOver(**json.loads(said))
