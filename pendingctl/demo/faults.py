"""How the demo's Slack fails: as a test wants it to, and by rates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call: `is_done` says whether it is done first, the rest what is replied, if anything.

    The reply comes after `seconds`; `is_silent` holds it back until Slack stops.
    """

    is_done: bool = False
    error: str | None = None
    details: tuple[str, ...] = ()
    status: int = 200
    retry_after: str | None = None
    location: str | None = None
    body: str | None = None
    content_type: str = "text/html"
    hangs_up: bool = False
    is_silent: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """So many calls a second, after `burst` at once. Slack takes about one post a second and channel."""

    per_second: float = 1.0
    burst: int = 3


class Faults:
    """Which calls fail, by method and channel; an empty channel stands for all of them."""

    def __init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], list[Fault]] = defaultdict(list)

    def add(self, method: str, channel: str, *faults: Fault) -> None:
        self._waiting[method, channel] += faults

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, method: str, channel: str) -> Fault | None:
        """Return what happens to this call, the earliest that was added for its channel, else for its method."""
        for key in ((method, channel), (method, "")):
            if self._waiting[key]:
                return self._waiting[key].pop(0)
        return None


class Rates:
    """What Slack limits: a method of one installation in one channel. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.of: dict[str, Rate] = {}
        self._clock = clock
        # The calls that are still free, and when they were counted.
        self._free: dict[tuple[str, str, str], tuple[float, float]] = {}

    def limit(self, bot: str, method: str, channel: str) -> Fault | None:
        """Count a call; return the reply of one too many, whose `Retry-After` is in whole seconds."""
        rate = self.of.get(method)
        if rate is None:
            return None
        now = self._clock()
        free, counted = self._free.get((bot, method, channel), (float(rate.burst), now))
        free = min(rate.burst, free + (now - counted) * rate.per_second)
        is_allowed = free >= 1
        self._free[bot, method, channel] = (free - 1 if is_allowed else free, now)
        if is_allowed:
            return None
        wait = max(1, math.ceil((1 - free) / rate.per_second))
        return Fault(error="ratelimited", status=429, retry_after=str(wait))
