"""A race's result: the verdict, what was counted and how long the claims took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil

from ..model import JsonObject
from .checker import Judgement, Violation
from .history import Operation, Outcome
from .plan import RaceSettings


@dataclass(frozen=True, slots=True)
class PodTally:
    """What one pod did: the clicks that it fired and those that won."""

    name: str
    clicks: int
    wins: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Claim latencies in milliseconds, by nearest rank; None when no claim ended."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What a race showed. `winners` is the number of questions won, `contended` of those really fought for.

    `reasons` say why an inconclusive run proves nothing. Rates are over the time in which clicks were fired.
    """

    verdict: str
    violations: tuple[Violation, ...]
    reasons: tuple[str, ...]
    questions: int
    clicks: int
    winners: int
    contended: int
    seed: int
    implementation: str
    pods: tuple[PodTally, ...]
    outcomes: dict[str, int]
    latency_ms: Latency
    attempts_per_second: float
    wins_per_second: float
    duration_seconds: float

    def to_json(self) -> JsonObject:
        """Return the result in the shape of `simulate-race -o json`."""
        fields: JsonObject = asdict(self)
        return fields


def summarize(
    settings: RaceSettings,
    judgement: Judgement,
    operations: Sequence[Operation],
    pods: Sequence[str],
    fired_for_seconds: float,
) -> RaceResult:
    """Return the result of a run whose clicks took `fired_for_seconds` in all."""
    wins = [operation for operation in operations if operation.outcome is Outcome.WON]
    winners = len({operation.click.question_id for operation in wins})
    clicks_by_pod = Counter(operation.pod for operation in operations)
    wins_by_pod = Counter(operation.pod for operation in wins)
    outcomes = Counter(operation.outcome for operation in operations)
    ended = [took for operation in operations if (took := operation.took_ms) is not None]
    return RaceResult(
        verdict=judgement.verdict,
        violations=judgement.violations,
        reasons=judgement.reasons,
        questions=settings.questions,
        clicks=len(operations),
        winners=winners,
        contended=judgement.contended,
        seed=settings.seed,
        implementation=settings.implementation,
        pods=tuple(PodTally(name, clicks_by_pod[name], wins_by_pod[name]) for name in pods),
        outcomes={outcome.value: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        latency_ms=measure(ended),
        attempts_per_second=_rate(len(ended), fired_for_seconds),
        wins_per_second=_rate(winners, fired_for_seconds),
        duration_seconds=round(fired_for_seconds, 3),
    )


def measure(latencies_ms: Sequence[float]) -> Latency:
    """Return the percentiles by nearest rank, rounded to microseconds."""
    ordered = sorted(latencies_ms)
    if not ordered:
        return Latency(None, None, None, None)
    ranked = [round(ordered[ceil(len(ordered) * rank) - 1], 3) for rank in (0.5, 0.95, 0.99, 1.0)]
    return Latency(*ranked)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
