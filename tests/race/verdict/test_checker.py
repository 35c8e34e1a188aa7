"""What the checker concludes: a lawful history passes, and one that proves nothing is inconclusive."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pendingctl.race.history.history import Fault, History, Outcome
from pendingctl.race.plan.operations import OperationKind
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.verdict import linearization
from pendingctl.race.verdict.checker import CHECKS, Verdict, Violation, judge
from tests.race.verdict.histories import (
    ASK,
    CLAIM,
    CREATED,
    DELETE,
    HANDED,
    LAWFUL,
    LOSER,
    ON_COUNTED,
    PUT,
    REPEAT,
    SWEEP,
    UNCLAIMED,
    WINNER,
    X_DELETE,
    X_PUT,
    X_PUT_AGAIN,
    X_SWEEP,
    having,
    lost,
    only_extra,
    operation,
    sweeping,
    verdicts,
    with_row,
    without,
)


def test_a_lawful_history_passes() -> None:
    judgement = judge(LAWFUL)

    assert (judgement.verdict, judgement.violations, judgement.reasons) == ("pass", (), ())
    skipped = dict.fromkeys(("asker_or_pods", "trail_is_the_history", "appended_once"), Verdict.SKIPPED)
    assert verdicts(LAWFUL) == dict.fromkeys(CHECKS, Verdict.PASS) | skipped
    assert judgement.contended == 1


# What proves nothing, and how the judgement says so.
X_ROW_LEFT = replace(UNCLAIMED, id="x")
VACUOUS = {
    "one after the other": ("no question was contended", having(replace(LOSER, started_ns=200))),
    "on one pod": ("no question was contended", having(replace(LOSER, pod="pod-1"), history=without(REPEAT))),
    "only strangers and an extra question's clicks were in flight": ("no question was contended", without(LOSER)),
    "only the same press was in flight twice": (
        "no question was contended",
        having(replace(REPEAT, started_ns=110), history=without(LOSER)),
    ),
    "nobody saw the rival's end": ("no question was contended", having(lost(LOSER))),
    "no put": ("no put succeeded", replace(LAWFUL, operations=ON_COUNTED, hand_overs=(HANDED,))),
    "no claim": (
        "no claim succeeded",
        replace(
            LAWFUL,
            operations=(lost(WINNER, ended=200), lost(LOSER, ended=300), X_PUT, X_DELETE, X_PUT_AGAIN, X_SWEEP),
            rows=(UNCLAIMED,),
            hand_overs=(),
        ),
    ),
    "no delete": ("no delete succeeded", only_extra(X_PUT, X_SWEEP)),
    "no sweep": ("no sweep succeeded", only_extra(X_PUT, X_DELETE)),
    "no sweep that took something": ("no sweep succeeded", only_extra(X_PUT, X_DELETE, sweeping(ids=()))),
    "a fault did not land": (
        "the fault kill (after sending) never landed: the pod was gone",
        replace(LAWFUL, faults=(Fault(0, FaultKind.KILL, Moment.AFTER_SENDING, 1, detail="the pod was gone"),)),
    ),
    "a fault was not struck": (
        "the fault sweep never landed: it was not struck",
        replace(LAWFUL, faults=(Fault(0, FaultKind.SWEEP, None, 1),)),
    ),
    "a click's fate was never learnt": (
        "clicks whose outcome was never learnt: 1, the first claim q.60 of pod-2: connection lost",
        having(lost(operation(60, CLAIM, Outcome.UNKNOWN, 140, None, pod="pod-2"))),
    ),
    "a click was asked again and failed": (
        "clicks whose outcome was never learnt: 1",
        having(
            lost(operation(60, CLAIM, Outcome.UNKNOWN, 140, None)),
            replace(operation(60, CLAIM, Outcome.FAILED, 160, 170), number=61),
        ),
    ),
    "an operation failed without a fault": (
        "operations that failed: 1, the first put x.62 of pod-1: the pool was full",
        having(replace(operation(62, PUT, Outcome.FAILED, 1131, 1134, question="x"), detail="the pool was full")),
    ),
    "the run says so itself": (
        "pod-1 was ended by SIGKILL",
        replace(LAWFUL, reasons=("pod-1 was ended by SIGKILL",)),
    ),
}


@pytest.mark.parametrize(("reason", "history"), VACUOUS.values(), ids=VACUOUS.keys())
def test_what_proves_nothing_is_inconclusive_and_says_why(reason: str, history: History) -> None:
    judgement = judge(history)

    assert (judgement.verdict, judgement.violations) == ("inconclusive", ())
    assert any(said.startswith(reason) for said in judgement.reasons), judgement.reasons


LANDED = Fault(0, FaultKind.DISCONNECT, Moment.AFTER_COMMIT, 1, 2, landed=True)


def test_operations_may_fail_under_a_fault() -> None:
    failed = operation(62, CLAIM, Outcome.FAILED, 110, 120)

    assert judge(replace(having(failed), faults=(LANDED,))).verdict == "pass"


def test_an_operation_other_than_a_click_may_stay_unknown_under_a_fault() -> None:
    unknown = lost(operation(62, DELETE, Outcome.UNKNOWN, 1145, None, question="x"))

    assert judge(replace(having(unknown), faults=(LANDED,))).verdict == "pass"


def test_a_question_with_too_many_orders_is_undecided_and_reports_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearization, "MOST_CONFIGURATIONS", 3)

    judgement = judge(LAWFUL)

    assert (judgement.verdict, judgement.violations) == ("inconclusive", ())
    assert "questions with too many orders to search: 1" in judgement.reasons


def test_a_sweep_is_not_accused_where_the_search_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Any order explains the second row's sweep, one alone that of the first, which was stale.
    history = only_extra(
        replace(X_PUT, started_ns=1001, ended_ns=1200),
        replace(X_DELETE, started_ns=1002, ended_ns=1200),
        replace(X_PUT_AGAIN, started_ns=1003, ended_ns=1200),
        replace(sweeping(at=CREATED + timedelta(minutes=1)), started_ns=1004, ended_ns=1200),
    )
    accused: list[Violation] = []
    for most in range(1, 20):
        monkeypatch.setattr(linearization, "MOST_CONFIGURATIONS", most)
        accused += judge(history).violations

    assert accused == []


def test_a_broken_law_outweighs_a_reason() -> None:
    assert judge(replace(with_row(answer="no"), reasons=("pod-1 was ended by SIGKILL",))).verdict == "fail"


@pytest.mark.parametrize(
    ("kinds", "skipped"),
    [
        ({CLAIM}, {"terminal_stays_terminal", "sweep_took_only_stale_rows", "sweep_was_bounded"}),
        ({PUT, CLAIM, DELETE}, {"sweep_took_only_stale_rows", "sweep_was_bounded"}),
        ({PUT, CLAIM, SWEEP}, set()),
        (set(OperationKind) - {ASK}, set()),
    ],
)
def test_a_check_is_skipped_when_the_plan_held_nothing_for_it(kinds: set[OperationKind], skipped: set[str]) -> None:
    found = verdicts(replace(LAWFUL, planned_kinds=frozenset(kinds)))

    always = {"asker_or_pods", "trail_is_the_history", "appended_once"}
    assert {name for name, verdict in found.items() if verdict == "skipped"} == skipped | always
    assert {verdict for name, verdict in found.items() if name not in skipped | always} == {"pass"}


def test_what_a_check_finds_counts_whatever_was_planned() -> None:
    history = replace(having(sweeping(ids=("x", "theirs"))), planned_kinds=frozenset({CLAIM}))

    assert verdicts(history)["sweep_was_bounded"] == "fail"
