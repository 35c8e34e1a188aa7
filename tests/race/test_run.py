"""Races as they are run: pods are processes, the database is real, and nothing is left of either."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import psycopg.sql
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.errors import InvalidInput, NotFound
from pendingctl.model import Outcome
from pendingctl.race import coordinator, run, sessions
from pendingctl.race.history.files import read_history
from pendingctl.race.history.history import Reason
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods import dispatcher
from pendingctl.race.run import simulate_race
from tests.processes import ending, processes
from tests.race.results import assert_nothing_is_wrong

COORDINATOR = """
import asyncio, sys
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race

async def main():
    settings = RaceSettings(pods=2, questions=1_000_000, clicks=4, seed=1, duration_seconds=600)
    await simulate_race(sys.stdin.readline().strip(), settings, on_progress=lambda _: print("going", flush=True))

asyncio.run(main())
"""


HOLDS_A_ROW = """
    select from pg_stat_activity
    where datname = current_database() and state = 'idle in transaction' and backend_xid is not null
          and state_change < clock_timestamp() - interval '40 ms'
"""

SESSION_OF_A_POD = """
    select application_name from pg_stat_activity
    where datname = current_database() and application_name like 'pendingctl-race-%'
"""


def left_behind(connection: psycopg.Connection) -> list[str]:
    """What a run must not leave, given the organizations acme and globex of every test database."""
    rows = connection.execute(
        "select id from pending_interactions union all select id from organization where id not in ('acme', 'globex')"
    ).fetchall()
    heard = connection.execute("select application from pending_applications").fetchall()
    noted = connection.execute("select pod from pending_pods").fetchall()
    trail = connection.execute("select distinct question_id from pending_trail").fetchall()
    return [row[0] for row in (*rows, *heard, *noted, *trail)]


def pods_of(coordinator: int) -> list[int]:
    return [each.pid for each in processes() if each.parent == coordinator and "pendingctl.race" in each.command]


def is_running(pid: int) -> bool:
    return any(each.pid == pid for each in processes())


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "pods are still running"
        time.sleep(0.05)


def is_stopped_within_a_transaction(connection: psycopg.Connection, pod: int) -> bool:
    """Stop a pod, and let it go on unless it has locked a row at that moment."""
    os.kill(pod, signal.SIGSTOP)
    # Another pod's transaction is over by then.
    time.sleep(0.05)
    if connection.execute(HOLDS_A_ROW).fetchone() is not None:
        return True
    os.kill(pod, signal.SIGCONT)
    return False


def at_question(number: int, act: Callable[[], None]) -> Callable[[int], None]:
    def on_progress(done: int) -> None:
        if done == number:
            act()

    return on_progress


@pytest.mark.law(1, 2, 7)
async def test_a_race_on_the_correct_claim_passes_and_leaves_nothing(dsn: str, connection: psycopg.Connection) -> None:
    progress: list[int] = []

    result = await simulate_race(dsn, RaceSettings(pods=3, questions=15, clicks=8, seed=1), on_progress=progress.append)

    assert (result.verdict, result.violations, result.reasons) == ("pass", (), ())
    assert (result.questions, result.clicks, result.winners) == (15, 120, 15)
    # A click of which nobody learnt what became of it is tried again.
    assert sum(number for outcome, number in result.outcomes.items() if outcome not in ("failed", "unknown")) == 120
    assert sum(pod.wins for pod in result.pods) == result.outcomes["won"]
    assert {kind for kind, outcomes in result.operations.items() if "ok" in outcomes} == {
        "put",
        "claim",
        "delete",
        "deliver",
        "ask",
        "withdraw",
    }
    assert {"already_answered", "not_yours", "unknown_or_expired", "repeated"} <= result.outcomes.keys()
    assert [pod.name for pod in result.pods] == ["pod-1", "pod-2", "pod-3"]
    assert {each.name: each.verdict for each in result.checks}["trail_is_the_history"] == "pass"
    assert progress[-1] == 15
    assert left_behind(connection) == []
    assert pods_of(os.getpid()) == []


@pytest.mark.parametrize("seed", [1, 2], ids=["no card can be found", "cards can be found"])
@pytest.mark.law(13, 14)
async def test_a_race_has_questions_that_end_in_every_way_and_cards_of_every_kind(
    dsn: str, tmp_path: Path, seed: int
) -> None:
    # A slow machine may post a card only after its question's deadline, or when it is too late to remind anybody of it;
    # another race may have it in time.
    for number in range(5):
        folder = tmp_path / str(number)
        result = await simulate_race(dsn, RaceSettings(3, 10, 4, seed + 2 * number), history=folder)

        _, history, _ = read_history(folder)
        assert_nothing_is_wrong(result)
        by_label = {each.id.rpartition("-")[2]: each for each in history.rows}
        shown = {each.question_id.rpartition("-")[2] for each in history.card_posts}
        if by_label["d2"].outcome != "expired" and "d0" in shown and history.reminders:
            break
    assert {each.outcome for each in history.hand_overs} == set(Outcome)
    assert by_label["d2"].outcome == "defaulted"
    assert "d5" not in by_label
    assert {"d0", "d4", "d6"} <= shown
    assert "d5" not in shown
    reasons = {each.reported.reason for each in history.operations}
    assert {Reason.EXPIRED, Reason.NOT_YOURS, Reason.ROLLED_BACK} <= reasons
    assert history.reminders


@pytest.mark.parametrize("seed", [1, 2])
async def test_select_then_update_is_caught_by_single_winner(
    dsn: str, connection: psycopg.Connection, seed: int
) -> None:
    # Of few pods' clicks no two may meet between their two statements.
    settings = RaceSettings(pods=4, questions=20, clicks=8, seed=seed, implementation="select-then-update")

    result = await simulate_race(dsn, settings)

    assert result.verdict == "fail"
    assert "single_winner" in {violation.law for violation in result.violations}
    assert left_behind(connection) == []


@pytest.mark.law(17)
@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_trail_beside_the_claim_is_caught_by_its_check_alone(
    dsn: str, connection: psycopg.Connection, seed: int
) -> None:
    settings = RaceSettings(3, 12, 6, seed, implementation="trail-beside-the-claim", faults=(FaultKind.KILL,))

    result = await simulate_race(dsn, settings)

    assert {violation.law for violation in result.violations} == {"trail_is_the_history"}
    assert left_behind(connection) == []


async def test_where_the_database_keeps_no_trail_nothing_is_looked_for_in_it(
    dsn: str, connection: psycopg.Connection
) -> None:
    database = psycopg.sql.Identifier(connection.info.dbname)
    connection.execute(psycopg.sql.SQL("alter database {} set pendingctl.trail = off").format(database))

    result = await simulate_race(dsn, RaceSettings(2, 5, 8, 1))

    assert_nothing_is_wrong(result)
    assert {each.name: each.verdict for each in result.checks}["trail_is_the_history"] == "skipped"


@pytest.mark.parametrize("clicks", [1, 2, 3])
async def test_a_race_of_few_clicks_is_judged(dsn: str, clicks: int) -> None:
    result = await simulate_race(dsn, RaceSettings(pods=2, questions=10, clicks=clicks, seed=1))

    assert (result.violations, result.winners) == ((), 10)
    if clicks == 1:
        assert result.verdict == "inconclusive"
        assert "contended" in result.reasons[0]


async def test_a_race_in_an_existing_organization_touches_nothing_else_of_it(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)"
        " values ('theirs', 'acme', 'slack', 'U1', '{}')"
    )

    result = await simulate_race(dsn, RaceSettings(2, 5, 8, 1, organization_id="acme"))

    assert_nothing_is_wrong(result)
    assert result.winners == 5
    assert left_behind(connection) == ["theirs"]
    assert connection.execute("select count(*) from organization where id = 'acme'").fetchone() == (1,)


async def test_an_organization_that_does_not_exist_is_an_error(dsn: str, connection: psycopg.Connection) -> None:
    with pytest.raises(NotFound):
        await simulate_race(dsn, RaceSettings(2, 5, 8, 1, organization_id="nobody"))

    assert left_behind(connection) == []


async def test_where_organizations_cannot_be_created_an_existing_one_serves(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute("alter table organization add column name text not null default 'x'")
    connection.execute("alter table organization alter column name drop default")

    with pytest.raises(InvalidInput, match="--org"):
        await simulate_race(dsn, RaceSettings(2, 5, 8, 1))
    result = await simulate_race(dsn, RaceSettings(2, 5, 8, 1, organization_id="acme"))

    assert_nothing_is_wrong(result)
    assert result.winners == 5
    assert left_behind(connection) == []


async def test_a_pod_that_is_killed_makes_the_race_inconclusive(
    dsn: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    def kill() -> None:
        os.kill(pods_of(os.getpid())[0], signal.SIGKILL)

    result = await simulate_race(dsn, RaceSettings(2, 500, 8, 1), on_progress=at_question(5, kill))

    assert (result.verdict, result.violations) == ("inconclusive", ())
    assert any("SIGKILL" in reason for reason in result.reasons)
    assert left_behind(connection) == []
    assert pods_of(os.getpid()) == []
    # All orders of the pod were lost at once: nothing is logged about those that were not the first.
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_pod_that_hangs_with_a_row_locked_is_ended_and_makes_the_race_inconclusive(
    dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging: list[int] = []

    def stop(done: int) -> None:
        if done >= 5 and not hanging and is_stopped_within_a_transaction(connection, pod := pods_of(os.getpid())[0]):
            hanging.append(pod)
            # Longer than any burst of the plan lasts; what was ordered before has a minute.
            monkeypatch.setattr(dispatcher, "QUESTION_SECONDS", 2.0)

    settings = RaceSettings(2, 1_000_000, 8, 1, duration_seconds=600)
    result = await simulate_race(dsn, settings, on_progress=stop)

    assert hanging
    assert (result.verdict, result.violations) == ("inconclusive", ())
    assert any("did not report within" in reason for reason in result.reasons)
    assert left_behind(connection) == []
    assert pods_of(os.getpid()) == []


async def test_a_fault_that_hangs_makes_the_race_inconclusive(
    dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "STRIKE_SECONDS", 0.0)

    result = await simulate_race(dsn, RaceSettings(2, 10, 8, 1, faults=(FaultKind.TERMINATE,)))

    assert (result.verdict, result.violations) == ("inconclusive", ())
    assert "the fault terminate was not over within 0 s" in result.reasons
    assert left_behind(connection) == []


async def test_what_a_killed_pod_has_sent_is_removed_too(
    dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CLEAN_UP_SECONDS", 120.0)
    monkeypatch.setattr(sessions, "ENDED_SECONDS", 60.0)
    going = asyncio.Event()
    settings = RaceSettings(2, 1_000_000, 4, 1, duration_seconds=600)
    race = asyncio.create_task(simulate_race(dsn, settings, on_progress=at_question(3, going.set)))
    async with asyncio.timeout(120):
        await going.wait()
    row = connection.execute(SESSION_OF_A_POD).fetchone()
    assert row is not None
    (name,) = row

    async with await psycopg.AsyncConnection.connect(make_conninfo(dsn, application_name=name)) as late:
        pods = pods_of(os.getpid())
        race.cancel()
        await asyncio.to_thread(wait_until_gone, pods)
        # Whoever waits for no session has removed everything by then.
        await asyncio.sleep(0.5)
        other = f"{name}-other"
        await late.execute("insert into pending_applications (application, outcomes) values (%s, '{}')", [other])
    with pytest.raises(asyncio.CancelledError):
        await race

    assert left_behind(connection) == []


async def test_a_cancelled_race_leaves_nothing(dsn: str, connection: psycopg.Connection) -> None:
    going = asyncio.Event()
    settings = RaceSettings(2, 1_000_000, 4, 1, duration_seconds=600)
    race = asyncio.create_task(simulate_race(dsn, settings, on_progress=at_question(3, going.set)))
    async with asyncio.timeout(120):
        await going.wait()

    race.cancel()
    await asyncio.sleep(0)
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race

    assert left_behind(connection) == []
    assert pods_of(os.getpid()) == []


def test_control_c_leaves_neither_rows_nor_pods(dsn: str, connection: psycopg.Connection) -> None:
    with coordinating(dsn) as process:
        pods = going_pods(process)
        process.send_signal(signal.SIGINT)
        process.wait(120)

    assert process.returncode != 0
    assert len(pods) == 2
    assert not any(is_running(pid) for pid in pods)
    assert left_behind(connection) == []


def test_pods_end_with_a_coordinator_that_is_killed(dsn: str) -> None:
    with coordinating(dsn) as process:
        pods = going_pods(process)
        process.kill()
        process.wait(120)

    assert len(pods) == 2
    wait_until_gone(pods)


def test_a_pod_shows_the_connection_string_to_nobody(dsn: str) -> None:
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with coordinating(dsn) as process:
        pods = going_pods(process)
        shown = " ".join(each.command for each in processes() if each.pid in pods)
        if Path("/proc/self").exists():
            shown += " ".join(Path("/proc", str(pid), "environ").read_text(errors="replace") for pid in pods)
        process.send_signal(signal.SIGINT)
        process.wait(120)

    assert "pendingctl.race" in shown
    assert str(database) not in shown


@contextmanager
def coordinating(dsn: str) -> Iterator[subprocess.Popen[str]]:
    """A process that races for much longer than any test takes."""
    process = subprocess.Popen(
        [sys.executable, "-c", COORDINATOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    )
    with ending(process):
        assert process.stdin is not None
        process.stdin.write(dsn + "\n")
        process.stdin.flush()
        yield process


def going_pods(process: subprocess.Popen[str]) -> list[int]:
    """The pods, once the first question has been answered."""
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    return pods_of(process.pid)
