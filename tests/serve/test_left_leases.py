"""What the demo's page says of pods that were killed: which card or answer they held, and for how long yet."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from pendingctl import PendingStore
from pendingctl.demo.leases import LeftLeases
from pendingctl.postgres.connections import Pool
from tests.deliveries import LEASE, claimed
from tests.questions import PAYLOAD, SCOPE
from tests.sse.event_source import until


@pytest.mark.once
async def test_a_killed_pod_leaves_what_it_had_leased_also_when_it_serves_again(pool: Pool) -> None:
    serving = {"A": True, "B": True}
    leases = LeftLeases(serving.__getitem__)
    a, b = (PendingStore(pool, pod=name) for name in "AB")
    looking = asyncio.create_task(leases.look(a.inspection))

    def left() -> tuple[str | None, str] | None:
        return None if leases.first is None else (leases.first.pod, leases.first.what)

    try:
        serving["A"] = False
        await b.put("b", SCOPE, PAYLOAD, show=True, posting=LEASE / 2)
        await a.put("a", SCOPE, PAYLOAD, show=True, posting=LEASE)
        await until(lambda: left() == ("A", "post"))
        assert leases.first is not None
        assert 0 < leases.first.seconds_left <= LEASE.total_seconds()

        serving["A"] = True
        answer = await claimed(a, "a")
        await until(lambda: left() is None)
        serving["A"] = False
        await until(lambda: left() == ("A", "delivery"))
        serving["A"] = True
        assert await b.leases.mark_delivered(answer)
        await until(lambda: left() is None)
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
