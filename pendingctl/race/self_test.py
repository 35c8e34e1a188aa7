"""The checker's own test: the correct implementation passes, and each negative control is caught by its check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from ..payload import JsonObject
from .plan.schedule import FaultKind
from .plan.settings import FIRST_WITH_DUTIES, RaceSettings
from .pods.controls import EXPECTED_CHECKS
from .verdict.checker import CheckResult, Verdict, Violation
from .verdict.report import RaceResult

# The faults without which a control would break no law.
_NEEDED: Mapping[str, tuple[FaultKind, ...]] = {
    "retry-with-new-key": (FaultKind.DISCONNECT,),
    "sweep-select-then-delete": (FaultKind.SWEEP,),
    "pod-clock": (FaultKind.SWEEP, FaultKind.SKEW),
    "deliver-from-memory": (FaultKind.KILL,),
    "mark-before-deliver": (FaultKind.KILL,),
    "no-lease-token": (FaultKind.PAUSE,),
    "one-pool-for-all": (FaultKind.LOCK,),
    "no-time-limit": (FaultKind.LOCK,),
    "trail-beside-the-claim": (FaultKind.KILL,),
    "append-beside-the-mark": (FaultKind.KILL,),
}
# These controls fail at questions that come first in a race.
_SHORT = frozenset(
    {
        "claim-ignores-deadline",
        "expire-by-select-then-update",
        "post-from-memory",
        "expire-without-delivery",
        "remind-without-lease",
    }
)
# The correct implementation is raced with these.
FAULTS = (FaultKind.DISCONNECT, FaultKind.SKEW, FaultKind.SWEEP, FaultKind.LOCK)

RaceOnce = Callable[[RaceSettings], Awaitable[RaceResult]]


class Raced(Protocol):
    """The result of one race of a self-test."""

    @property
    def implementation(self) -> str:
        """What was raced."""
        ...

    @property
    def seed(self) -> int:
        """With which seed."""
        ...

    @property
    def verdict(self) -> str:
        """Pass, fail or inconclusive."""
        ...

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """What each check found."""
        ...

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What all of them found."""
        ...

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it proves nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ControlResult:
    """With how many seeds a control was caught by the check that was made for it; `caught_by` counts all checks."""

    implementation: str
    expected_check: str
    seeds: int
    caught: int
    caught_by: dict[str, int]


@dataclass(frozen=True, slots=True)
class CorrectResult:
    """With how many seeds the correct implementation passed; `said` are violations and reasons where it did not."""

    seeds: int
    passed: int
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """Whether the checker can be trusted."""

    correct: CorrectResult
    controls: tuple[ControlResult, ...]

    @property
    def verdict(self) -> Verdict:
        """Pass when the correct implementation passed with every seed, and its check caught each control."""
        trusted = self.correct.passed == self.correct.seeds and all(control.caught for control in self.controls)
        return Verdict.PASS if trusted else Verdict.FAIL

    def to_json(self) -> JsonObject:
        """Return the result in the shape of `simulate-race --self-test -o json`."""
        fields: JsonObject = {"verdict": self.verdict.value, **asdict(self)}
        return fields


def races_of(settings: RaceSettings, seeds: int) -> list[RaceSettings]:
    """Return the races of a self-test: the correct implementation and each control, with the same seeds."""
    raced = [replace(settings, implementation="correct", faults=FAULTS)]
    raced += [
        replace(
            settings,
            implementation=name,
            faults=_NEEDED.get(name, ()),
            questions=min(settings.questions, FIRST_WITH_DUTIES) if name in _SHORT else settings.questions,
        )
        for name in EXPECTED_CHECKS
    ]
    return [replace(each, seed=settings.seed + number) for each in raced for number in range(seeds)]


async def self_test(
    race: RaceOnce, settings: RaceSettings, seeds: int, *, on_progress: Callable[[int], None] | None = None
) -> SelfTestResult:
    """Race the correct implementation and each control, with consecutive seeds from the settings' seed on.

    `race` runs one race; `on_progress` is called with the number of races of `races_of` that are done. Raises what
    `race` raises.
    """
    results: list[RaceResult] = []
    for each in races_of(settings, seeds):
        results.append(await race(each))
        if on_progress is not None:
            on_progress(len(results))
    return tested(results, EXPECTED_CHECKS, seeds)


def tested(results: Sequence[Raced], expected_checks: Mapping[str, str], seeds: int) -> SelfTestResult:
    """Return what a self-test has shown; `expected_checks` names the check that must find each control."""
    correct = [result for result in results if result.implementation == "correct"]
    return SelfTestResult(
        CorrectResult(
            seeds,
            sum(result.verdict == Verdict.PASS for result in correct),
            tuple(
                f"seed {result.seed}: {said}"
                for result in correct
                for said in (*(f"{each.law}: {each.detail}" for each in result.violations), *result.reasons)
            ),
        ),
        tuple(
            _control(name, check, [result for result in results if result.implementation == name])
            for name, check in expected_checks.items()
        ),
    )


def _control(name: str, expected_check: str, results: list[Raced]) -> ControlResult:
    caught_by = Counter(check.name for result in results for check in result.checks if check.verdict is Verdict.FAIL)
    return ControlResult(name, expected_check, len(results), caught_by[expected_check], dict(caught_by))
