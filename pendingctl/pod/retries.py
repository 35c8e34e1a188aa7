"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
from datetime import timedelta

LONGEST_DELAY = timedelta(minutes=5)


def retry_delay(first: timedelta, attempt: int) -> timedelta:
    """Return how long to wait after this attempt, counted from 1: doubled each time, with jitter, 5 minutes at most.

    Marc Brooker, "Exponential Backoff And Jitter", 2015.
    """
    longest = min(first.total_seconds() * 2.0 ** min(max(attempt, 1) - 1, 30), LONGEST_DELAY.total_seconds())
    return timedelta(seconds=longest * random.uniform(0.5, 1))
