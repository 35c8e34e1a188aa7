"""Streams over a pool, and what the tests of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl.events.following import Following
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from tests.patience import be_patient


@pytest.fixture
def patient_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Appends that wait for a lock for as long as a busy machine takes over what a test does meanwhile."""
    be_patient(monkeypatch, Purpose.APPEND)


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
