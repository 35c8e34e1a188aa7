"""Races on streams that take minutes: every fault there is, with several seeds; scripts/test --full runs them."""

from __future__ import annotations

import pytest

from pendingctl.embedded import throwaway_pair
from pendingctl.race.faults.context import OwnServer
from pendingctl.race.streams.plan import LASTING, StreamFaultKind, StreamRaceSettings, rounds_for
from pendingctl.race.streams.pooler import find_pgbouncer
from pendingctl.race.streams.run import race_on_streams
from pendingctl.race.streams.self_test import self_test
from pendingctl.schema import migrations
from tests.race.faults.test_servers import MAJOR, migrated_server

pytestmark = [pytest.mark.long, pytest.mark.once]

SUDDEN = tuple(kind for kind in StreamFaultKind if kind not in LASTING and kind is not StreamFaultKind.FAILOVER)
SEEDS = (1, 2, 3)


def raced_with(faults: tuple[StreamFaultKind, ...], seed: int) -> StreamRaceSettings:
    return StreamRaceSettings(pods=3, rounds=rounds_for(faults), appends=6, seed=seed, faults=faults)


async def passes(dsn: str, server: OwnServer, settings: StreamRaceSettings) -> None:
    result = await race_on_streams(dsn, settings, server=server)

    assert (result.verdict, result.violations, result.reasons) == ("pass", (), ())
    assert all(fault.planned == fault.landed == 1 for fault in result.faults)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lasting", [None, *sorted(LASTING)])
@pytest.mark.law(18)
async def test_nothing_is_lost_whatever_goes_wrong(lasting: StreamFaultKind | None, seed: int) -> None:
    if lasting is StreamFaultKind.POOLER and find_pgbouncer() is None:
        pytest.skip("PgBouncer is not installed on this machine (Debian's package pgbouncer)")
    with migrated_server() as (dsn, server):
        await passes(dsn, server, raced_with((*SUDDEN, *([lasting] if lasting else [])), seed))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.law(18)
async def test_readers_are_told_what_a_failover_has_lost_whatever_else_goes_wrong(seed: int) -> None:
    with throwaway_pair(major=MAJOR, is_synchronous=False) as pair:
        migrations.apply(pair.dsn)
        server = OwnServer(pair.restart, pair.fail_over, pair.fall_behind)
        await passes(pair.dsn, server, raced_with((*SUDDEN, StreamFaultKind.FAILOVER), seed))


async def test_every_seed_catches_every_broken_stream() -> None:
    with migrated_server() as (dsn, server):
        settings = StreamRaceSettings(pods=2, rounds=4, appends=6, seed=1)
        result = await self_test(lambda each: race_on_streams(dsn, each, server=server), settings, seeds=3)

    assert (result.correct.passed, result.correct.said) == (3, ())
    assert [control for control in result.controls if control.caught < control.seeds] == []
