"""Races on streams for their limits' part; scripts/test --full runs them."""

from __future__ import annotations

import pytest

from pendingctl.embedded import throwaway_server
from pendingctl.race.faults.context import OwnServer
from pendingctl.race.limits.controls import EXPECTED_LIMIT_CHECKS
from pendingctl.race.streams.plan import StreamFaultKind, StreamRaceSettings
from pendingctl.race.streams.run import race_on_streams
from pendingctl.schema import migrations

pytestmark = pytest.mark.long

FAULTS = (StreamFaultKind.KILL, StreamFaultKind.RESTART, StreamFaultKind.CLOCK_BACK)


@pytest.mark.once
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.law(19)
async def test_the_products_limits_pass_whatever_goes_wrong(seed: int) -> None:
    with throwaway_server() as server:
        migrations.apply(server.dsn)
        settings = StreamRaceSettings(pods=3, rounds=7, appends=4, seed=seed, faults=FAULTS)
        result = await race_on_streams(server.dsn, settings, server=OwnServer(server.restart))

    assert (result.verdict, result.violations, result.reasons) == ("pass", (), ())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("implementation", "check"), EXPECTED_LIMIT_CHECKS.items(), ids=list(EXPECTED_LIMIT_CHECKS))
async def test_a_broken_limiter_is_caught_by_every_seed(dsn: str, implementation: str, check: str, seed: int) -> None:
    faults = (StreamFaultKind.CLOCK_BACK,) if implementation == "no-clamp" else ()
    settings = StreamRaceSettings(2, 4, 4, seed, implementation, faults)

    result = await race_on_streams(dsn, settings)

    assert check in {violation.law for violation in result.violations}
