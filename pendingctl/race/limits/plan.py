"""What the pods of a race take from limits, and which limiters can be raced. Pure: a seed fixes it."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from ...limits.model import Limit

# What can be raced besides the product's own; `controls.limiter_for` builds each of them.
LIMIT_IMPLEMENTATIONS = ("select-then-update", "table-lock-nowait", "upsert-only", "no-clamp")

SECOND = timedelta(seconds=1)
# From this key all pods take at once, in both organizations, much faster than it allows.
HOT = "hot"
_HOT_LIMIT = Limit(50, SECOND, burst=5)
# From its own key a pod takes one after the other, and far less than it allows in any round.
_OWN_LIMIT = Limit(1_000, SECOND, burst=50)
# The key of a round is used up at once, and stays so.
_SPENT_LIMIT = Limit(1, timedelta(hours=1), burst=3)
TAKES = 8
MOST_COST = 3


def own_key(pod: int) -> str:
    """Return the key from which this pod alone takes."""
    return f"own{pod}"


def spent_key(round_number: int) -> str:
    """Return the key that the pods use up in this round."""
    return f"spent{round_number}"


def limit_of(key: str) -> Limit:
    """Return the limit of a key of the race."""
    if key == HOT:
        return _HOT_LIMIT
    return _OWN_LIMIT if key.startswith("own") else _SPENT_LIMIT


def plan_costs(seed: int, pod: int, round_number: int, taker: str) -> list[int]:
    """Return what a taker of a pod takes in a round, in order."""
    random = Random(f"{seed}/{pod}/{round_number}/{taker}")
    return random.choices((1, 2, MOST_COST), (3, 2, 1), k=TAKES)
