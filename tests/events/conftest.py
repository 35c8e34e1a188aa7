from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl.events.following import Following
from pendingctl.postgres.connections import Pool


@pytest.fixture
async def following(pool: Pool) -> AsyncIterator[Following]:
    following = Following(pool)
    yield following
    await following.drain(0)
