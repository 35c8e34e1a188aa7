"""What doctor makes of the pods: of their notes, and else of their sessions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.pods import Pods, PodSessions, judge_pods
from pendingctl.diagnosis.work import Due
from pendingctl.pods import NotedPod

OK, UNKNOWN, WARN, FAIL = Verdict

POD = NotedPod(
    pod="a",
    application="",
    version="0.1.0",
    up_seconds=3_600.0,
    seen_seconds_ago=4.0,
    connections=3,
    claims=0,
    cards=0,
    answers=0,
)
BUSY = replace(POD, pod="b", cards=1, answers=2)
DEAD = replace(POD, pod="d", seen_seconds_ago=240.0)
DEAD_WITH_WORK = replace(DEAD, claims=1, answers=3)
LATE = Due("", "ending", rows=1, overdue=1, given_up=0, oldest_seconds=600.0, overdue_seconds=600.0, example=None)


def session(version: str, host: str, sessions: int = 2) -> PodSessions:
    return PodSessions(f"pendingctl pod {version} {host}", sessions)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (Pods([POD], [], []), OK, "1 pod is alive: a; version 0.1.0"),
        (Pods([POD, BUSY], [session("0.1.0", "a")], [LATE]), OK, "2 pods are alive: a, b; they hold 1 card, 2 answers"),
        (Pods([BUSY], [], []), OK, "it holds 1 card, 2 answers"),
        # One process that serves two applications, and a pod that was started again under its name.
        (Pods([POD, replace(POD, application="billing")], [], []), OK, "1 pod is alive: a;"),
        (Pods([POD, replace(DEAD, pod="a")], [], []), OK, "version 0.1.0; a died 4 min ago"),
        (Pods([POD, DEAD_WITH_WORK], [], []), WARN, "d died 4 min ago with 1 claim, 3 answers; the others take that"),
        (Pods([POD, replace(POD, pod="b", version="0.2.0")], [], []), WARN, "versions 0.1.0, 0.2.0 run beside"),
        (Pods([POD], [session("0.0.9", "old")], []), WARN, "versions 0.0.9, 0.1.0 run beside each other"),
        (Pods([replace(POD, pod=f"h{number}") for number in range(8)], [], []), OK, "h4 and 3 more"),
        (Pods([DEAD], [], []), WARN, "no pod is alive; d died 4 min ago"),
        (Pods([DEAD, replace(DEAD, pod="e", seen_seconds_ago=60.0)], [], []), WARN, "d, e died, the last 1 min ago"),
        (Pods([DEAD_WITH_WORK], [], [LATE]), FAIL, "no pod is alive, and something has been due for 10 min; d died"),
        # One that hangs has its sessions still.
        (Pods([DEAD], [session("0.1.0", "d")], [LATE]), FAIL, "no pod is alive, and something has been due"),
        (Pods([], [], [LATE]), FAIL, "no pod is alive, and something has been due for 10 min"),
        (Pods([], [], [replace(LATE, overdue_seconds=59.0)]), UNKNOWN, "no pod has noted within the last hour"),
        (Pods([], [], None), UNKNOWN, "no session is named as a pod's"),
    ],
)
def test_pods_are_judged_by_what_they_have_noted(facts: Pods, verdict: Verdict, said: str) -> None:
    finding = judge_pods(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True), finding
    assert bool(finding.remedies) is (verdict is not OK)


@pytest.mark.parametrize("noted", [None, []])
@pytest.mark.parametrize(
    ("sessions", "verdict", "said"),
    [
        ([], UNKNOWN, "no session is named as a pod's"),
        ([session("0.1.0", "a")], OK, "1 host has pods with 2 sessions: a; version 0.1.0"),
        ([session("0.1.0", "a"), session("0.1.0", "b")], OK, "2 hosts have pods with 4 sessions: a, b"),
        ([session("0.1.0", "a"), session("0.2.0", "a")], WARN, "versions 0.1.0, 0.2.0 run beside each other"),
        ([session("0.1.0", f"h{number}") for number in range(8)], OK, "h4 and 3 more"),
    ],
)
def test_pods_that_note_nothing_are_counted_by_host_and_version(
    noted: list[NotedPod] | None, sessions: list[PodSessions], verdict: Verdict, said: str
) -> None:
    finding = judge_pods(Pods(noted, sessions, []))

    assert (finding.verdict, said in finding.sentence) == (verdict, True), finding
