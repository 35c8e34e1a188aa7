"""Races with faults, and what is expected of each."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from pendingctl.race.history.files import read_history
from pendingctl.race.history.history import History
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race
from pendingctl.race.verdict.report import RaceResult
from tests.race.results import assert_nothing_is_wrong

Raced: TypeAlias = tuple[RaceResult, History]


async def raced(dsn: str, folder: Path, *kinds: FaultKind, questions: int = 10, seed: int = 1) -> Raced:
    settings = RaceSettings(pods=3, questions=questions, clicks=6, seed=seed, faults=kinds)
    result = await simulate_race(dsn, settings, history=folder / "history")
    return result, read_history(folder / "history")[1]


def assert_it_landed_and_passed(result: RaceResult) -> None:
    assert_nothing_is_wrong(result)
    assert result.faults
    assert all(fault.planned == fault.landed > 0 for fault in result.faults)
