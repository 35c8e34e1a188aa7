"""The limits of one pod's organizations: questions that they ask, and clicks of each person."""

from __future__ import annotations

import hashlib

from ..limits import Decision, RateLimiter
from .metrics import LimitName, Metrics
from .settings import Limits

# So many characters and bytes of an application's name leave room for a person's id in a key, see `check_id`.
_MOST_CHARACTERS = 150
_MOST_BYTES = 450


def connections_of_limits(connections: int) -> int:
    """Return how many of a pool's connections limits share: a take is short, and one that finds none is allowed."""
    return max(1, connections // 5)


class ServedLimits:
    """What is configured, by keys that all pods of one application share; None where there is no such limit.

    The limiter is to allow what it cannot decide: without a database nothing can be asked or claimed anyway, and each
    of these says so itself.
    """

    def __init__(self, limits: Limits, application: str, limiter: RateLimiter, metrics: Metrics) -> None:
        self._limits = limits
        self._application = _within_a_key(application)
        self._limiter = limiter
        self._metrics = metrics

    async def question(self, organization_id: str) -> Decision | None:
        """Take one question of an organization."""
        if self._limits.questions is None:
            return None
        key = f"questions/{self._application}"
        return self._counted(
            LimitName.QUESTIONS, await self._limiter.take(organization_id, key, self._limits.questions)
        )

    async def click(self, organization_id: str, user_id: str) -> Decision | None:
        """Take one click of a person, named with their workspace: the same id is somebody else's in another."""
        if self._limits.clicks is None:
            return None
        # No user's id has a slash in it.
        key = f"clicks/{user_id}/{self._application}"
        return self._counted(LimitName.CLICKS, await self._limiter.take(organization_id, key, self._limits.clicks))

    def _counted(self, name: LimitName, decision: Decision) -> Decision:
        self._metrics.limit(name, is_allowed=decision.allowed, is_known=decision.is_known)
        return decision


def _within_a_key(application: str) -> str:
    encoded = application.encode()
    if len(application) <= _MOST_CHARACTERS and len(encoded) <= _MOST_BYTES:
        return application
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
