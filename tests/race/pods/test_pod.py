"""A race's pod and its coordinator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pendingctl.race.plan.operations import Names
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods import pod, wire
from pendingctl.race.pods.lifetime import EXIT_WITHIN_SECONDS

SETTINGS = RaceSettings(pods=1, questions=2, clicks=4, seed=1)
NAMES = Names("run", "run", "run-foreign")


async def test_a_pod_ends_in_time_where_an_order_is_the_first_to_find_its_coordinator_gone(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stdin may stay open: another process that the coordinator has started holds it."""
    within: list[float] = []

    def nobody_reads(keyword: bytes, _argument: str = "") -> None:
        if keyword == wire.DONE:
            raise BrokenPipeError

    monkeypatch.setattr(wire, "report", nobody_reads)
    monkeypatch.setattr(pod, "exit_within", within.append)
    coordinator = asyncio.StreamReader()
    coordinator.feed_data(wire.encode_order(wire.Order(0, [], 0)))

    with pytest.raises(ExceptionGroup) as failed:
        await pod.serve(wire.Assignment(dsn, "pod-1", 0, 2, SETTINGS, NAMES, str(tmp_path)), coordinator)

    assert failed.group_contains(BrokenPipeError)
    assert within == [EXIT_WITHIN_SECONDS]
