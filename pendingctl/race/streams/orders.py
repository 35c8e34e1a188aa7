"""The pods of a race on streams, as its coordinator has them: those that write, and those that read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ...errors import DatabaseFailed
from ..interruption import undisturbed
from ..pods.dispatcher import RaceBrokenOff
from ..pods.processes import PodProcess, start_process
from ..pods.supervisor import READY_SECONDS
from .plan import StreamRaceSettings
from .wire import MODULE, Do, StreamAssignment, StreamOrder, encode

ORDER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Routes:
    """Connection strings. Where there is a pooler every second pod reaches the database through it, listening too.

    `listen` is where the others listen, if that is elsewhere.
    """

    direct: str
    pooled: str | None = None
    listen: str | None = None

    def of(self, number: int) -> tuple[str, str | None]:
        """Return where the pod of this number connects, and where it listens."""
        return (self.pooled, None) if self.pooled is not None and number % 2 else (self.direct, self.listen)


class StreamPods:
    """Starts pods, gives them orders and hears when those are carried out. `present` are the pods by number.

    The first half of the numbers are pods that write, the others read.
    """

    def __init__(
        self, routes: Routes, settings: StreamRaceSettings, organizations: tuple[str, str], directory: Path
    ) -> None:
        self.present: dict[int, PodProcess] = {}
        self._all: list[PodProcess] = []
        self._routes = routes
        self._settings = settings
        self._organizations = organizations
        self._directory = directory
        self._numbers = count(1)
        self._names = (f"pod-{number}" for number in count(1))
        self._done: set[int] = set()
        self._aimed: set[int] = set()
        self._news = asyncio.Event()
        self._killed: set[str] = set()

    @property
    def writers(self) -> range:
        """The numbers of those that write."""
        return range(self._settings.pods)

    @property
    def readers(self) -> range:
        """The numbers of those that read."""
        return range(self._settings.pods, 2 * self._settings.pods)

    def on_done(self, pod: str, order: int) -> None:  # noqa: ARG002 (the order names it)
        """A pod has carried out an order."""
        self._done.add(order)
        self._news.set()

    def on_aimed(self, order: int, port: int) -> None:  # noqa: ARG002 (nothing is cut)
        """A pod waits between a commit and its wake-up."""
        self._aimed.add(order)
        self._news.set()

    def on_asked(self, label: str, ask_number: int, edition: int) -> None:
        """Nobody asks anything."""

    def on_changed(self) -> None:
        """A pod has become ready, or is gone."""
        self._news.set()

    async def start(self, *numbers: int) -> None:
        """Start pods, and wait until they are ready. Raises RaceBrokenOff, and DatabaseFailed when one cannot start."""
        started = []
        for number in numbers:
            name = next(self._names)
            dsn, listen_dsn = self._routes.of(number)
            assignment = StreamAssignment(
                dsn, name, number, self._settings, self._organizations, str(self._directory), listen_dsn
            )
            pod = await start_process(name, number, encode(assignment), self, module=MODULE)
            self.present[number] = pod
            self._all.append(pod)
            started.append(pod)
        await self._until(lambda: all(pod.ready or pod.gone for pod in started), READY_SECONDS)
        for pod in started:
            if pod.refusal is not None:
                raise DatabaseFailed(f"{pod.name} could not start: {pod.refusal}")
            if not pod.ready:
                raise RaceBrokenOff(
                    pod.last_words() if pod.gone else f"{pod.name} was not ready in {READY_SECONDS:g} s"
                )

    def send(
        self,
        pod: int,
        do: Do,
        *,
        round: int = 0,
        reader: str = "",
        stream: str = "",
        after: str | None = None,
        events: int = 1,
        stalls_after: int | None = None,
    ) -> int:
        """Give a pod an order, and return its number."""
        number = next(self._numbers)
        self.present[pod].send(encode(StreamOrder(number, do, round, reader, stream, after, events, stalls_after)))
        return number

    async def finish(self, orders: Iterable[tuple[int, int]]) -> None:
        """Wait until pods have carried out orders, or were killed: a pod and an order each. Raises RaceBrokenOff."""
        pods = {order: self.present[pod] for pod, order in orders}

        def is_over(order: int) -> bool:
            return order in self._done or pods[order].name in self._killed

        await self._until(lambda: all(is_over(order) or pods[order].gone for order in pods), ORDER_SECONDS)
        for order, pod in pods.items():
            if not is_over(order):
                raise RaceBrokenOff(
                    pod.last_words() if pod.gone else f"{pod.name} had not done its part in {ORDER_SECONDS:g} s"
                )

    async def carry_out(self, pod: int, do: Do, *, stream: str = "") -> None:
        """Give a pod an order and wait until it is carried out. Raises RaceBrokenOff."""
        await self.finish([(pod, self.send(pod, do, stream=stream))])

    async def press(self, events: int) -> None:
        """Have all that write append so many events at a time, until they are eased. Raises RaceBrokenOff."""
        await self.finish([(pod, self.send(pod, Do.PRESS, events=events)) for pod in self.writers])

    async def ease(self) -> None:
        """Have all that write append no more than the plan has for them. Raises RaceBrokenOff."""
        await self.finish([(pod, self.send(pod, Do.EASE)) for pod in self.writers])

    async def is_aimed(self, order: int, seconds: float) -> bool:
        """Wait until a pod stands between a commit and its wake-up, and return whether it does."""
        await self._until(lambda: order in self._aimed, seconds)
        return order in self._aimed

    async def kill(self, number: int) -> str:
        """Kill a pod, start its successor, and return why it was not killed, or "". Raises as `start` does."""
        pod = self.present[number]
        self._killed.add(pod.name)
        await pod.kill()
        self._news.set()
        await self.start(number)
        return "" if pod.was_killed else pod.last_words()

    async def replace(self, number: int) -> str:
        """Let a pod end, start its successor, and return how it ended if not as it should, or "". Raises as `start`."""
        pod = self.present[number]
        await pod.end()
        await self.start(number)
        return "" if pod.ended else pod.last_words()

    async def end(self) -> list[str]:
        """Let all pods end, and return the last words of those that did not as they should."""
        await asyncio.gather(*(pod.end() for pod in self.present.values()))
        return [pod.last_words() for pod in self.present.values() if not pod.ended]

    async def kill_all(self) -> None:
        """Make sure that none is left."""
        await asyncio.gather(*(pod.kill() for pod in self._all))

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()


@asynccontextmanager
async def stream_pods(
    routes: Routes, settings: StreamRaceSettings, organizations: tuple[str, str], directory: Path
) -> AsyncIterator[StreamPods]:
    """Yield pods of which none has been started; on leaving, whatever happened, none is left."""
    pods = StreamPods(routes, settings, organizations, directory)
    try:
        yield pods
    finally:
        await undisturbed(pods.kill_all())
