"""What a pod remembers of denials: within a second the same key need not be looked at again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from .model import Limit

# The longest that a pod denies by what it remembers: a reset elsewhere counts here after that.
SECONDS = 1.0
MOST = 10_000

Key = tuple[str, str, Limit]


@dataclass(frozen=True, slots=True)
class _Denial:
    """So much of the burst's time was used at some moment between these two, of `time.monotonic`."""

    asked_at: float
    told_at: float
    used_seconds: float


class Denials:
    """The last denials of one pod, the oldest first: at most 10,000, of the last second."""

    def __init__(self) -> None:
        self._denials: OrderedDict[Key, _Denial] = OrderedDict()

    def __len__(self) -> int:
        return len(self._denials)

    def note(self, key: Key, *, asked_at: float, told_at: float, used_seconds: float) -> None:
        """Remember a denial."""
        self._denials[key] = _Denial(asked_at, told_at, used_seconds)
        self._denials.move_to_end(key)
        while self._denials and (len(self._denials) > MOST or self._first.asked_at < told_at - SECONDS):
            self._denials.popitem(last=False)

    @property
    def _first(self) -> _Denial:
        return next(iter(self._denials.values()))

    def used_seconds(self, key: Key, cost: int, now: float) -> float | None:
        """Return what of the burst's time is used at most, where this cost is surely denied; None where it may not be.

        It is used by nobody but takes, which would use more, and given back by the clock alone, or by a reset.
        """
        # To look a key up takes the hash of its limit.
        denial = self._denials.get(key) if self._denials else None
        if denial is None:
            return None
        if now >= denial.asked_at + SECONDS:
            del self._denials[key]
            return None
        limit = key[2]
        least = denial.used_seconds - (now - denial.asked_at)
        if least <= (limit.unit * (limit.burst - cost)).total_seconds():
            return None
        return denial.used_seconds - (now - denial.told_at)

    def forget(self, organization_id: str, key: str) -> None:
        """Forget the denials of a key, by whatever limit."""
        for each in [each for each in self._denials if each[:2] == (organization_id, key)]:
            del self._denials[each]
