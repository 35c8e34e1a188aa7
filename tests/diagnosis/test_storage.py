"""What doctor makes of how the tables are kept: dead rows, indexes, plans, the trail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.storage import (
    Bloat,
    Index,
    Indexes,
    Plan,
    Plans,
    Trail,
    judge_bloat,
    judge_indexes,
    judge_plans,
    judge_trail,
)

OK, UNKNOWN, WARN, FAIL = Verdict

BLOAT = Bloat(
    table="public.pending_interactions",
    rows=1e6,
    live=1_000_000,
    dead=50_000,
    bytes=200 << 20,
    row_bytes=150.0,
    fillfactor=100,
    autovacuum=True,
    vacuumed_seconds_ago=3600.0,
)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (BLOAT, OK, "1,000,000 rows and 50,000 dead ones, 200 MB; last vacuum: 1 h ago"),
        (replace(BLOAT, vacuumed_seconds_ago=None), OK, "last vacuum: never"),
        (replace(BLOAT, dead=500_000), WARN, "vacuum does not keep up"),
        (replace(BLOAT, live=100, dead=9_000), OK, "9,000 dead"),
        (replace(BLOAT, autovacuum=False), WARN, "autovacuum is off"),
        (replace(BLOAT, bytes=2000 << 20), WARN, "about 92% of the table is empty"),
        (replace(BLOAT, bytes=2000 << 20, row_bytes=None), OK, "2,000 MB"),
        (replace(BLOAT, rows=-1.0, live=None, dead=None), OK, "0 rows"),
    ],
)
def test_dead_rows_that_pile_up_are_named(facts: Bloat, verdict: Verdict, said: str) -> None:
    finding = judge_bloat(facts)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence


OWN = Index(
    name="idx_a",
    qualified="public.idx_a",
    is_valid=True,
    is_being_built=False,
    is_of_constraint=False,
    scans=10,
    table_scans=50_000,
    bytes=8192,
)
EXPECTED = {"idx_a": "create index concurrently idx_a on t (a);"}


@pytest.mark.parametrize(
    ("found", "verdict", "said", "remedy"),
    [
        ((OWN,), OK, "1 index, all valid", None),
        ((), UNKNOWN, "no tables", None),
        ((replace(OWN, is_valid=False),), FAIL, "idx_a is invalid", "reindex index concurrently public.idx_a"),
        ((replace(OWN, is_valid=False, is_being_built=True),), OK, "all valid", None),
        ((replace(OWN, name="idx_b"),), FAIL, "idx_a is missing", EXPECTED["idx_a"]),
        (
            (OWN, replace(OWN, name="idx_a_ccnew", qualified="public.idx_a_ccnew", is_valid=False)),
            WARN,
            "idx_a_ccnew is invalid, a leftover",
            "drop index concurrently public.idx_a_ccnew",
        ),
        (
            (OWN, replace(OWN, name="theirs", qualified="public.theirs", scans=0)),
            WARN,
            "theirs is not pendingctl's and never read",
            "drop index concurrently public.theirs",
        ),
        ((OWN, replace(OWN, name="theirs", scans=0, is_of_constraint=True)), OK, "2 indexes", None),
        ((OWN, replace(OWN, name="theirs", scans=0, table_scans=5)), OK, "2 indexes", None),
        ((replace(OWN, scans=0),), OK, "never read so far: idx_a", None),
    ],
)
def test_indexes_that_are_broken_or_idle_are_named(
    found: tuple[Index, ...], verdict: Verdict, said: str, remedy: str | None
) -> None:
    finding = judge_indexes(Indexes(found, EXPECTED))

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert remedy is None or remedy in finding.remedies[0]


@pytest.mark.parametrize(
    ("rows", "scans", "verdict"),
    [(1e6, False, OK), (1e6, True, WARN), (100.0, True, OK), (-1.0, False, WARN)],
)
def test_a_hot_statement_that_reads_a_big_table_is_a_warning(rows: float, scans: bool, verdict: Verdict) -> None:
    assert judge_plans(Plans(rows, (Plan("CLAIM", scans),))).verdict is verdict


@pytest.mark.parametrize(
    ("trail", "said"),
    [
        (Trail(is_kept=True, rows=120_000.0, bytes=30 << 20), "the trail is kept: 30 MB in about 120,000 entries"),
        (Trail(is_kept=True, rows=-1.0, bytes=8192), "the trail is kept: 8 kB"),
        (Trail(is_kept=False, rows=-1.0, bytes=3 << 30), "the trail is not kept (pendingctl.trail is off)"),
        (Trail(is_kept=False, rows=-1.0, bytes=3 << 30), "3.0 GB from before"),
    ],
)
def test_whether_the_trail_is_kept_is_said_and_a_choice(trail: Trail, said: str) -> None:
    finding = judge_trail(trail)

    assert (finding.verdict, said in finding.sentence) == (OK, True), finding
