"""A bounded memory: what lives in a pod is a cache, never the truth."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """Remembers at most `count` things for `seconds` each; the oldest goes first.

    `clock` gives seconds that never go back.
    """

    def __init__(self, *, count: int, seconds: float, clock: Callable[[], float]) -> None:
        self._count = count
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        self._expire()
        return len(self._entries)

    def put(self, key: K, value: V) -> None:
        """Remember a value; its age starts now."""
        self._entries.pop(key, None)
        self._entries[key] = (self._clock(), value)
        self._expire()

    def get(self, key: K) -> V | None:
        """Return what is remembered and not too old."""
        self._expire()
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def forget(self, matches: Callable[[K], bool]) -> None:
        """Forget every key that matches."""
        for key in [key for key in self._entries if matches(key)]:
            del self._entries[key]

    def _expire(self) -> None:
        # Entries stand in the order of their age.
        limit = self._clock() - self._seconds
        while self._entries:
            age, _ = next(iter(self._entries.values()))
            if len(self._entries) <= self._count and age > limit:
                return
            self._entries.popitem(last=False)
