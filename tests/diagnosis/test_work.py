"""What doctor makes of the work: what is due, and the sweep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.work import (
    Due,
    SweepLag,
    judge_appends,
    judge_cards,
    judge_deliveries,
    judge_orphans,
    judge_sweep,
)

OK, UNKNOWN, WARN, FAIL = Verdict


ENDING = Due(
    "", "ending", rows=3, overdue=3, given_up=0, oldest_seconds=20.0, overdue_seconds=None, example="acme/slack"
)
EVENT = Due("", "event", rows=2, overdue=2, given_up=0, oldest_seconds=20.0, overdue_seconds=None, example="acme/slack")
POST = Due("", "post", rows=2, overdue=2, given_up=0, oldest_seconds=900.0, overdue_seconds=2.0, example="acme/slack")


@pytest.mark.parametrize(
    ("due", "verdict", "said", "remedy"),
    [
        ([], OK, "no ending waits", None),
        ([POST], OK, "no ending waits", None),
        ([ENDING], OK, "3 endings are undelivered, the oldest for 20 s", None),
        ([replace(ENDING, oldest_seconds=3600.0)], WARN, "the oldest for 1 h", "list --state undelivered"),
        ([replace(ENDING, given_up=1)], FAIL, "1 ending is stuck", "list --state stuck"),
    ],
)
def test_endings_that_their_worker_does_not_have_are_named(
    due: list[Due], verdict: Verdict, said: str, remedy: str | None
) -> None:
    finding = judge_deliveries(due)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert remedy is None or remedy in finding.remedies[0]


def test_stuck_answers_are_redelivered_by_application() -> None:
    finding = judge_deliveries([replace(ENDING, application="billing", given_up=2), replace(ENDING, given_up=1)])

    assert "3 endings are stuck" in finding.sentence
    assert [each.partition(": ")[2] for each in finding.remedies[1:]] == [
        "pendingctl redeliver --all-stuck --application billing",
        "pendingctl redeliver --all-stuck",
    ]


@pytest.mark.parametrize(
    ("due", "verdict", "said"),
    [
        ([], OK, "no card"),
        ([POST], OK, "no card"),
        ([replace(POST, overdue_seconds=180.0)], WARN, "due for 3 min"),
        ([replace(POST, given_up=2)], WARN, "2 cards were given up"),
    ],
)
def test_cards_that_are_not_posted_are_named(due: list[Due], verdict: Verdict, said: str) -> None:
    finding = judge_cards(due)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


@pytest.mark.parametrize(
    ("due", "verdict", "said", "remedy"),
    [
        ([ENDING, POST], OK, "each application", None),
        (
            [replace(ENDING, overdue_seconds=90.0)],
            WARN,
            "3 endings wait to be delivered, the longest for 1 min 30 s",
            "run more pods",
        ),
        (
            [replace(ENDING, application="billing", overdue_seconds=3600.0)],
            FAIL,
            "of application 'billing' 3 endings wait to be delivered, the longest for 1 h: no pod serves it",
            "PendingStore(pool, application='billing')",
        ),
        (
            [replace(POST, overdue_seconds=3600.0), replace(ENDING, application="billing", overdue_seconds=600.0)],
            FAIL,
            "of application '' 2 cards wait to be posted, the longest for 1 h (and of 'billing')",
            "registers acme/slack",
        ),
        (
            [replace(POST, kind="deadline", overdue=1, overdue_seconds=400.0)],
            FAIL,
            "1 deadline has passed unnoticed",
            "start",
        ),
        (
            [replace(ENDING, overdue=10_000, overdue_seconds=400.0)],
            FAIL,
            "at least 10,000 endings wait to be delivered",
            "start",
        ),
    ],
)
def test_an_application_that_nobody_serves_is_named(
    due: list[Due], verdict: Verdict, said: str, remedy: str | None
) -> None:
    finding = judge_orphans(due)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert remedy is None or remedy in finding.remedies[0]


@pytest.mark.parametrize(
    ("due", "verdict", "said"),
    [
        ([ENDING, POST], OK, "no card or ending waits for its stream"),
        ([EVENT], OK, "2 questions wait to be appended to a stream, the oldest for 20 s"),
        ([EVENT, replace(EVENT, oldest_seconds=600.0)], WARN, "4 questions wait to be appended to a stream"),
    ],
)
def test_what_waits_for_its_stream_is_named(due: list[Due], verdict: Verdict, said: str) -> None:
    finding = judge_appends(due)

    assert (finding.verdict, said in finding.sentence) == (verdict, True), finding


def test_where_nobody_appends_bridges_with_streams_are_missing() -> None:
    finding = judge_orphans([replace(EVENT, overdue_seconds=900.0)])

    assert "2 questions wait to be appended to streams, the longest for 15 min" in finding.sentence
    assert "streams=Streams(pool)" in finding.remedies[0]


SWEPT = SweepLag(
    stale=0, is_capped=False, overdue_seconds=None, cycle_seconds_ago=None, pod=None, max_age_seconds=86_400.0
)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (SWEPT, OK, "no row is older than 1 d; no sweep --every has begun a cycle"),
        (replace(SWEPT, cycle_seconds_ago=60.0, pod="a"), OK, "sweep --every began 1 min ago on a"),
        (replace(SWEPT, stale=5, overdue_seconds=300.0), OK, "5 rows are stale, the oldest since 5 min"),
        (replace(SWEPT, stale=5, overdue_seconds=7200.0), WARN, "the sweep is late"),
        (
            replace(SWEPT, stale=10_000, is_capped=True, overdue_seconds=90_000.0),
            FAIL,
            "more than 10,000 rows are stale",
        ),
    ],
)
def test_a_sweep_that_does_not_run_is_named(facts: SweepLag, verdict: Verdict, said: str) -> None:
    finding = judge_sweep(facts)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert bool(finding.remedies) is (verdict is not OK)
