"""A sweeper races with everything: it takes the race's rows alone, and one that meets nobody proves nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race import coordinator
from pendingctl.race.history.history import History
from pendingctl.race.plan.operations import OperationKind
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race
from tests.race.faults.races import assert_it_landed_and_passed, raced


@pytest.mark.law(8)
async def test_a_sweeper_races_with_everything_and_takes_only_the_races_rows(
    dsn: str, tmp_path: Path, connection: psycopg.Connection
) -> None:
    connection.execute(
        "insert into pending_interactions"
        " (id, organization_id, connection_id, expected_user_id, entry_payload, created_at)"
        " values ('theirs', 'acme', 'slack', 'U1', '{}', now() - interval '90 years')"
    )

    result, history = await raced(dsn, tmp_path, FaultKind.SWEEP)

    assert_it_landed_and_passed(result)
    sweeps = [each for each in history.operations if each.kind is OperationKind.SWEEP]
    assert any(each.reported.ids for each in sweeps)
    assert {check.name: check.verdict for check in result.checks}["sweep_took_only_stale_rows"] == "pass"
    assert connection.execute("select id from pending_interactions").fetchall() == [("theirs",)]


def swept_questions(history: History) -> set[str]:
    """The labels of the questions that the pods store and sweep."""
    sweeps = [each.planned.name for each in history.operations if each.kind is OperationKind.SWEEP]
    return {name.partition(".")[0] for name in sweeps}


@pytest.mark.once
async def test_a_sweeper_that_has_met_nobody_goes_on_until_it_does(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    has_raced = coordinator._raced_with_a_sweep

    def not_at_first(directory: Path) -> bool:
        looks.append(has_raced(directory))
        return len(looks) > 2 and looks[-1]

    monkeypatch.setattr(coordinator, "_raced_with_a_sweep", not_at_first)

    result, history = await raced(dsn, tmp_path, FaultKind.SWEEP, questions=4)

    assert_it_landed_and_passed(result)
    assert swept_questions(history) >= {"x0", "x1", "x2", "x3", "x4", "x5"}


@pytest.mark.once
async def test_a_sweeper_that_meets_nobody_gives_up_and_makes_the_race_inconclusive(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_directory: Path) -> bool:
        return False

    monkeypatch.setattr(coordinator, "_raced_with_a_sweep", never)
    monkeypatch.setattr(coordinator, "MORE_TO_SWEEP", 2)

    result, history = await raced(dsn, tmp_path, FaultKind.SWEEP, questions=4)

    assert (result.verdict, result.violations) == ("inconclusive", ())
    assert any("no sweep took a row while something was done to it" in reason for reason in result.reasons)
    assert swept_questions(history) == {"x0", "x1", "x2", "x3", "x4", "x5"}


async def test_two_races_do_not_sweep_one_database(dsn: str, connection: psycopg.Connection) -> None:
    going = asyncio.Event()
    settings = RaceSettings(2, 1_000_000, 4, 1, faults=(FaultKind.SWEEP,), duration_seconds=600)
    first = asyncio.create_task(simulate_race(dsn, settings, on_progress=lambda _: going.set()))
    async with asyncio.timeout(120):
        await going.wait()

    with pytest.raises(InvalidInput, match="another race sweeps this database"):
        await simulate_race(dsn, settings)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)
