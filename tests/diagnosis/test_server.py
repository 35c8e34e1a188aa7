"""What doctor makes of the server, the session and what lies between: tables of facts and verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict, worst
from pendingctl.diagnosis.server import (
    KNOWN_BAD,
    Connections,
    Durability,
    Pooler,
    PoolMode,
    Recovery,
    RoundTrip,
    Settings,
    Version,
    judge_clock,
    judge_connection,
    judge_connections,
    judge_durability,
    judge_pooler,
    judge_primary,
    judge_settings,
    judge_version,
)

OK, UNKNOWN, WARN, FAIL = Verdict


def test_the_worst_verdict_counts() -> None:
    assert worst([]) is OK
    assert worst([OK, UNKNOWN]) is UNKNOWN
    assert worst([WARN, FAIL, OK]) is FAIL


@pytest.mark.parametrize(("seconds", "verdict"), [(0.0004, OK), (0.099, OK), (0.1, WARN), (2.0, WARN)])
def test_a_far_server_is_a_warning(seconds: float, verdict: Verdict) -> None:
    finding = judge_connection(RoundTrip("host=db", seconds, 0.0))

    assert finding.verdict is verdict
    assert f"{seconds * 1000:.1f} ms (host=db)" in finding.sentence


@pytest.mark.parametrize(
    ("ahead", "round_trip", "verdict", "said"),
    [
        (0.0, 0.001, OK, "agree to 0.001 s"),
        (1.9, 0.001, OK, "agree to 1.900 s"),
        # What may be the way there and back is no difference.
        (3.0, 4.0, OK, "agree"),
        (12.0, 0.001, WARN, "11 s ahead of this machine's"),
        (-12.0, 0.001, WARN, "11 s behind this machine's"),
        (-300.0, 0.001, FAIL, "4 min 59 s behind"),
    ],
)
def test_clocks_that_differ_are_named(ahead: float, round_trip: float, verdict: Verdict, said: str) -> None:
    finding = judge_clock(RoundTrip("host=db", round_trip, ahead))

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


@pytest.mark.parametrize(
    ("number", "verdict", "said"),
    [
        (130_023, FAIL, "older than 14"),
        (140_003, WARN, "CONCURRENTLY"),
        (140_004, OK, "no fault"),
        (140_014, WARN, "alter role"),
        (150_009, WARN, "alter role"),
        (150_020, OK, "no fault"),
        (170_001, WARN, "alter role"),
        (170_002, OK, "no fault"),
        (180_002, WARN, "https://www.postgresql.org/docs/18/release-18-3.html"),
        (180_006, OK, "no fault"),
        (190_001, OK, "no fault"),
    ],
)
def test_minors_that_are_known_to_be_bad_are_named(number: int, verdict: Verdict, said: str) -> None:
    finding = judge_version(Version(number, "x"))

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


def test_each_bad_minor_has_the_release_notes_of_the_next_as_its_source() -> None:
    for major, bad in KNOWN_BAD.items():
        for each in bad:
            assert each.first <= each.last
            fixed = f"{major}.{each.last + 1}", f"{major}-{each.last + 1}"
            assert each.source.startswith("https://www.postgresql.org/docs/")
            assert any(version in each.source for version in fixed)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (Recovery(is_standby=False, is_read_only=False, replayed_seconds_ago=None), OK, "takes writes"),
        (Recovery(is_standby=True, is_read_only=False, replayed_seconds_ago=None), FAIL, "standby"),
        (Recovery(is_standby=True, is_read_only=True, replayed_seconds_ago=7200.0), FAIL, "2 h old"),
        (Recovery(is_standby=False, is_read_only=True, replayed_seconds_ago=None), FAIL, "read_only"),
    ],
)
def test_a_server_that_takes_no_writes_fails(facts: Recovery, verdict: Verdict, said: str) -> None:
    finding = judge_primary(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)
    assert bool(finding.remedies) is (verdict is FAIL)


@pytest.mark.parametrize(
    ("mode", "verdict", "said"),
    [
        (PoolMode.NONE, OK, "no pooler"),
        (PoolMode.TRANSACTION, OK, "in transaction mode; all works through it but migrate"),
        (PoolMode.SESSION_OR_UNSEEN, OK, "in session mode as far as can be seen"),
        (PoolMode.STATEMENT, FAIL, "refuses the transactions"),
    ],
)
def test_a_pooler_is_named_and_is_no_fault_unless_it_refuses_transactions(
    mode: PoolMode, verdict: Verdict, said: str
) -> None:
    finding = judge_pooler(Pooler(mode))

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


SETTINGS = Settings(encoding="UTF8", unfit=None, statement_timeout=0.0, worked_around=())


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (SETTINGS, OK, "encoding UTF8"),
        (replace(SETTINGS, worked_around=("synchronous_commit = off",)), OK, "worked around: synchronous_commit = off"),
        (replace(SETTINGS, encoding="SQL_ASCII"), OK, "SQL_ASCII"),
        (replace(SETTINGS, encoding="LATIN1"), WARN, "LATIN1"),
        (replace(SETTINGS, statement_timeout=30.0), OK, "UTF8"),
        (replace(SETTINGS, statement_timeout=0.2), WARN, "statement_timeout is 0.2 s"),
        (replace(SETTINGS, unfit="pendingctl cannot work where a is 'b': set it to c"), FAIL, "where a is 'b'"),
    ],
)
def test_settings_with_which_the_library_does_not_work_fail(facts: Settings, verdict: Verdict, said: str) -> None:
    finding = judge_settings(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


def test_the_remedy_of_a_refused_setting_is_the_librarys() -> None:
    unfit = "pendingctl cannot work where a is 'b': set it to c"

    assert judge_settings(replace(SETTINGS, unfit=unfit)).remedies == ("set it to c",)


DURABLE = Durability(
    fsync=True,
    full_page_writes=True,
    cluster_name="main",
    synchronous_commit="on",
    commit_source="default",
    synchronous_standbys="",
    standbys=0,
)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (DURABLE, OK, "no standby is attached"),
        (replace(DURABLE, synchronous_commit="off", commit_source="user"), OK, "off (user); raised to on for answers"),
        (replace(DURABLE, fsync=False), FAIL, "fsync is off"),
        (replace(DURABLE, full_page_writes=False), FAIL, "full_page_writes is off"),
        (replace(DURABLE, fsync=False, cluster_name="pendingctl_throwaway"), WARN, "throw-away"),
        (replace(DURABLE, standbys=2), WARN, "2 standbys, none of them synchronous"),
        (replace(DURABLE, standbys=2, synchronous_standbys="ANY 1 (a, b)"), OK, "synchronous standby ANY 1 (a, b)"),
        (
            replace(
                DURABLE, standbys=1, synchronous_standbys="a", synchronous_commit="local", commit_source="database"
            ),
            WARN,
            "local (database): answers do not wait",
        ),
    ],
)
def test_what_makes_an_acknowledged_answer_losable_is_named(facts: Durability, verdict: Verdict, said: str) -> None:
    finding = judge_durability(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


ROOMY = Connections(
    most=100,
    reserved=3,
    in_use=20,
    role="bot",
    role_limit=-1,
    role_in_use=10,
    database_limit=-1,
    database_in_use=10,
)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (ROOMY, OK, "20 of 97 connections are in use, 77 free (max_connections)"),
        (replace(ROOMY, in_use=90), WARN, "7 free"),
        (replace(ROOMY, in_use=94), FAIL, "3 free"),
        (replace(ROOMY, in_use=99), FAIL, "0 free"),
        (
            replace(ROOMY, role_limit=12),
            FAIL,
            "10 of 12 connections are in use, 2 free (the connection limit of role bot)",
        ),
        (replace(ROOMY, database_limit=19), WARN, "9 free (the connection limit of this database)"),
    ],
)
def test_the_tightest_limit_of_connections_counts(facts: Connections, verdict: Verdict, said: str) -> None:
    finding = judge_connections(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)
