"""The numbers of a report."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pendingctl.cli.race_report import race_report
from pendingctl.model import Scope
from pendingctl.race.history.history import Fault, History, Operation, Outcome, RacedQuestion, Reason, Reported
from pendingctl.race.plan.operations import OperationKind, PlannedOperation
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.verdict.checker import CheckResult, Judgement, Verdict, Violation
from pendingctl.race.verdict.report import HISTOGRAM_MS, HistogramClass, Latency, histogram, measure, summarize

SCOPE = Scope("acme", "slack", "U1")
SETTINGS = RaceSettings(2, 6, 2, 9, faults=(FaultKind.PAUSE, FaultKind.SKEW))
TWICE = Violation("single_winner", "q0", "two")
LEFT = Violation("nothing_left_behind", None, "left behind: question q0")
JUDGEMENT = Judgement(
    (
        CheckResult("single_winner", Verdict.FAIL, (TWICE,)),
        CheckResult("scope", Verdict.PASS, ()),
        CheckResult("sweep_was_bounded", Verdict.SKIPPED, ()),
        CheckResult("nothing_left_behind", Verdict.FAIL, (LEFT,)),
    ),
    ("the fault pause never landed",),
    1,
)
LAWFUL = Judgement((CheckResult("scope", Verdict.PASS, ()),), (), 1)

PUT, CLAIM, DELETE, SWEEP, *_ = OperationKind
DEFEAT = Reported(Reason.ALREADY_ANSWERED)


def operation(
    name: str,
    pod: str,
    outcome: Outcome,
    took_ms: float | None,
    reported: Reported = Reported(),  # noqa: B008
    kind: OperationKind = CLAIM,
) -> Operation:
    planned = PlannedOperation(name, 0, kind, name.partition(".")[0], SCOPE, None, f"key-{name}", "yes", 1)
    ended = None if took_ms is None else round(took_ms * 1e6)
    return Operation(pod, 0, planned, 0, ended, outcome, reported)


OPERATIONS = (
    operation("q0.0", "pod-1", Outcome.OK, 1.0),
    operation("q0.1", "pod-2", Outcome.REFUSED, 2.0, DEFEAT),
    operation("q1.0", "pod-2", Outcome.UNKNOWN, None),
    operation("q1.0", "pod-10", Outcome.REPEATED, 3.0),
    operation("q1.1", "pod-1", Outcome.FAILED, 4.0),
    operation("x0.0", "pod-1", Outcome.OK, 5.0, kind=PUT),
    operation("x0.1", "pod-1", Outcome.OK, 6.0),
    operation("x0.2", "pod-2", Outcome.REFUSED, 7.0, Reported(Reason.NO_SUCH_ROW), DELETE),
)
HISTORY = History(
    questions=(
        *(RacedQuestion(f"q{each}", SCOPE, {}, "C") for each in range(3)),
        RacedQuestion("x0", SCOPE, {}, "C", is_extra=True),
    ),
    operations=OPERATIONS,
    hand_overs=(),
    rows=(),
    faults=(
        Fault(0, FaultKind.PAUSE, Moment.AFTER_SENDING, 1, 2, landed=True),
        Fault(1, FaultKind.PAUSE, Moment.AFTER_COMMIT, 1, 2),
    ),
)


def to_json(judgement: Judgement, history: History = HISTORY, seconds: float = 0.5) -> dict[str, Any]:
    """The report as a program reads it."""
    document: dict[str, Any] = json.loads(json.dumps(summarize(SETTINGS, judgement, history, seconds).to_json()))
    return document


def to_text(judgement: Judgement) -> str:
    """The report as a person reads it."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(race_report(summarize(SETTINGS, judgement, HISTORY, 0.5)))
    return captured.get()


@pytest.mark.parametrize(("found", "words"), [((TWICE,), "fail, 1 violation"), ((TWICE, TWICE), "fail, 2 violations")])
def test_the_violations_of_a_check_are_counted_in_english(found: tuple[Violation, ...], words: str) -> None:
    text = to_text(Judgement((CheckResult("single_winner", Verdict.FAIL, found),), (), 1))

    (line,) = (line for line in text.splitlines() if line.startswith("single_winner"))
    assert line.rstrip().endswith(words)


def test_the_json_has_the_promised_fields() -> None:
    document = to_json(JUDGEMENT)
    story = document.pop("story")

    assert document == {
        "verdict": "fail",
        "checks": [
            {"name": "single_winner", "verdict": "fail", "violations": [{"question_id": "q0", "detail": "two"}]},
            {"name": "scope", "verdict": "pass", "violations": []},
            {"name": "sweep_was_bounded", "verdict": "skipped", "violations": []},
            {
                "name": "nothing_left_behind",
                "verdict": "fail",
                "violations": [{"question_id": None, "detail": "left behind: question q0"}],
            },
        ],
        "violations": [
            {"law": "single_winner", "question_id": "q0", "detail": "two"},
            {"law": "nothing_left_behind", "question_id": None, "detail": "left behind: question q0"},
        ],
        "reasons": ["the fault pause never landed"],
        "faults": [{"kind": "skew", "planned": 1, "landed": 0}, {"kind": "pause", "planned": 6, "landed": 1}],
        "questions": 2,
        "clicks": 4,
        "winners": 2,
        "contended": 1,
        "seed": 9,
        "implementation": "correct",
        "pods": [
            {"name": "pod-1", "clicks": 2, "wins": 1},
            {"name": "pod-2", "clicks": 2, "wins": 0},
            {"name": "pod-10", "clicks": 1, "wins": 0},
        ],
        "outcomes": {"won": 1, "repeated": 1, "already_answered": 1, "failed": 1, "unknown": 1},
        "operations": {
            "put": {"ok": 1},
            "claim": {"ok": 2, "repeated": 1, "refused": 1, "failed": 1, "unknown": 1},
            "delete": {"refused": 1},
        },
        "latency_ms": {"p50": 3.0, "p95": 6.0, "p99": 6.0, "max": 6.0},
        "histogram": [
            {"up_to_ms": 1.0, "claims": 1},
            {"up_to_ms": 2.0, "claims": 1},
            {"up_to_ms": 5.0, "claims": 2},
            {"up_to_ms": 10.0, "claims": 1},
        ],
        "attempts_per_second": 10.0,
        "wins_per_second": 4.0,
        "duration_seconds": 0.5,
        "again": "pendingctl simulate-race --pods 2 --questions 6 --clicks 2 --seed 9 --fault pause --fault skew",
    }
    assert [set(line) for line in story] == [{"from_ms", "to_ms", "pod", "what", "outcome", "is_winner"}] * 2


@pytest.mark.parametrize(
    ("judgement", "verdict"),
    [
        (LAWFUL, "pass"),
        (Judgement(LAWFUL.checks, ("no question was contended",), 0), "inconclusive"),
        (JUDGEMENT, "fail"),
    ],
)
def test_the_verdict_is_one_of_three_words(judgement: Judgement, verdict: str) -> None:
    document = to_json(judgement)

    assert document["verdict"] == verdict
    assert bool(document["story"]) is (verdict == "fail")


def test_a_click_that_is_tried_again_counts_once() -> None:
    tries = (
        operation("q0.0", "pod-1", Outcome.UNKNOWN, 1.0),
        operation("q0.0", "pod-1", Outcome.UNKNOWN, 2.0),
        operation("q0.0", "pod-2", Outcome.REPEATED, 3.0),
        operation("q0.1", "pod-2", Outcome.REFUSED, 3.0, DEFEAT),
    )
    result = summarize(SETTINGS, LAWFUL, History(HISTORY.questions, tries, (), ()), 1.0)

    assert (result.questions, result.clicks, result.winners) == (1, 2, 1)
    assert {pod.name: pod.clicks for pod in result.pods} == {"pod-1": 1, "pod-2": 2}
    assert result.outcomes == {"repeated": 1, "already_answered": 1, "unknown": 2}
    assert result.attempts_per_second == 4.0


def test_a_question_that_is_won_twice_is_one_winner() -> None:
    both = (operation("q0.0", "pod-1", Outcome.OK, 1.0), operation("q0.1", "pod-2", Outcome.OK, 2.0))
    result = summarize(SETTINGS, LAWFUL, History(HISTORY.questions, both, (), ()), 1.0)

    assert (result.winners, result.outcomes) == (1, {"won": 2})
    assert [pod.wins for pod in result.pods] == [1, 1]


def test_outcomes_are_what_clicks_learned() -> None:
    reasons = (Reason.NOT_YOURS, Reason.ALREADY_ANSWERED, Reason.UNKNOWN_OR_EXPIRED, Reason.NOT_YOURS)
    refused = tuple(
        operation(f"q0.{number}", "pod-1", Outcome.REFUSED, 1.0, Reported(reason))
        for number, reason in enumerate(reasons)
    )
    result = summarize(SETTINGS, LAWFUL, History(HISTORY.questions, refused, (), ()), 1.0)

    assert result.outcomes == {"already_answered": 1, "not_yours": 2, "unknown_or_expired": 1}


def test_a_race_in_which_nothing_happened_has_a_report() -> None:
    document = to_json(Judgement((), ("the database went away",), 0), History((), (), (), ()), 0.0)

    assert (document["questions"], document["clicks"], document["winners"]) == (0, 0, 0)
    assert document["latency_ms"] == {"p50": None, "p95": None, "p99": None, "max": None}
    assert (document["attempts_per_second"], document["wins_per_second"]) == (0.0, 0.0)
    assert document["histogram"] == document["pods"] == document["story"] == []


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (RaceSettings(4, 50, 8, 7), "pendingctl simulate-race --pods 4 --questions 50 --clicks 8 --seed 7"),
        (
            RaceSettings(4, 50, 8, 7, implementation="no-user"),
            "pendingctl simulate-race --pods 4 --questions 50 --clicks 8 --seed 7 --implementation no-user",
        ),
        (
            RaceSettings(4, 1_000_000, 8, 7, duration_seconds=90.0),
            "pendingctl simulate-race --pods 4 --duration 90s --clicks 8 --seed 7",
        ),
        (
            RaceSettings(4, 1_000_000, 8, 7, duration_seconds=86_400.0),
            "pendingctl simulate-race --pods 4 --duration 86400s --clicks 8 --seed 7",
        ),
        (
            RaceSettings(4, 50, 8, 7, faults=(FaultKind.KILL, FaultKind.SWEEP)),
            "pendingctl simulate-race --pods 4 --questions 50 --clicks 8 --seed 7 --fault kill --fault sweep",
        ),
    ],
)
def test_again_is_the_command_for_the_same_plan(settings: RaceSettings, command: str) -> None:
    assert summarize(settings, LAWFUL, HISTORY, 1.0).again == command


def test_percentiles_are_by_nearest_rank() -> None:
    assert measure([float(each) for each in range(200, 0, -1)]) == Latency(100.0, 190.0, 198.0, 200.0)
    assert measure([1.5]) == Latency(1.5, 1.5, 1.5, 1.5)
    assert measure([1.23456]) == Latency(1.235, 1.235, 1.235, 1.235)
    assert measure([]) == Latency(None, None, None, None)


@given(st.integers(1, 2_000))
def test_a_percentile_is_the_smallest_value_that_its_share_does_not_exceed(count: int) -> None:
    ranks = [ceil(Fraction(percent, 100) * count) for percent in (50, 95, 99, 100)]

    assert measure([float(each + 1) for each in range(count)]) == Latency(*map(float, ranks))


def test_a_histogram_counts_each_claim_in_the_first_class_that_holds_it() -> None:
    assert histogram([0.5, 0.6, 1.0, 50.1, 999.0]) == (
        HistogramClass(0.5, 1),
        HistogramClass(1.0, 2),
        *(HistogramClass(end, 0) for end in (2.0, 5.0, 10.0, 20.0, 50.0)),
        HistogramClass(100.0, 1),
        HistogramClass(1_000.0, 1),
    )
    assert histogram([1_000.1]) == (HistogramClass(None, 1),)
    assert histogram([]) == ()


@given(st.lists(st.floats(0, 5_000)))
def test_a_histogram_loses_no_claim_and_has_no_empty_class_at_its_ends(latencies: list[float]) -> None:
    classes = histogram(latencies)

    assert sum(each.claims for each in classes) == len(latencies)
    if classes:
        assert classes[0].claims
        assert classes[-1].claims
        ends = [*HISTOGRAM_MS, None]
        first = ends.index(classes[0].up_to_ms)
        assert [each.up_to_ms for each in classes] == ends[first : first + len(classes)]
