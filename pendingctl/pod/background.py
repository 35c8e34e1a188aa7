"""What a pod does beside what it is waited for: tasks that are kept, counted, and ended together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TypeVar

T = TypeVar("T")

# How long work that was cancelled is waited for: it may hold on to an await that does not end.
LAST_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Background:
    """Tasks that outlive their caller; the loop keeps a weak reference alone (Python manual, asyncio.create_task)."""

    def __init__(self) -> None:
        # Each with the context in which it runs, and is reported: what its log lines are about.
        self._tasks: dict[asyncio.Task[object], Context] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        """Run the work as a task of this name, whose outcome the caller awaits."""
        context = copy_context()
        task = asyncio.create_task(work, name=name, context=context)
        self._tasks[task] = context
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[object]) -> None:
        del self._tasks[task]

    def leave(self, work: Coroutine[object, object, object], name: str) -> None:
        """Run the work as a task of this name that nobody awaits: what it raises is logged."""
        self.start(work, name).add_done_callback(_report)

    async def one_done(self, *, within: float | None = None) -> None:
        """Return when one of the present tasks has ended, or after so many seconds; at once when there is none."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)

    async def drain(self, until: float) -> None:
        """Wait for all tasks, also those that they start meanwhile; cancel what is left at `until` (time.monotonic)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(until - time.monotonic()):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        for task, context in self._tasks.items():
            context.run(_log.error, "%s is given up: the pod closes and it is not done", task.get_name())
        await self.cancel()

    async def cancel(self) -> None:
        """Break off all tasks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_SECONDS)


def _report(task: asyncio.Task[object]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s has failed", task.get_name(), exc_info=error)
