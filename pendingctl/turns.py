"""Turns by key: of all that has the same key so much goes on at once, and what has another key does not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
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

    @asynccontextmanager
    async def turn(self, key: K) -> AsyncIterator[None]:
        """Wait for a turn of this key, first come, first served."""
        semaphore, users = self._turns.get(key) or (asyncio.Semaphore(self._at_once), 0)
        self._turns[key] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            semaphore, users = self._turns[key]
            if users == 1:
                del self._turns[key]
            else:
                self._turns[key] = (semaphore, users - 1)
