"""Giving the pods their orders, and knowing which of them are still to be carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Self

from .plan import PlannedQuestion
from .processes import PodProcess
from .wire import Fire

QUESTION_SECONDS = 60.0


class RaceBrokenOff(Exception):
    """A pod was lost that no fault has killed, or did not report in time: nothing more is fired."""

    def __init__(self, message: str, late: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.late = late


class Board:
    """Which pods have yet to report which orders, as their news come in."""

    def __init__(self) -> None:
        self.waiting: dict[int, set[str]] = {}
        self.aimed: dict[int, int] = {}
        self.pods: dict[int, PodProcess] = {}
        self._orders = count(1)
        self._news = asyncio.Event()

    def hear_done(self, pod: str, order: int) -> None:
        """A pod has carried out an order."""
        self.waiting.get(order, set()).discard(pod)
        self._news.set()

    def hear_aimed(self, _pod: str, order: int, port: int) -> None:
        """The aimed operation of an order is about to be sent."""
        self.aimed[order] = port
        self._news.set()

    def hear_changed(self) -> None:
        """A pod has become ready, or is gone."""
        self._news.set()

    def pods_at(self, question: PlannedQuestion, burst: int = 0) -> list[PodProcess]:
        """The present pods that have a part in a burst."""
        return [self.pods[number] for number in sorted({each.pod for each in question.bursts[burst].operations})]

    def give(
        self,
        pods: Sequence[PodProcess],
        question: PlannedQuestion,
        burst: int = 0,
        *,
        only: str | None = None,
        without: str | None = None,
        aim: bool = False,
        again: bool = False,
    ) -> int:
        """Let the pods fire, and return the order's number."""
        order = next(self._orders)
        self.waiting[order] = {pod.name for pod in pods}
        fire = Fire(order, question.label, burst, only, without, aim, again)
        for pod in pods:
            pod.fire(fire)
        return order

    async def carried_out(self, order: int) -> None:
        """Return when the pods have carried an order out. Raises RaceBrokenOff when one is late or gone."""
        waiting = self.waiting[order]
        if not await self.until(lambda: not waiting or self._is_lost(waiting), QUESTION_SECONDS):
            late = sorted(waiting)
            raise RaceBrokenOff(f"{', '.join(late)} did not report within {QUESTION_SECONDS:g} s", late)
        if waiting:
            raise RaceBrokenOff(f"{', '.join(sorted(waiting))} was lost")
        del self.waiting[order]

    async def fire(self, question: PlannedQuestion) -> None:
        """Let all that is planned for a question happen. Raises RaceBrokenOff."""
        for number, burst in enumerate(question.bursts):
            if burst.after_ms:
                await asyncio.sleep(burst.after_ms / 1000)
            await self.carried_out(self.give(self.pods_at(question, number), question, number))

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until the condition holds; return False when it did not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Whoever hears the news clears it for all, so each waiter looks again after every turn.
                while not condition():
                    news = self._news
                    await news.wait()
                    if news is self._news:
                        self._news = asyncio.Event()
                return True
        return condition()

    def _is_lost(self, names: set[str]) -> bool:
        present = {pod.name: pod for pod in self.pods.values()}
        return any(name not in present or present[name].gone for name in names)


class Window:
    """So many questions at a time, and no more; on leaving nothing of it goes on."""

    def __init__(self, board: Board, at_once: int) -> None:
        self._board = board
        self._at_once = at_once
        self._firing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.drain()
        finally:
            for task in self._firing:
                task.cancel()
            await asyncio.gather(*self._firing, return_exceptions=True)

    async def fire(self, question: PlannedQuestion) -> None:
        """Fire at a question, and return when there is room for another one. Raises RaceBrokenOff."""
        self._firing.add(asyncio.create_task(self._board.fire(question)))
        await self._until(self._at_once - 1)

    async def drain(self) -> None:
        """Return when all that was fired has ended. Raises RaceBrokenOff."""
        await self._until(0)

    async def _until(self, at_most: int) -> None:
        while len(self._firing) > at_most:
            finished, self._firing = await asyncio.wait(self._firing, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()
