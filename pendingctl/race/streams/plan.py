"""How large a race on streams is, what its pods do in which round, and what goes wrong. Pure: a seed fixes it."""

from __future__ import annotations

from collections.abc import Sequence
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
    DRAIN = "drain"
    STORM = "storm"
    STALL = "stall"
    CUT_LISTEN = "cut-listen"
    STOP_LISTEN = "stop-listen"
    POOLER = "pooler"
    DROP_WAKE_UPS = "drop-wake-ups"
    RESTART = "restart"
    FAILOVER = "failover"
    TURN = "turn"
    TURN_WHILE_WAITING = "turn-while-waiting"
    TURN_DURING_REPLAY = "turn-during-replay"
    BACKUP = "backup"
    LOCK = "lock"
    LONG_APPEND = "long-append"
    LONG_TRANSACTION = "long-transaction"
    REMAKE = "remake"
    CLOCK_BACK = "clock-back"


# These last for the whole race; the others strike in each round that is theirs.
LASTING = frozenset({StreamFaultKind.POOLER, StreamFaultKind.DROP_WAKE_UPS, StreamFaultKind.LONG_TRANSACTION})
# There is one standby; and who has found that it hears nothing listens no more for half a minute.
_ONCE = (StreamFaultKind.FAILOVER, StreamFaultKind.STOP_LISTEN)
TURNING = frozenset({StreamFaultKind.TURN, StreamFaultKind.TURN_WHILE_WAITING, StreamFaultKind.TURN_DURING_REPLAY})
# By these it surely leaves readers behind, which are then told of a gap.
LEAVING_BEHIND = frozenset({StreamFaultKind.TURN, StreamFaultKind.TURN_DURING_REPLAY})
# A turn removes events, also those of others, who are stopped by a restart and a failover; a backup stops the ring.
NEED_AN_OWN_SERVER = TURNING | {StreamFaultKind.RESTART, StreamFaultKind.FAILOVER, StreamFaultKind.BACKUP}
# While these last, one stream is locked, and whoever appends to others is not to feel it.
LOCKING = frozenset({StreamFaultKind.LOCK, StreamFaultKind.LONG_APPEND})
# While these last nobody else is to feel anything.
HARMLESS = frozenset({StreamFaultKind.STALL, StreamFaultKind.BACKUP, StreamFaultKind.LONG_TRANSACTION})

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
    "xmin-cursor",
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

    So many pods write, and so many others read; in each round each writing pod makes so many appends. Each fault has a
    round of its own, after the first one, in which nothing goes wrong.
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
        if self.rounds < (needed := rounds_for(self.faults)):
            raise InvalidInput(
                f"the number of rounds is {self.rounds}; so many faults need {needed}, one each and one without"
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


def pressed_streams(organizations: tuple[str, str]) -> tuple[str, ...]:
    """Return the streams to which pods append all the while that a fault strikes."""
    return tuple(f"{organizations[0]}/{name}" for name in (*SHARED, REMADE))


def pressed_together(organizations: tuple[str, str]) -> tuple[str, ...]:
    """Return the streams to which they append in one commit meanwhile, of which one may be locked."""
    return tuple(f"{organizations[1]}/{name}" for name in SHARED)


def rounds_for(faults: Sequence[StreamFaultKind]) -> int:
    """Return how many rounds these faults need: one each, after one in which nothing goes wrong."""
    return 1 + sum(kind not in LASTING for kind in faults)


def schedule_stream_faults(settings: StreamRaceSettings) -> list[StreamFaultKind | None]:
    """Return the fault of each round: none in the first, then each in turn, in an order that the seed fixes."""
    random = Random(f"{settings.seed}/faults")
    sudden = [kind for kind in settings.faults if kind not in LASTING]
    many = [kind for kind in sudden if kind not in _ONCE]
    random.shuffle(many)
    failover, stop_listen = ([kind] if kind in sudden else [] for kind in _ONCE)
    places = settings.rounds - 1 - len(failover) - len(stop_listen)
    struck: list[StreamFaultKind | None] = [many[place % len(many)] if many else None for place in range(places)]
    middle = random.randint(0, places)
    # After its silence there may be nobody left to be cut.
    return [None, *struck[:middle], *failover, *struck[middle:], *stop_listen]


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
            pressed_together(organizations),
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
