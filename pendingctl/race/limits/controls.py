"""The limiters that can be raced: the product's own, and those with which the checker is seen to fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ...limits.limiter import RateLimiter
from ...limits.model import Decision, Limit
from ...postgres.connections import ConnectionSource
from .broken_limits import BrokenLimiter, NoClamp, SelectThenUpdate, TableLockNowait, UpsertOnly
from .plan import LIMIT_IMPLEMENTATIONS

# The check by which each control must be found.
EXPECTED_LIMIT_CHECKS: Mapping[str, str] = {
    "select-then-update": "limit_never_exceeded",
    "table-lock-nowait": "no_false_denial",
    "upsert-only": "denial_writes_nothing",
    "no-clamp": "clock_set_back_costs_one_burst",
}

_LIMITERS: Mapping[str, type[BrokenLimiter]] = {
    "select-then-update": SelectThenUpdate,
    "table-lock-nowait": TableLockNowait,
    "upsert-only": UpsertOnly,
    "no-clamp": NoClamp,
}

assert set(EXPECTED_LIMIT_CHECKS) == set(_LIMITERS) == set(LIMIT_IMPLEMENTATIONS)


class Limiter(Protocol):
    """Whatever decides takes."""

    async def take(self, organization_id: str, key: str, limit: Limit, cost: int = 1) -> Decision:
        """Take, or be denied."""
        ...


def limiter_for(implementation: str, source: ConnectionSource) -> Limiter:
    """Return a new limiter of an implementation; those that are not of limits have the product's own."""
    broken = _LIMITERS.get(implementation)
    return RateLimiter(source, if_unreachable="raise") if broken is None else broken(source)
