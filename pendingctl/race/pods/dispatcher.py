"""Sending orders to the pods, and knowing which pods have yet to carry them out."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Self

from ..plan.operations import PlannedQuestion
from ..plan.schedule import Moment
from .processes import PodProcess
from .wire import Order, encode_order

QUESTION_SECONDS = 60.0
# How long whatever a fault strikes at is waited for, on a machine that is slow or does much else; and how much longer
# a late aimed operation, to let it go on.
MOMENT_SECONDS = 10.0
LATE_SECONDS = 5.0
# Longer than any fault takes, with the servers that it starts and the pods for which it waits.
STRIKE_SECONDS = 300.0


class RaceBrokenOff(Exception):
    """A pod was lost that no fault has killed, or did not report in time: nothing more is fired."""

    def __init__(self, message: str, late: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.late = late


@asynccontextmanager
async def broken_off_after(seconds: float, what: str) -> AsyncIterator[None]:
    """Raise RaceBrokenOff where the block takes longer: a pod that hangs may keep from it what it waits for."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise RaceBrokenOff(f"{what} was not over within {seconds:g} s") from error


class Dispatcher:
    """Sends orders to the present pods, by number in the plan, and listens to what they report."""

    def __init__(self) -> None:
        self.pods: dict[int, PodProcess] = {}
        self._askings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._aimed: dict[int, tuple[str, int]] = {}
        self._waiting: dict[int, set[str]] = {}
        # An event for each order: its news then wakes nothing that waits for another one.
        self._finished: dict[int, asyncio.Event] = {}
        self._numbers = count(1)
        self._news = asyncio.Event()

    def on_done(self, pod: str, order: int) -> None:
        """A pod has carried out an order."""
        waiting = self._waiting.get(order, set())
        waiting.discard(pod)
        if not waiting and order in self._finished:
            self._finished[order].set()

    def on_aimed(self, pod: str, order: int, port: int) -> None:
        """The aimed operation of an order is about to be sent by this pod."""
        self._aimed[order] = pod, port
        self._news.set()

    def on_asked(self, label: str, ask_number: int, edition: int) -> None:
        """An asking of a question has begun, and drawn its number; its card shows this edition."""
        insort(self._askings[label], (ask_number, edition))

    def on_changed(self) -> None:
        """A pod has become ready, or is gone."""
        self._news.set()
        for order in self._waiting:
            if self._lost(order):
                self._finished[order].set()

    def _lost(self, order: int) -> list[str]:
        present = {pod.name for pod in self.pods.values() if not pod.gone}
        return sorted(self._waiting[order] - present)

    def pods_of(self, questions: Sequence[PlannedQuestion], burst: int = 0) -> list[PodProcess]:
        """Return the present pods that have a part in this burst of the questions."""
        taking_part = {each.pod for question in questions for each in question.bursts[burst].operations}
        return [self.pods[number] for number in sorted(taking_part)]

    def send(
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
        """Send the pods an order (see `wire.Order`), and return its number."""
        number = next(self._numbers)
        self._waiting[number] = {pod.name for pod in pods}
        self._finished[number] = asyncio.Event()
        labels = [each.label for each in questions]
        askings = [self._askings[label] for label in labels]
        order = encode_order(Order(number, labels, burst, only, without, aim, again, aim_delivery, askings))
        for pod in pods:
            pod.send(order)
        if not pods:
            self._finished[number].set()
        return number

    def is_finished(self, order: int) -> bool:
        """Whether all pods have carried the order out."""
        return not self._waiting[order]

    def forget(self, order: int) -> None:
        """Wait for an order no longer: its pod was killed."""
        del self._waiting[order], self._finished[order]

    async def finish(self, order: int) -> None:
        """Return when the pods have carried an order out. Raises RaceBrokenOff when one is late or gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUESTION_SECONDS):
                await self._finished[order].wait()
        if lost := self._lost(order):
            raise RaceBrokenOff(f"{', '.join(lost)} was lost")
        if late := sorted(self._waiting[order]):
            raise RaceBrokenOff(f"{', '.join(late)} did not report within {QUESTION_SECONDS:g} s", late)
        self.forget(order)

    async def fire(self, *questions: PlannedQuestion) -> None:
        """Let everything planned for a question happen, or for several of one burst. Raises RaceBrokenOff."""
        for number, burst in enumerate(questions[0].bursts):
            if burst.after_ms:
                await asyncio.sleep(burst.after_ms / 1000)
            await self.finish(self.send(self.pods_of(questions, number), questions, number))
        for question in questions:
            self._askings.pop(question.label, None)

    async def port_of_aimed(self, order: int, pod: PodProcess) -> int | None:
        """Wait until the aimed operation of an order waits for permission, and return the port that it will use.

        None when it did not come that far in 10 seconds; it may go on then. Raises RaceBrokenOff when its pod is gone.
        """

        def waits() -> bool:
            return order in self._aimed or pod.gone

        in_time = await self.wait_until(waits, MOMENT_SECONDS)
        if not in_time:
            await self.wait_until(waits, LATE_SECONDS)
        if pod.gone:
            raise RaceBrokenOff(pod.last_words())
        if not in_time:
            pod.go_on()
            return None
        return self._aimed.pop(order)[1]

    async def aimed_pod(self, order: int) -> PodProcess | None:
        """Wait until some pod's aimed operation of an order waits for permission, and return that pod.

        None when none came that far in 10 seconds. Raises RaceBrokenOff when a pod is gone.
        """
        pods = [*self.pods.values()]

        def waits() -> bool:
            return order in self._aimed or any(pod.gone for pod in pods)

        in_time = await self.wait_until(waits, MOMENT_SECONDS)
        if not in_time:
            await self.wait_until(waits, LATE_SECONDS)
        if gone := [pod for pod in pods if pod.gone]:
            raise RaceBrokenOff(gone[0].last_words())
        name, _ = self._aimed.pop(order, (None, 0))
        waiting = next((pod for pod in pods if pod.name == name), None)
        if waiting is not None and not in_time:
            waiting.go_on()
            return None
        return waiting

    async def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition on the pods and their aims holds; return False when it did not in time.

        Only one caller may wait at a time.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
                return True
        return condition()


class BoundedDispatcher:
    """Fires at questions with at most so many orders at once; on leaving none of them goes on.

    Questions of one burst are fired several together: an order for each would cost the pods a tenth of their time.
    """

    def __init__(self, dispatcher: Dispatcher, at_once: int, together: int) -> None:
        self._dispatcher = dispatcher
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
        """Fire at what was gathered, and return when everything has ended. Raises RaceBrokenOff."""
        if self._gathered:
            await self._fire_gathered()
        await self._wait_for_room(0)

    async def _fire_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        await self._start(*gathered)

    async def _start(self, *questions: PlannedQuestion) -> None:
        self._firing.add(asyncio.create_task(self._dispatcher.fire(*questions)))
        await self._wait_for_room(self._at_once - 1)

    async def _wait_for_room(self, at_most: int) -> None:
        while len(self._firing) > at_most:
            finished, self._firing = await asyncio.wait(self._firing, return_when=asyncio.FIRST_COMPLETED)
            # Of each one: the event loop would log those that nobody has asked for.
            errors = [error for task in finished if (error := task.exception()) is not None]
            if errors:
                raise errors[0]
