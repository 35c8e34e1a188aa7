"""Pods that come back: one that has ended is started anew after some seconds, on the ports that it had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

from ..errors import DatabaseFailed
from .pods import Pod, running

# Long enough to see what goes on without it.
AWAY_SECONDS = 4.0
_LISTENERS = """
[public]
listen = "127.0.0.1:{}"

[internal]
listen = "127.0.0.1:{}"
"""


class PodState(StrEnum):
    """What a pod is doing now."""

    STARTING = "starting"
    SERVING = "serving"
    DEAD = "dead"


class KeptPod:
    """A pod by its name, made by `kept`: its process now, or its last one, and what it is doing."""

    def __init__(self, name: str, pod: Pod) -> None:
        self.name = name
        self.pod = pod
        self.state = PodState.STARTING

    @property
    def is_serving(self) -> bool:
        return self.state == PodState.SERVING

    async def ready(self) -> None:
        """Return when its first process is ready. Raises as `Pod.ready` does."""
        await self.pod.ready()
        self.state = PodState.SERVING

    async def keep(self, configuration: Path, environment: Mapping[str, str], on_line: Callable[[str], None]) -> None:
        """Start it anew whenever it has ended, for ever."""
        await self._ended()
        while True:
            try:
                async with running(configuration, environment, on_line) as self.pod:
                    await self.ready()
                    await self._ended()
            except (DatabaseFailed, TimeoutError) as error:
                on_line(f"has not come back, and is started once more: {error}")
                await self._away()

    async def _ended(self) -> None:
        await self.pod.process.wait()
        await self._away()

    async def _away(self) -> None:
        self.state = PodState.DEAD
        await asyncio.sleep(AWAY_SECONDS)
        self.state = PodState.STARTING


@asynccontextmanager
async def kept(
    name: str, folder: Path, configuration: str, environment: Mapping[str, str], log: Callable[[str], None]
) -> AsyncIterator[KeptPod]:
    """A pod that listens, with this `configuration`, which names neither it nor its listeners.

    It is killed at the end. Raises DatabaseFailed where its first process ends before it listens.
    """

    def on_line(line: str) -> None:
        log(f"{name}: {line}")

    file = folder / f"{name}.toml"
    configuration = f'pod = "{name}"\n{configuration}'
    file.write_text(configuration + _LISTENERS.format(0, 0), encoding="utf-8")
    async with running(file, environment, on_line) as first:
        file.write_text(configuration + _LISTENERS.format(first.public_port, first.internal_port), encoding="utf-8")
        pod = KeptPod(name, first)
        keeping = asyncio.create_task(pod.keep(file, environment, on_line), name=f"pod {name}")
        try:
            yield pod
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
