"""What doctor makes of others: locks, transactions that hold back vacuum, and slots that keep the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.sessions import (
    Horizon,
    Horizons,
    LockSession,
    Slot,
    judge_locks,
    judge_slots,
    judge_transactions,
)

OK, UNKNOWN, WARN, FAIL = Verdict

IDLE = LockSession(
    pid=7,
    application="report",
    role="analyst",
    state="idle in transaction",
    transaction_seconds=1.0,
    waiting_seconds=None,
    blocked_by=(),
    holds=True,
)
WAITING = replace(
    IDLE, pid=8, application="pendingctl pod", state="active", waiting_seconds=2.0, blocked_by=(7,), holds=True
)
PREPARED = LockSession(None, None, None, None, None, None, (), holds=True)


@pytest.mark.parametrize(
    ("sessions", "verdict", "said"),
    [
        ([], OK, "nobody waits"),
        # A pod's own transaction, and a wait as there are many.
        ([IDLE], OK, "nobody waits"),
        ([IDLE, replace(WAITING, waiting_seconds=0.2)], OK, "nobody waits"),
        ([IDLE, WAITING], FAIL, "1 session waits for a lock on our tables, the longest for 2 s, held by pid 7 (report"),
        # A claim waits for a second and comes again, but the transaction that it waits for goes on.
        (
            [replace(IDLE, transaction_seconds=30.0), replace(WAITING, waiting_seconds=0.2)],
            FAIL,
            "pid 7 (report, idle in transaction, for 30 s)",
        ),
        ([replace(IDLE, transaction_seconds=10.0)], WARN, "pid 7 (report, idle in transaction, for 10 s) holds locks"),
        ([replace(IDLE, transaction_seconds=600.0)], FAIL, "for 10 min) holds locks"),
        ([PREPARED], WARN, "a prepared transaction holds locks"),
        ([PREPARED, replace(WAITING, blocked_by=(0,))], FAIL, "held by a prepared transaction"),
        ([replace(IDLE, application=None, state=None, transaction_seconds=None)], UNKNOWN, "pid 7 (role analyst)"),
    ],
)
def test_whoever_holds_our_tables_is_named(sessions: list[LockSession], verdict: Verdict, said: str) -> None:
    finding = judge_locks(sessions)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence


def test_of_a_chain_the_session_that_waits_for_nobody_is_to_be_ended() -> None:
    first = replace(IDLE, pid=1, state="active")
    second = replace(WAITING, pid=2, blocked_by=(1,))
    third = replace(WAITING, pid=3, blocked_by=(2,))

    finding = judge_locks([first, second, third])

    assert finding.remedies == ("select pg_cancel_backend(1)",)
    assert "2 sessions wait" in finding.sentence


def test_an_idle_session_is_terminated_and_a_prepared_transaction_rolled_back() -> None:
    assert judge_locks([IDLE, WAITING]).remedies == ("select pg_terminate_backend(7)",)
    (remedy,) = judge_locks([PREPARED]).remedies
    assert "rollback prepared" in remedy


SESSION = Horizon("session", 7, "report", "active", 60.0, 10)


@pytest.mark.parametrize(
    ("facts", "verdict", "said", "remedies"),
    [
        (Horizons((), 0), OK, "no transaction is older than 5 min", ()),
        (Horizons((SESSION,), 0), OK, "no transaction", ()),
        (Horizons((), 4), UNKNOWN, "4 sessions of other roles cannot be seen", None),
        (
            Horizons((replace(SESSION, seconds=7200.0),), 4),
            WARN,
            "pid 7 (report, active) for 2 h",
            ("select pg_cancel_backend(7)",),
        ),
        (
            Horizons((replace(SESSION, seconds=7200.0, state="idle in transaction"),), 0),
            WARN,
            "idle in transaction",
            ("select pg_terminate_backend(7)",),
        ),
        (
            Horizons((Horizon("prepared transaction", None, "it's", None, 90_000.0, 5),), 0),
            WARN,
            "prepared transaction it's for 1 d 1 h",
            ("rollback prepared 'it''s'",),
        ),
        (Horizons((Horizon("replication slot", None, "old", "inactive", None, 5_000),), 0), OK, "no slot", ()),
        (
            Horizons((Horizon("replication slot", None, "old", "inactive", None, 5_000_000),), 0),
            WARN,
            "replication slot old (inactive) for 5,000,000 transactions",
            ("if nobody needs the slot any more: select pg_drop_replication_slot('old')",),
        ),
    ],
)
def test_what_holds_back_vacuum_is_named(
    facts: Horizons, verdict: Verdict, said: str, remedies: tuple[str, ...] | None
) -> None:
    finding = judge_transactions(facts)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert remedies is None or finding.remedies == remedies


def test_of_many_old_transactions_three_are_named() -> None:
    many = tuple(replace(SESSION, pid=pid, seconds=900.0) for pid in range(1, 6))

    finding = judge_transactions(Horizons(many, 0))

    assert finding.sentence.endswith("and 2 more")
    assert len(finding.remedies) == 3


GB = 1 << 30
SLOT = Slot("standby_2", "physical", is_active=True, status="reserved", kept_bytes=32 << 20, safe_bytes=None)
AWAY = replace(SLOT, name="o'hara", kind="logical", is_active=False, status="extended", kept_bytes=3 * GB)


@pytest.mark.parametrize(
    ("slots", "verdict", "said", "remedy"),
    [
        ([], OK, "no replication slot keeps", None),
        ([SLOT], OK, "1 replication slot keeps 32 MB of the log", None),
        # A consumer that is there may be behind by some more, and one that is away for a while.
        ([replace(SLOT, kept_bytes=9 * GB), replace(AWAY, kept_bytes=500 << 20)], OK, "2 replication slots keep", None),
        ([SLOT, AWAY], WARN, "o'hara (logical, inactive) keeps 3.0 GB", "pg_drop_replication_slot('o''hara')"),
        (
            [replace(AWAY, safe_bytes=2 * GB)],
            WARN,
            "keeps 3.0 GB, of which it loses some after 2.0 GB more",
            "max_slot_wal_keep_size",
        ),
        ([replace(SLOT, kept_bytes=20 * GB)], WARN, "standby_2 (physical, active) keeps 20 GB", "is behind"),
        ([replace(AWAY, kept_bytes=None, status="lost")], WARN, "o'hara have not read of the log is gone", "anew"),
        ([replace(SLOT, status="unreserved")], WARN, "or soon will be", "pg_drop_replication_slot('standby_2')"),
    ],
)
def test_slots_that_keep_the_log_are_named(slots: list[Slot], verdict: Verdict, said: str, remedy: str | None) -> None:
    finding = judge_slots(slots)

    assert (finding.verdict, said in finding.sentence) == (verdict, True), finding
    assert (remedy is None and not finding.remedies) or any(remedy in each for each in finding.remedies if remedy)
