"""Streams over a pool, and what the tests of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl.events.following import Following
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose


@pytest.fixture
def patient_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Appends that wait for a lock for as long as a busy machine takes over what a test does meanwhile."""
    for name, limit in (("seconds", 40.0), ("lock_seconds", 30.0), ("lock_timeout", "30s")):
        monkeypatch.setattr(Purpose.APPEND, name, limit)


@pytest.fixture
async def streams(pool: Pool) -> AsyncIterator[Streams]:
    made = Streams(pool, pod="pod-1")
    yield made
    await made.settled()


@pytest.fixture
async def following(pool: Pool) -> AsyncIterator[Following]:
    following = Following(pool)
    yield following
    await following.drain(0)
