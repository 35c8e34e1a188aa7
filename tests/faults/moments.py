"""Moments that the tests of faults wait for; what does not come in time is an answer, not an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

# For the reply to a click of which a test wants something else than that it comes in time.
PATIENCE = timedelta(seconds=30)


async def came_true(condition: Callable[[], bool], seconds: float = 12) -> bool:
    """Whether this is so within so many seconds, not counting those in which this process does not run.

    The default is below the limits of a pod's platform (15 s for an edit, 20 s for a post) and its leases (30 s): what
    comes after those is late.
    """
    for _ in range(int(seconds * 100)):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return condition()
