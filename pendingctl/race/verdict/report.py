"""A race's result: the verdict, what was counted and how long the claims took."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil

from ...payload import JsonObject
from ..history.history import History, Operation, Outcome, Reason
from ..plan.operations import OperationKind
from ..plan.schedule import schedule_faults
from ..plan.settings import RaceSettings
from .checker import CheckResult, Judgement, Violation
from .story import StoryLine, smallest_story

# Upper bounds of the histogram's classes, in milliseconds.
HISTOGRAM_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1_000.0)


@dataclass(frozen=True, slots=True)
class PodTally:
    """What one pod did: the clicks that it fired and those that won."""

    name: str
    clicks: int
    wins: int


@dataclass(frozen=True, slots=True)
class FaultTally:
    """How often a fault was planned, and how often it surely struck."""

    kind: str
    planned: int
    landed: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Claim latencies in milliseconds, by nearest rank; None when no claim ended."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class HistogramClass:
    """How many claims took at most so many milliseconds, and more than the class before; None means no bound."""

    up_to_ms: float | None
    claims: int


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What a race showed. `winners` is the number of questions won, `contended` of those on which clicks competed.

    `reasons` say why an inconclusive run proves nothing. `clicks` counts the clicks on the counted questions, each
    once however often it was tried; `outcomes` counts every try. Rates are over the time in which clicks were fired.
    `story` is what happened to one question on which a law was broken.
    """

    verdict: str
    checks: tuple[CheckResult, ...]
    violations: tuple[Violation, ...]
    reasons: tuple[str, ...]
    faults: tuple[FaultTally, ...]
    questions: int
    clicks: int
    winners: int
    contended: int
    seed: int
    implementation: str
    pods: tuple[PodTally, ...]
    outcomes: dict[str, int]
    operations: dict[str, dict[str, int]]
    latency_ms: Latency
    histogram: tuple[HistogramClass, ...]
    attempts_per_second: float
    wins_per_second: float
    duration_seconds: float
    story: tuple[StoryLine, ...]
    again: str

    def to_json(self) -> JsonObject:
        """Return the result in the shape of `simulate-race -o json`."""
        fields: JsonObject = asdict(self) | {
            "checks": [
                {
                    "name": check.name,
                    "verdict": check.verdict,
                    "violations": [
                        {"question_id": violation.question_id, "detail": violation.detail}
                        for violation in check.violations
                    ],
                }
                for check in self.checks
            ]
        }
        return fields


def summarize(settings: RaceSettings, judgement: Judgement, history: History, fired_for_seconds: float) -> RaceResult:
    """Return the result of a run that fired for so many seconds."""
    counted = {question.id for question in history.questions if question.is_counted}
    claims = [each for each in history.operations if each.kind is OperationKind.CLAIM]
    on_counted = [each for each in claims if each.planned.question_id in counted]
    ended = [took for operation in claims if (took := operation.took_ms) is not None]
    won = {each.planned.question_id for each in on_counted if each.outcome in (Outcome.OK, Outcome.REPEATED)}
    return RaceResult(
        verdict=judgement.verdict,
        checks=judgement.checks,
        violations=judgement.violations,
        reasons=judgement.reasons,
        faults=_faults(settings, history),
        questions=len({each.planned.question_id for each in on_counted}),
        clicks=len({each.planned.name for each in on_counted}),
        winners=len(won),
        contended=judgement.contended,
        seed=settings.seed,
        implementation=settings.implementation,
        pods=_pods(on_counted),
        outcomes=_outcomes(on_counted),
        operations=_operations(history.operations),
        latency_ms=measure(ended),
        histogram=histogram(ended),
        attempts_per_second=_rate(len(ended), fired_for_seconds),
        wins_per_second=_rate(len(won), fired_for_seconds),
        duration_seconds=fired_for_seconds,
        story=smallest_story(history, judgement.violations),
        again=_again(settings),
    )


def measure(latencies_ms: Sequence[float]) -> Latency:
    """Return the percentiles by nearest rank, rounded to microseconds."""
    ordered = sorted(latencies_ms)
    if not ordered:
        return Latency(None, None, None, None)
    ranked = [round(ordered[ceil(len(ordered) * rank) - 1], 3) for rank in (0.5, 0.95, 0.99, 1.0)]
    return Latency(*ranked)


def histogram(latencies_ms: Sequence[float]) -> tuple[HistogramClass, ...]:
    """Return how many latencies fall into each class, without the empty classes at both ends."""
    counted = Counter(next((end for end in HISTOGRAM_MS if took <= end), None) for took in latencies_ms)
    classes = [HistogramClass(end, counted[end]) for end in (*HISTOGRAM_MS, None)]
    filled = [place for place, each in enumerate(classes) if each.claims]
    return tuple(classes[filled[0] : filled[-1] + 1]) if filled else ()


def _pods(claims: Sequence[Operation]) -> tuple[PodTally, ...]:
    clicks: defaultdict[str, set[str]] = defaultdict(set)
    wins: Counter[str] = Counter()
    for operation in claims:
        clicks[operation.pod].add(operation.planned.name)
        wins[operation.pod] += operation.outcome is Outcome.OK
    names = sorted(clicks, key=lambda name: (len(name), name))
    return tuple(PodTally(name, len(clicks[name]), wins[name]) for name in names)


def _faults(settings: RaceSettings, history: History) -> tuple[FaultTally, ...]:
    planned = Counter(fault.kind for fault in schedule_faults(settings.faults, settings.seed))
    landed = Counter(fault.kind for fault in history.faults if fault.landed)
    return tuple(FaultTally(kind, planned[kind], landed[kind]) for kind in planned)


def _outcomes(claims: Sequence[Operation]) -> dict[str, int]:
    """By what the click learned: that it won, or why not."""
    names = {Outcome.OK: "won", Outcome.REFUSED: ""}
    counted = Counter(str(names.get(each.outcome, each.outcome) or each.reported.reason) for each in claims)
    order = ["won", Outcome.REPEATED, *Reason, Outcome.FAILED, Outcome.UNKNOWN]
    return {str(name): counted[name] for name in order if counted[name]}


def _operations(operations: Sequence[Operation]) -> dict[str, dict[str, int]]:
    """By kind and outcome, those on extra questions included."""
    counted = Counter((each.kind, each.outcome) for each in operations)
    return {
        kind.value: {outcome.value: counted[kind, outcome] for outcome in Outcome if counted[kind, outcome]}
        for kind in OperationKind
        if any(each is kind for each, _ in counted)
    }


def _again(settings: RaceSettings) -> str:
    """The command that runs the same plan again, without a target: a connection string may hold a password."""
    parts = ["pendingctl simulate-race", f"--pods {settings.pods}"]
    if settings.duration_seconds is None:
        parts.append(f"--questions {settings.questions}")
    else:
        parts.append(f"--duration {settings.duration_seconds:g}s")
    parts += [f"--clicks {settings.clicks}", f"--seed {settings.seed}"]
    parts += [f"--fault {kind}" for kind in settings.faults]
    if settings.implementation != "correct":
        parts.append(f"--implementation {settings.implementation}")
    if settings.organization_id is not None:
        parts.append(f"--org {shlex.quote(settings.organization_id)}")
    return " ".join(parts)


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0
