"""How large a race on streams is, what its pods do in which round, and what goes wrong. Pure: a seed fixes it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from ...errors import InvalidInput
from ..limits.plan import LIMIT_IMPLEMENTATIONS
from ..plan.settings import MAX_PODS

MAX_ROUNDS = 10_000
MAX_APPENDS = 1_000


class StreamFaultKind(StrEnum):
    """What goes wrong."""

    KILL = "kill"
    CUT_LISTEN = "cut-listen"
    DROP_WAKE_UPS = "drop-wake-ups"
    RESTART = "restart"
    TURN = "turn"
    LOCK = "lock"
    LONG_TRANSACTION = "long-transaction"
    CLOCK_BACK = "clock-back"


# These last for the whole race; the others strike in each round that is theirs.
LASTING = frozenset({StreamFaultKind.DROP_WAKE_UPS, StreamFaultKind.LONG_TRANSACTION})
# A turn removes events, also those of others; a restart stops them.
NEED_AN_OWN_SERVER = frozenset({StreamFaultKind.RESTART, StreamFaultKind.TURN})

# What can be raced; `controls.streams_for` builds each of them, and the limits' part its own. The first is the
# product's own.
STREAM_IMPLEMENTATIONS = (
    "correct",
    "max-plus-one",
    "serial-cursor",
    "read-before-register",
    "drop-when-full",
    "no-generation",
    "no-organization",
    "notify-in-advance",
    "notify-only",
    "turn-without-truncating-next",
    "retry-without-expected",
    "end-in-memory",
    "batch-waits",
    *LIMIT_IMPLEMENTATIONS,
)

# To these all pods append, in both organizations, where they have the same names.
SHARED = ("s0", "s1", "s2")
# One stream that is closed in the second round, one that is deleted and made again then, while it is appended to, and
# one that is deleted in the last round.
CLOSED, REMADE, DELETED = "closed", "remade", "deleted"
ENDED_IN_ROUND = 1


@dataclass(frozen=True, slots=True)
class StreamRaceSettings:
    """How large a race on streams is. Raises InvalidInput for what cannot be raced.

    So many pods write, and so many others read; in each round each writing pod makes so many appends.
    """

    pods: int
    rounds: int
    appends: int
    seed: int
    implementation: str = "correct"
    faults: tuple[StreamFaultKind, ...] = ()

    def __post_init__(self) -> None:
        for number, name, least, most in (
            (self.pods, "number of pods", 2, MAX_PODS // 2),
            (self.rounds, "number of rounds", 3, MAX_ROUNDS),
            (self.appends, "number of appends", 1, MAX_APPENDS),
        ):
            if not least <= number <= most:
                raise InvalidInput(f"the {name} is {number}; it must be between {least} and {most:,}")
        if self.implementation not in STREAM_IMPLEMENTATIONS:
            raise InvalidInput(
                f"no implementation {self.implementation!r} of streams; there are: {', '.join(STREAM_IMPLEMENTATIONS)}"
            )


@dataclass(frozen=True, slots=True)
class PlannedAppend:
    """An append that a pod makes; `streams` are one, or several that go together or in one transaction.

    `events` are for each of them. One that is `expected` is made twice, as by a writer that has not heard the first
    reply.
    """

    name: str
    way: str
    streams: tuple[str, ...]
    events: int


def streams_of(settings: StreamRaceSettings, organizations: tuple[str, str]) -> tuple[str, ...]:
    """Return all streams of a race: those that are shared are in both organizations."""
    own = [*SHARED, CLOSED, REMADE, DELETED, *(own_stream(pod) for pod in range(settings.pods))]
    return (
        *(f"{organizations[0]}/{name}" for name in own),
        *(f"{organizations[1]}/{name}" for name in SHARED),
    )


def own_stream(pod: int) -> str:
    """Return the name of the stream to which this pod alone appends, from a position that it expects."""
    return f"own{pod}"


def locked_stream(organizations: tuple[str, str]) -> str:
    """Return the stream that is locked: the one that transactions take first, so that they hold up no other."""
    return min(f"{organization}/{name}" for organization in organizations for name in SHARED)


def plan_round(
    settings: StreamRaceSettings, organizations: tuple[str, str], pod: int, round_number: int
) -> list[PlannedAppend]:
    """Return what a writing pod appends in a round, in order; it makes some of them at a time."""
    random = Random(f"{settings.seed}/{pod}/{round_number}")
    shared = [f"{organization}/{name}" for organization in organizations for name in SHARED]
    planned = [
        PlannedAppend(
            f"p{pod}.r{round_number}.all",
            "together",
            tuple(f"{organizations[1]}/{name}" for name in SHARED),
            1,
        )
    ]
    for number in range(settings.appends):
        name = f"p{pod}.r{round_number}.{number}"
        way = random.choices(("alone", "together", "transaction", "rolled_back"), (5, 2, 3, 1))[0]
        many = way in ("together", "transaction")
        # In one order: two transactions do not wait for each other.
        chosen = tuple(sorted(random.sample(shared, 2 if many else 1)))
        planned.append(PlannedAppend(name, way, chosen, random.choice((1, 1, 2, 5))))
    own = f"{organizations[0]}/{own_stream(pod)}"
    planned.append(PlannedAppend(f"p{pod}.r{round_number}.own", "expected", (own,), random.choice((1, 2))))
    for name in (CLOSED, REMADE, DELETED) if round_number < settings.rounds - 1 else (CLOSED, REMADE):
        planned.append(PlannedAppend(f"p{pod}.r{round_number}.{name}", "alone", (f"{organizations[0]}/{name}",), 1))
    return planned
