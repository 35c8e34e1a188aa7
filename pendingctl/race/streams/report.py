"""The result of a race on streams: the verdict, and what was counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from ...payload import JsonObject
from ..history.history import Outcome
from ..limits.history import LimitHistory
from ..verdict.checker import CheckResult, Judgement, Violation
from ..verdict.report import FaultTally, Latency, measure
from .facts import Facts
from .history import StreamHistory
from .plan import StreamRaceSettings


@dataclass(frozen=True, slots=True)
class StreamRaceResult:
    """What a race on streams showed.

    `contended` is the number of streams to which two pods appended at the same time, `latency_ms` from the beginning
    of an append to its receipt by the first reader. `items` counts what readers got by kind, `appends` and `takes` from
    limits by outcome.
    """

    verdict: str
    checks: tuple[CheckResult, ...]
    violations: tuple[Violation, ...]
    reasons: tuple[str, ...]
    faults: tuple[FaultTally, ...]
    appends: dict[str, int]
    items: dict[str, int]
    takes: dict[str, int]
    sessions: int
    contended: int
    latency_ms: Latency
    seed: int
    implementation: str
    duration_seconds: float
    again: str

    def to_json(self) -> JsonObject:
        """Return the result in the shape of `simulate-race --streams -o json`."""

        def found(violation: Violation) -> JsonObject:
            return {"stream": violation.question_id, "detail": violation.detail}

        fields: JsonObject = asdict(self) | {
            "checks": [
                {"name": check.name, "verdict": check.verdict, "violations": [*map(found, check.violations)]}
                for check in self.checks
            ],
            "violations": [{"law": each.law, **found(each)} for each in self.violations],
        }
        return fields


def summarize_streams(
    settings: StreamRaceSettings,
    judgement: Judgement,
    history: StreamHistory,
    limits: LimitHistory,
    seconds: float,
) -> StreamRaceResult:
    """Return the result of a race that took so many seconds."""
    received = Facts(history).received
    took = [
        (received[data] - append.started_ns) / 1e6
        for append in history.appends
        if append.outcome is Outcome.OK and (data := f"{append.stream} {append.name} 0") in received
    ]
    struck, landed = (
        Counter(fault.kind for fault in history.faults),
        Counter(fault.kind for fault in history.faults if fault.landed),
    )
    return StreamRaceResult(
        judgement.verdict,
        judgement.checks,
        judgement.violations,
        judgement.reasons,
        tuple(FaultTally(kind, struck[kind], landed[kind]) for kind in settings.faults),
        dict(Counter(append.outcome.value for append in history.appends)),
        dict(Counter(item.kind.value for session in history.sessions for item in session.items)),
        dict(Counter(take.outcome.value for take in limits.takes)),
        len(history.sessions),
        judgement.contended,
        measure(took),
        settings.seed,
        settings.implementation,
        seconds,
        _again(settings),
    )


def _again(settings: StreamRaceSettings) -> str:
    """The command that runs the same plan again, without a target: a connection string may hold a password."""
    parts = [
        f"pendingctl simulate-race --streams --pods {settings.pods} --questions {settings.rounds}",
        f"--clicks {settings.appends} --seed {settings.seed}",
        *(f"--fault {kind}" for kind in settings.faults),
    ]
    if settings.implementation != "correct":
        parts.append(f"--implementation {settings.implementation}")
    return " ".join(parts)
