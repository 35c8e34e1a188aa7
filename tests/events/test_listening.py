"""LISTEN for the wake-ups of other pods, until whoever listens is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from pendingctl.events.listening import Listening
from pendingctl.postgres.connections import Pool


@pytest.mark.parametrize("steps", range(6))
async def test_a_cancellation_is_heeded_in_whichever_moment_of_an_echo_it_comes(
    dsn: str, pool: Pool, steps: int
) -> None:
    echoed = asyncio.Event()

    class Echoed(asyncio.Event):
        def set(self) -> None:
            super().set()
            echoed.set()

    async def where() -> str:
        return dsn

    listening = Listening(pool, where, lambda _: None, lambda: None)
    listening._echoed = Echoed()
    running = asyncio.create_task(listening.run())
    async with asyncio.timeout(30):
        await echoed.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()

    done, _ = await asyncio.wait([running], timeout=20)
    assert done
    assert running.cancelled()
