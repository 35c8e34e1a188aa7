"""Races whose server is taken away: it restarts, or its standby takes over, and no accepted answer is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pendingctl.embedded import throwaway_pair, throwaway_server
from pendingctl.race.faults.context import OwnServer
from pendingctl.race.history.files import read_history
from pendingctl.race.history.history import Outcome
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race
from pendingctl.schema import migrations

MAJOR = int(os.environ["PENDINGCTL_TEST_MAJOR"]) if os.environ.get("PENDINGCTL_TEST_MAJOR") else None


@contextmanager
def migrated_server(**settings: str) -> Iterator[tuple[str, OwnServer]]:
    with throwaway_server(major=MAJOR, settings=settings) as server:
        migrations.apply(server.dsn)
        yield server.dsn, OwnServer(server.restart)


@contextmanager
def migrated_pair() -> Iterator[tuple[str, OwnServer]]:
    with throwaway_pair(major=MAJOR) as pair:
        migrations.apply(pair.dsn)
        yield pair.dsn, OwnServer(pair.restart, pair.fail_over)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param((FaultKind.RESTART,), marks=pytest.mark.long),
        pytest.param((FaultKind.FAILOVER,), marks=pytest.mark.long),
        (FaultKind.FAILOVER, FaultKind.RESTART, FaultKind.DISCONNECT, FaultKind.KILL, FaultKind.SWEEP),
    ],
    ids="+".join,
)
@pytest.mark.law(6)
async def test_no_answer_is_lost_with_the_server(tmp_path: Path, kinds: tuple[FaultKind, ...]) -> None:
    settings = RaceSettings(pods=3, questions=25, clicks=6, seed=1, faults=kinds)
    with migrated_pair() if FaultKind.FAILOVER in kinds else migrated_server() as (dsn, server):
        result = await simulate_race(dsn, settings, server=server, history=tmp_path / "history")

    assert (result.verdict, result.reasons, result.violations) == ("pass", (), ())
    assert all(fault.planned == fault.landed > 0 for fault in result.faults)
    _, history, _ = read_history(tmp_path / "history")
    # Of a claim that the bridge tried again the detail is why.
    assert any(each.outcome is Outcome.UNKNOWN or each.detail for each in history.operations)
    assert any(each.outcome is Outcome.REPEATED for each in history.operations)


FORGETFUL = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"}


@pytest.mark.law(6)
async def test_a_server_whose_roles_need_not_wait_for_the_disk_loses_no_answer_either() -> None:
    settings = RaceSettings(pods=3, questions=60, clicks=6, seed=1, faults=(FaultKind.RESTART,))
    with migrated_server(**FORGETFUL) as (dsn, own):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("alter database postgres set synchronous_commit = off")
        result = await simulate_race(dsn, settings, server=own)

    assert (result.verdict, result.reasons, result.violations) == ("pass", (), ())


async def test_a_server_that_forgets_what_it_committed_is_caught() -> None:
    """What a restart must show on a server that replies before its log is on the disk, whatever the statements say."""
    settings = RaceSettings(pods=3, questions=60, clicks=6, seed=1, faults=(FaultKind.RESTART,))
    with migrated_server(**FORGETFUL) as (dsn, own):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "create function forget() returns trigger language plpgsql as "
                "$$ begin perform set_config('synchronous_commit', 'off', true); return null; end $$"
            )
            connection.execute(
                "create trigger forget after update on pending_interactions for each row execute function forget()"
            )
        result = await simulate_race(dsn, settings, server=own)

    assert result.verdict == "fail"
    assert {violation.law for violation in result.violations} & {"winner_is_real", "linearizable"}
