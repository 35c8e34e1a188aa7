"""All pods of a race: they are started, succeeded when a fault has killed them, and ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from ..interruption import undisturbed
from ..plan.operations import Names
from ..plan.schedule import STATEMENT_TIMEOUT_MS, FaultKind, skew_hours
from ..plan.settings import RaceSettings
from .dispatcher import Dispatcher, RaceBrokenOff
from .processes import PodProcess, start_process
from .wire import Assignment, encode_assignment

READY_SECONDS = 40.0

CONNECTIONS_OF_A_POD = 2
# A stock server accepts 100, and others need some too.
MAX_CONNECTIONS = 64


class PodSupervisor:
    """Starts the pods of a race and their successors. `all` are those that were started, the ended ones included."""

    def __init__(self, dsn: str, settings: RaceSettings, names: Names, directory: Path, dispatcher: Dispatcher) -> None:
        self.all: list[PodProcess] = []
        self._dsn = dsn
        self._settings = settings
        self._names = names
        self._directory = directory
        self._dispatcher = dispatcher
        self._pod_names = (f"pod-{number}" for number in count(1))

    async def start(self, number: int) -> PodProcess:
        """Start the pod of this number in the plan; it is ready a little later."""
        settings = self._settings
        assignment = Assignment(
            self._dsn,
            next(self._pod_names),
            number,
            min(CONNECTIONS_OF_A_POD, max(1, MAX_CONNECTIONS // settings.pods)),
            settings,
            self._names,
            str(self._directory),
            STATEMENT_TIMEOUT_MS if FaultKind.PAUSE in settings.faults else None,
        )
        hours = skew_hours(number, settings.seed) if FaultKind.SKEW in settings.faults else None
        pod = self._dispatcher.pods[number] = await start_process(
            assignment.name, number, encode_assignment(assignment), self._dispatcher, skew_hours=hours
        )
        self.all.append(pod)
        return pod

    async def start_successor(self, killed: PodProcess) -> PodProcess:
        """Start a pod under another name in the killed one's place of the plan, and return it when it is ready.

        Raises RaceBrokenOff when it is not ready in time.
        """
        successor = await self.start(killed.number)
        if reasons := await self.wait_until_ready([successor]):
            raise RaceBrokenOff("; ".join(reasons))
        return successor

    async def wait_until_ready(self, pods: Sequence[PodProcess]) -> list[str]:
        """Wait until all pods are ready or one is gone, and return which were late; one that is gone reports why."""
        await self._dispatcher.wait_until(
            lambda: all(pod.ready for pod in pods) or any(pod.gone for pod in pods), READY_SECONDS
        )
        return [f"{pod.name} was not ready within {READY_SECONDS:g} s" for pod in pods if not (pod.ready or pod.gone)]

    async def end(self) -> None:
        """Let all pods end."""
        await asyncio.gather(*(pod.end() for pod in self.all))

    async def kill(self, names: Container[str]) -> None:
        """Make sure that none of these is left."""
        await asyncio.gather(*(pod.kill() for pod in self.all if pod.name in names))

    async def kill_all(self) -> None:
        """Make sure that none is left."""
        await asyncio.gather(*(pod.kill() for pod in self.all))


@asynccontextmanager
async def supervised_pods(
    dsn: str, settings: RaceSettings, names: Names, directory: Path, dispatcher: Dispatcher
) -> AsyncIterator[PodSupervisor]:
    """Yield a supervisor that has started no pod yet; on leaving, whatever happened, no pod is left.

    The pods connect to `dsn`, write their histories to `directory` and report to the dispatcher.
    """
    supervisor = PodSupervisor(dsn, settings, names, directory, dispatcher)
    try:
        yield supervisor
    finally:
        await undisturbed(supervisor.kill_all())
