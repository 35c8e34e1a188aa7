"""Streams over a pool, and what the tests of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl.events import listening
from pendingctl.events.following import Following
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass no limit of the product's by a pause of the machine; a test of a limit sets that one itself."""
    be_patient(monkeypatch)
    # Half a minute goes by before the next attempt.
    monkeypatch.setattr(listening, "ECHO_SECONDS", 60.0)


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
