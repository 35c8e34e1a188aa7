"""A limiter, and one on another pod."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl import open_pool
from pendingctl.limits import RateLimiter
from pendingctl.postgres.connections import Pool


@pytest.fixture
def limiter(pool: Pool) -> RateLimiter:
    return RateLimiter(pool, if_unreachable="raise")


@pytest.fixture
async def elsewhere(dsn: str) -> AsyncIterator[RateLimiter]:
    """A limiter of the same database on another pod."""
    async with open_pool(dsn) as pool:
        yield RateLimiter(pool, if_unreachable="raise")
