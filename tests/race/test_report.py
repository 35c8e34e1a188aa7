"""The numbers of a report."""

from __future__ import annotations

import json

from pendingctl.model import Click
from pendingctl.race.checker import Judgement, Violation
from pendingctl.race.history import Operation, Outcome
from pendingctl.race.plan import ClickKind, RaceSettings
from pendingctl.race.report import Latency, measure, summarize


def operation(number: int, pod: str, outcome: Outcome, took_ms: float | None) -> Operation:
    ended = None if took_ms is None else round(took_ms * 1e6)
    click = Click(f"q{number // 2}", "acme", "slack", "U1", f"key-{number}", "yes", 1)
    return Operation(pod, number, ClickKind.RIGHTFUL, click, 0, ended, outcome)


def test_percentiles_are_by_nearest_rank() -> None:
    assert measure([float(each) for each in range(200, 0, -1)]) == Latency(100.0, 190.0, 198.0, 200.0)
    assert measure([1.5]) == Latency(1.5, 1.5, 1.5, 1.5)
    assert measure([]) == Latency(None, None, None, None)


def test_the_json_has_the_promised_fields() -> None:
    operations = [
        operation(0, "pod-1", Outcome.WON, 1.0),
        operation(1, "pod-2", Outcome.ALREADY_ANSWERED, 2.0),
        operation(2, "pod-2", Outcome.WON, 3.0),
        operation(3, "pod-1", Outcome.UNKNOWN, None),
    ]
    judgement = Judgement((Violation("single_winner", "q0", "two"),), (), 1)

    result = summarize(RaceSettings(2, 2, 2, 9), judgement, operations, ["pod-1", "pod-2"], 0.5)

    assert json.loads(json.dumps(result.to_json())) == {
        "verdict": "fail",
        "violations": [{"law": "single_winner", "question_id": "q0", "detail": "two"}],
        "reasons": [],
        "questions": 2,
        "clicks": 4,
        "winners": 2,
        "contended": 1,
        "seed": 9,
        "implementation": "correct",
        "pods": [{"name": "pod-1", "clicks": 2, "wins": 1}, {"name": "pod-2", "clicks": 2, "wins": 1}],
        "outcomes": {"won": 2, "already_answered": 1, "unknown": 1},
        "latency_ms": {"p50": 2.0, "p95": 3.0, "p99": 3.0, "max": 3.0},
        "attempts_per_second": 6.0,
        "wins_per_second": 4.0,
        "duration_seconds": 0.5,
    }
