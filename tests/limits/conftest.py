"""A limiter, and one on another pod."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl import open_pool
from pendingctl.limits import RateLimiter, statements
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose

# A take that gives a locked key up after 0.3 s.
IMPATIENT_TAKE = statements.TAKE


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to give a take up, nor a key that another take has locked."""
    monkeypatch.setattr(Purpose.LIMIT, "seconds", 30.0)
    wait_for_locks(monkeypatch, 20)


def wait_for_locks(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Have takes wait for so long for a locked key, in place of 0.3 s."""
    given_up = f"'{Purpose.LIMIT.lock_timeout}'"
    assert given_up in IMPATIENT_TAKE
    monkeypatch.setattr(statements, "TAKE", IMPATIENT_TAKE.replace(given_up, f"'{seconds}s'"))


@pytest.fixture
def limiter(pool: Pool) -> RateLimiter:
    return RateLimiter(pool, if_unreachable="raise")


@pytest.fixture
async def elsewhere(dsn: str) -> AsyncIterator[RateLimiter]:
    """A limiter of the same database on another pod."""
    async with open_pool(dsn) as pool:
        yield RateLimiter(pool, if_unreachable="raise")
