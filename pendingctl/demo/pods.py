"""Processes of `pendingctl serve` on loopback, as the demo and the tests run them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from ..errors import DatabaseFailed
from .balancer import Target

_START_SECONDS = 30.0
_STOP_SECONDS = 40.0
_LOOK_SECONDS = 0.05
_LOOK_WITHIN = aiohttp.ClientTimeout(total=2.0)
_LONGEST_LINE = 1 << 20
# What a pod logs when it listens, with its ports.
LISTENING = re.compile(r"listening on \S+:(\d+) for Slack, and on \S+:(\d+) for all else")


@dataclass(frozen=True)
class Pod:
    """One process, and the ports that it listens on."""

    process: asyncio.subprocess.Process
    public_port: int
    internal_port: int

    @property
    def url(self) -> str:
        """Where it takes all but Slack's requests."""
        return f"http://127.0.0.1:{self.internal_port}"

    @property
    def slack_url(self) -> str:
        """Where it takes Slack's."""
        return f"http://127.0.0.1:{self.public_port}/slack"

    @property
    def target(self) -> Target:
        """What a balancer knows of it."""
        return Target(self.public_port, f"{self.url}/readyz")

    async def ready(self) -> None:
        """Return when it is ready. Raises DatabaseFailed if it has ended, and TimeoutError after half a minute."""
        async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession(timeout=_LOOK_WITHIN) as client:
            while self.process.returncode is None:
                # Also one that hangs for a moment: TimeoutError is no error of aiohttp's.
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(f"{self.url}/readyz") as reply:
                        if reply.status == 200:
                            return
                await asyncio.sleep(_LOOK_SECONDS)
        raise DatabaseFailed(f"a pod has ended with exit code {self.process.returncode}")

    def kill(self) -> None:
        """End it at once, as a machine that dies does."""
        with suppress(ProcessLookupError):
            self.process.kill()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit code. Raises TimeoutError."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(_STOP_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def running(
    configuration: Path, environment: Mapping[str, str], on_line: Callable[[str], None]
) -> AsyncIterator[Pod]:
    """A pod that listens, and that is killed at the end if it runs by then; `on_line` is given each line of its log.

    It ends too when this process is killed. Raises DatabaseFailed where it ends before it listens.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pendingctl.demo.pod_process", "serve", "--config", str(configuration)),
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.PIPE,
        # It prints nothing. Whoever reads what its parent prints would wait for the end of both.
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        # Ctrl-C is its parent's, which stops it.
        start_new_session=True,
    )
    assert process.stderr is not None
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_START_SECONDS):
            ports = await _ports(process.stderr, on_line)
        reading = asyncio.create_task(_read_on(process.stderr, on_line), name="log of a pod")
        yield Pod(process, *ports)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def _ports(stderr: asyncio.StreamReader, on_line: Callable[[str], None]) -> tuple[int, int]:
    last = ""
    while line := await stderr.readline():
        last = line.decode(errors="replace").rstrip("\n")
        on_line(last)
        if found := LISTENING.search(last):
            return int(found[1]), int(found[2])
    raise DatabaseFailed(f"a pod has ended before it listened: {last}")


async def _read_on(stderr: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    while line := await stderr.readline():
        on_line(line.decode(errors="replace").rstrip("\n"))
