"""Giving the pods their orders, and knowing which of them are still to be carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Self

from .plan import PlannedQuestion
from .processes import PodProcess
from .schedule import Moment
from .wire import Fire, encode_fire

QUESTION_SECONDS = 60.0


class RaceBrokenOff(Exception):
    """A pod was lost that no fault has killed, or did not report in time: nothing more is fired."""

    def __init__(self, message: str, late: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.late = late


class Board:
    """Which pods have yet to report which orders, as their news come in."""

    def __init__(self) -> None:
        self.pods: dict[int, PodProcess] = {}
        self.aimed: dict[int, int] = {}
        self._waiting: dict[int, set[str]] = {}
        # An event for each order, so that its news wake nobody who waits for another one.
        self._carried_out: dict[int, asyncio.Event] = {}
        self._orders = count(1)
        self._news = asyncio.Event()

    def hear_done(self, pod: str, order: int) -> None:
        """A pod has carried out an order."""
        waiting = self._waiting.get(order, set())
        waiting.discard(pod)
        if not waiting and order in self._carried_out:
            self._carried_out[order].set()

    def hear_aimed(self, order: int, port: int) -> None:
        """The aimed operation of an order is about to be sent."""
        self.aimed[order] = port
        self._news.set()

    def hear_changed(self) -> None:
        """A pod has become ready, or is gone."""
        self._news.set()
        present = {pod.name for pod in self.pods.values() if not pod.gone}
        for order, waiting in self._waiting.items():
            if not waiting <= present:
                self._carried_out[order].set()

    def pods_at(self, questions: Sequence[PlannedQuestion], burst: int = 0) -> list[PodProcess]:
        """The present pods that have a part in this burst of the questions."""
        taking_part = {each.pod for question in questions for each in question.bursts[burst].operations}
        return [self.pods[number] for number in sorted(taking_part)]

    def give(
        self,
        pods: Sequence[PodProcess],
        questions: Sequence[PlannedQuestion],
        burst: int = 0,
        *,
        only: str | None = None,
        without: str | None = None,
        aim: bool = False,
        again: bool = False,
        aim_delivery: Moment | None = None,
    ) -> int:
        """Let the pods fire, and return the order's number."""
        order = next(self._orders)
        self._waiting[order] = {pod.name for pod in pods}
        self._carried_out[order] = asyncio.Event()
        labels = [each.label for each in questions]
        fire = encode_fire(Fire(order, labels, burst, only, without, aim, again, aim_delivery))
        for pod in pods:
            pod.fire(fire)
        if not pods:
            self._carried_out[order].set()
        return order

    def is_carried_out(self, order: int) -> bool:
        """Whether all pods have carried the order out."""
        return not self._waiting[order]

    def withdraw(self, order: int) -> None:
        """Wait for an order no longer: its pod was killed."""
        del self._waiting[order], self._carried_out[order]

    async def carried_out(self, order: int) -> None:
        """Return when the pods have carried an order out. Raises RaceBrokenOff when one is late or gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUESTION_SECONDS):
                await self._carried_out[order].wait()
        if self._waiting[order]:
            late = sorted(self._waiting[order])
            if self._carried_out[order].is_set():
                raise RaceBrokenOff(f"{', '.join(late)} was lost")
            raise RaceBrokenOff(f"{', '.join(late)} did not report within {QUESTION_SECONDS:g} s", late)
        self.withdraw(order)

    async def fire(self, *questions: PlannedQuestion) -> None:
        """Let all that is planned for a question happen, or for several of one burst. Raises RaceBrokenOff."""
        for number, burst in enumerate(questions[0].bursts):
            if burst.after_ms:
                await asyncio.sleep(burst.after_ms / 1000)
            await self.carried_out(self.give(self.pods_at(questions, number), questions, number))

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until the condition holds on what was heard of pods and aims; return False when it did not in time.

        One waits at a time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
                return True
        return condition()


class Window:
    """So many orders at a time, and no more; on leaving nothing of it goes on.

    Questions of one burst are fired some together: an order for each of them would cost the pods a tenth of their time.
    """

    def __init__(self, board: Board, at_once: int, together: int) -> None:
        self._board = board
        self._at_once = at_once
        self._together = together
        self._gathered: list[PlannedQuestion] = []
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
        """Fire at a question, now or soon, and return when there is room for another. Raises RaceBrokenOff."""
        if len(question.bursts) > 1:
            await self._start(question)
            return
        self._gathered.append(question)
        if len(self._gathered) == self._together:
            await self._fire_gathered()

    async def drain(self) -> None:
        """Fire what was gathered, and return when all has ended. Raises RaceBrokenOff."""
        if self._gathered:
            await self._fire_gathered()
        await self._until(0)

    async def _fire_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        await self._start(*gathered)

    async def _start(self, *questions: PlannedQuestion) -> None:
        self._firing.add(asyncio.create_task(self._board.fire(*questions)))
        await self._until(self._at_once - 1)

    async def _until(self, at_most: int) -> None:
        while len(self._firing) > at_most:
            finished, self._firing = await asyncio.wait(self._firing, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()
