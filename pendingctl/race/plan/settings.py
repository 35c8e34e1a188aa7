"""How large a race is, what is raced and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidInput
from ...model import Outcome
from ...payload import check_id
from .schedule import LASTING, FaultKind, schedule_faults

# What can be raced; `controls.store_for` builds each of them. The first is the product's own store.
IMPLEMENTATIONS = (
    "correct",
    "select-then-update",
    "no-organization",
    "no-user",
    "no-application",
    "claim-then-authorize",
    "retry-with-new-key",
    "put-takes-over",
    "sweep-select-then-delete",
    "pod-clock",
    "deliver-from-memory",
    "mark-before-deliver",
    "no-lease-token",
    "refresh-under-a-card",
    "options-from-memory",
    "ask-number-restarts",
    "forget-old-cards",
    "lease-everything",
    "mark-before-print",
    "one-pool-for-all",
    "no-time-limit",
    "claim-ignores-deadline",
    "expire-by-select-then-update",
    "post-from-memory",
    "expire-without-delivery",
    "remind-without-lease",
    "trail-beside-the-claim",
    "append-beside-the-mark",
)

MAX_PODS = 64
MAX_CLICKS = 1_000
MAX_QUESTIONS = 1_000_000
MAX_DURATION_SECONDS = 24 * 3600.0

# The first questions, and one in 100 after them, come with an extra one that is also deleted, asked again and, with a
# sweeper, swept. A race with a sweeper has more of them.
FIRST_WITH_MORE = 4
EXTRA_EVERY = 100
# And with one that lives in time: the first of each kind that there is.
FIRST_WITH_DUTIES = 10
EXTRA_EVERY_WITH_SWEEPS = 2


@dataclass(frozen=True, slots=True)
class RaceSettings:
    """How large a race is, what is raced and what goes wrong. Raises InvalidInput for what cannot be raced.

    `questions` is the number of questions; with `duration_seconds` it is the limit. `organization_id` names an existing
    organization to race in; None means one of the race's own.
    """

    pods: int
    questions: int
    clicks: int
    seed: int
    implementation: str = "correct"
    organization_id: str | None = None
    faults: tuple[FaultKind, ...] = ()
    duration_seconds: float | None = None

    def __post_init__(self) -> None:
        for number, name, most in (
            (self.pods, "number of pods", MAX_PODS),
            (self.questions, "number of questions", MAX_QUESTIONS),
            (self.clicks, "number of clicks a question", MAX_CLICKS),
        ):
            if not 1 <= number <= most:
                raise InvalidInput(f"the {name} is {number}; it must be between 1 and {most:,}")
        if self.implementation not in IMPLEMENTATIONS:
            raise InvalidInput(f"no implementation {self.implementation!r}; there are: {', '.join(IMPLEMENTATIONS)}")
        if self.organization_id is not None:
            check_id(self.organization_id, "organization_id")
        if self.duration_seconds is not None and not 0 < self.duration_seconds <= MAX_DURATION_SECONDS:
            raise InvalidInput(f"the duration must be above zero and at most {MAX_DURATION_SECONDS:,.0f} seconds")
        sudden = sum(fault.kind not in LASTING for fault in schedule_faults(self.faults, self.seed))
        if sudden > self.questions:
            raise InvalidInput(
                f"these faults strike {sudden} times, each at a question; race with at least so many questions"
            )

    def has_extra(self, number: int) -> bool:
        """Whether an extra question accompanies the one of this number."""
        every = EXTRA_EVERY_WITH_SWEEPS if FaultKind.SWEEP in self.faults else EXTRA_EVERY
        return number < FIRST_WITH_MORE or number % every == 0

    def has_more(self, number: int) -> bool:
        """Whether beside the question of this number somebody asks one and waits, and a pod posts the card of one."""
        return number < FIRST_WITH_MORE or number % EXTRA_EVERY == 0

    def has_duties(self, number: int) -> bool:
        """Whether beside the question of this number one is asked that has a deadline, reminders or a card to post."""
        return number < FIRST_WITH_DUTIES or number % EXTRA_EVERY == 0

    @property
    def heard(self) -> frozenset[Outcome]:
        """The endings of which the race's worker hears: all of them.

        But with a sweeper it hears of none that has expired, since what is stale would then expire, and not be swept.
        """
        return frozenset(Outcome) - ({Outcome.EXPIRED} if FaultKind.SWEEP in self.faults else set())
