"""Turns by key: of all that has the same key so much goes on at once, and what has another key does not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from types import TracebackType
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Lets `at_once` blocks of each key run at the same time; a key is forgotten with its last block."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._turns: dict[K, tuple[asyncio.Semaphore, int]] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def full(self) -> list[K]:
        """Return the keys that have no turn left."""
        return [key for key, (_, users) in self._turns.items() if users >= self._at_once]

    def room(self) -> int:
        """Return how many more turns are left to each key that has one left."""
        return self._at_once - max((users for _, users in self._turns.values() if users < self._at_once), default=0)

    def turn(self, key: K) -> _Turn[K]:
        """Wait for a turn of this key, first come, first served: for `async with`."""
        return _Turn(self._turns, key, self._at_once)


class _Turn(Generic[K]):
    """One block's turn. (A class, since a click takes two turns, and a generator makes each cost twice as much.)"""

    __slots__ = ("_at_once", "_key", "_turns")

    def __init__(self, turns: dict[K, tuple[asyncio.Semaphore, int]], key: K, at_once: int) -> None:
        self._turns = turns
        self._key = key
        self._at_once = at_once

    async def __aenter__(self) -> None:
        semaphore, users = self._turns.get(self._key) or (asyncio.Semaphore(self._at_once), 0)
        self._turns[self._key] = (semaphore, users + 1)
        try:
            await semaphore.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._turns[self._key][0].release()
        self._leave()

    def _leave(self) -> None:
        semaphore, users = self._turns[self._key]
        if users == 1:
            del self._turns[self._key]
        else:
            self._turns[self._key] = (semaphore, users - 1)
