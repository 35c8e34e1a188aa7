"""Which faults a race suffers, and when. Pure: a seed fixes their order, moments and places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    """What goes wrong."""

    KILL = "kill"
    PAUSE = "pause"
    DISCONNECT = "disconnect"
    BLACKHOLE = "blackhole"
    TERMINATE = "terminate"
    RESTART = "restart"
    FAILOVER = "failover"
    SKEW = "skew"
    SWEEP = "sweep"
    LOCK = "lock"
    SLOW_WORKER = "slow-worker"


class Moment(StrEnum):
    """How far a claim, the delivery of its answer, its asker, a post or an append has come when a fault strikes."""

    BEFORE_SENDING = "before sending"
    AFTER_SENDING = "after sending"
    AFTER_COMMIT = "after the commit, before the reply"
    BEFORE_DELIVERY = "between claim and delivery"
    BEFORE_MARK = "between delivery and its mark"
    ASKER_WAITS = "while an asker waits"
    ASKER_HAS_THE_ANSWER = "between an asker's answer and its mark"
    BEFORE_POST = "before a card is posted"
    AFTER_POST = "between the post of a card and its note"
    AFTER_APPEND = "between the append of an ending and its mark"


# These trouble one tenant, whose neighbours must not feel it.
TROUBLES = frozenset({FaultKind.LOCK, FaultKind.SLOW_WORKER})
# Their strikes at a claim happen in the proxy between pod and server; a terminate, a restart and a failover strike at
# claims that wait for a locked row.
STRUCK_IN_THE_PROXY = frozenset({FaultKind.KILL, FaultKind.PAUSE, FaultKind.DISCONNECT, FaultKind.BLACKHOLE})
# The claim is over, and the fault strikes at the delivery of its answer.
AT_A_DELIVERY = (Moment.BEFORE_DELIVERY, Moment.BEFORE_MARK)
# Somebody asks a question of its own and waits, and the fault strikes at that.
AT_AN_ASKER = (Moment.ASKER_WAITS, Moment.ASKER_HAS_THE_ANSWER)
# A pod posts the card of a question of its own, and the fault strikes at that.
AT_A_POST = (Moment.BEFORE_POST, Moment.AFTER_POST)
# Some pod appends how a question of its own has ended, and the fault strikes at that.
AT_AN_APPEND = (Moment.AFTER_APPEND,)
_AT_A_CLAIM = (Moment.BEFORE_SENDING, Moment.AFTER_SENDING, Moment.AFTER_COMMIT)
# These last from the first click to the last one.
LASTING = frozenset({FaultKind.SKEW, FaultKind.SWEEP})
# These need a server that the race can stop.
NEED_AN_OWN_SERVER = frozenset({FaultKind.RESTART, FaultKind.FAILOVER})

_MOMENTS: dict[FaultKind, tuple[Moment | None, ...]] = {
    FaultKind.KILL: (*_AT_A_CLAIM, *AT_A_DELIVERY, *AT_AN_ASKER, *AT_A_POST, *AT_AN_APPEND),
    FaultKind.PAUSE: (Moment.AFTER_SENDING, Moment.AFTER_COMMIT, *AT_A_DELIVERY, *AT_AN_ASKER),
    FaultKind.DISCONNECT: (*_AT_A_CLAIM, *AT_A_DELIVERY),
    FaultKind.BLACKHOLE: (Moment.AFTER_SENDING, Moment.AFTER_COMMIT),
    FaultKind.TERMINATE: (None, None),
    FaultKind.RESTART: (None, *AT_A_DELIVERY),
    FaultKind.FAILOVER: (None,),
    FaultKind.SKEW: (None,),
    FaultKind.SWEEP: (None,),
    FaultKind.LOCK: (None,),
    FaultKind.SLOW_WORKER: (None,),
}

# How long a pod has to deliver an answer before another pod may; a paused pod loses the lease.
LEASE = timedelta(seconds=2)
# The pods' connections have this in a race with pauses, and each pause is longer.
STATEMENT_TIMEOUT_MS = 1_000

LEAST_SKEW_HOURS = 2
MOST_SKEW_HOURS = 72


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault; `position` is where in the race it strikes, from 0 to 1."""

    number: int
    kind: FaultKind
    moment: Moment | None
    position: float


def schedule_faults(kinds: Sequence[FaultKind], seed: int) -> list[PlannedFault]:
    """Return the faults of a race in the order in which they strike, one at each moment of each kind."""
    random = Random(f"{seed}/faults")
    struck = [(kind, moment) for kind in FaultKind if kind in kinds for moment in _MOMENTS[kind]]
    random.shuffle(struck)
    # The lasting ones first; the others evenly spread, each moved a little from its place.
    struck.sort(key=lambda each: each[0] not in LASTING)
    sudden = sum(kind not in LASTING for kind, _ in struck)
    planned: list[PlannedFault] = []
    place = 0
    for number, (kind, moment) in enumerate(struck):
        position = 0.0
        if kind not in LASTING:
            position = (place + random.uniform(0.1, 0.9)) / sudden
            place += 1
        planned.append(PlannedFault(number, kind, moment, position))
    return planned


def skew_hours(pod: int, seed: int) -> float:
    """Return by how many hours a pod's clock is wrong: of two neighbours one is fast and the other slow."""
    hours = Random(f"{seed}/skew/{pod}").uniform(LEAST_SKEW_HOURS, MOST_SKEW_HOURS)
    return hours if pod % 2 == 0 else -hours
