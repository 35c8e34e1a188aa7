"""Races that take minutes; scripts/test --full runs them."""

from __future__ import annotations

import pytest

from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race

pytestmark = pytest.mark.long


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.law(1)
async def test_the_correct_claim_passes_however_long_the_race(dsn: str, seed: int) -> None:
    result = await simulate_race(dsn, RaceSettings(pods=6, questions=1_500, clicks=12, seed=seed))

    assert (result.verdict, result.violations, result.winners) == ("pass", (), 1_500)


@pytest.mark.parametrize("seed", range(10))
async def test_the_broken_claim_is_caught_by_every_seed(dsn: str, seed: int) -> None:
    settings = RaceSettings(pods=2, questions=20, clicks=8, seed=seed, implementation="select-then-update")

    result = await simulate_race(dsn, settings)

    assert result.verdict == "fail"
    assert "single_winner" in {violation.law for violation in result.violations}
