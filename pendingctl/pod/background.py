"""What a pod does beside what it is waited for: tasks that are kept, counted, and ended together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Background:
    """Tasks that nobody awaits. The loop itself keeps only a weak reference (Python manual, asyncio.create_task)."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        """Run the work as a task of this name."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def one_done(self) -> None:
        """Return when one of the present tasks has ended; at once when there is none."""
        if self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, until: float) -> None:
        """Wait for all tasks, also those that they start meanwhile; cancel what is left at `until` (time.monotonic)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        late = list(self._tasks)
        for task in late:
            _log.error("%s is given up: the pod closes and it is not done", task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
