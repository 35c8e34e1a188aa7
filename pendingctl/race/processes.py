"""The life cycle of a race's pods, seen from the coordinator."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from . import wire
from .history import HandOver
from .interruption import undisturbed
from .wire import Orders, QuestionDone

END_SECONDS = 10.0
EXIT_SECONDS = 2.0


class Listener(Protocol):
    """Who wants to know at once what the pods do."""

    def hear_done(self, pod: str) -> None:
        """All of this pod's clicks at the question have ended."""
        ...

    def hear_changed(self) -> None:
        """A pod has become ready, or is gone."""
        ...


class PodProcess:
    """One running pod: it is told questions, and what it says is kept."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, listener: Listener) -> None:
        self.name = name
        self.ready = False
        self.ended = False
        self.gone = False
        self.refusal: str | None = None
        self._process = process
        self._listener = listener
        # Decoding waits until the race is over: it would slow the race down.
        self._done: list[bytes] = []
        self._handed: list[bytes] = []
        self._last_words = b""
        self._listening = (
            asyncio.create_task(self._listen(_pipe(process.stdout))),
            asyncio.create_task(self._keep_last_words(_pipe(process.stderr))),
        )

    @property
    def done(self) -> list[QuestionDone]:
        """What it did, question by question."""
        return [wire.decode_done(line) for line in self._done]

    @property
    def hand_overs(self) -> list[HandOver]:
        """The answers that its bridge handed over."""
        return [wire.decode_hand_over(line) for line in self._handed]

    def release(self, question: int) -> None:
        """Let it fire at a question now. A pod that is gone fires nothing."""
        self._write(b"%d\n" % question)

    async def end(self) -> None:
        """Let it finish and end; one that does not within 10 seconds is killed."""
        self._close_input()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await asyncio.gather(*(asyncio.shield(each) for each in self._listening))
        await self.kill()

    async def kill(self) -> None:
        """Make sure that nothing of it is left."""
        if self.gone:
            # It is ending by itself. To signal a process that has just ended makes the standard library lose
            # its exit code.
            with suppress(TimeoutError):
                async with asyncio.timeout(EXIT_SECONDS):
                    await self._process.wait()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        self._close_input()
        await asyncio.gather(*self._listening)

    def last_words(self) -> str:
        """Say how it ended, with the last line that it wrote to stderr."""
        code = self._process.returncode
        how = f"was ended by {_signal(code)}" if code is not None and code < 0 else f"ended with exit code {code}"
        # The traceback of a group of errors ends with a frame of lines.
        lines = [line.strip(" |+-") for line in self._last_words.decode(errors="replace").splitlines()]
        said = next((line for line in reversed(lines) if line), "")
        return f"{self.name} {how}" + (f": {said}" if said else "")

    def _write(self, line: bytes) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(line)

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        try:
            while line := await stdout.readline():
                self._take(line)
        finally:
            self.gone = True
            self._listener.hear_changed()

    def _take(self, line: bytes) -> None:
        word, _, said = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n"):
            return  # cut off by the pod's death
        if word == wire.DONE:
            self._done.append(said)
            self._listener.hear_done(self.name)
        elif word == wire.HANDED:
            self._handed.append(said)
        elif word == wire.READY:
            self.ready = True
            self._listener.hear_changed()
        elif word == wire.CANNOT:
            self.refusal = said.decode()
        elif word == wire.ENDED:
            self.ended = True

    async def _keep_last_words(self, stderr: asyncio.StreamReader) -> None:
        while some := await stderr.read(4096):
            self._last_words = (self._last_words + some)[-4096:]


@asynccontextmanager
async def running_pods(orders: Sequence[Orders], listener: Listener) -> AsyncIterator[list[PodProcess]]:
    """Start all pods at once; on leaving, whatever happened, none is left."""
    pods: list[PodProcess] = []
    try:
        for each in orders:
            pods.append(await _start(each, listener))
        yield pods
    finally:
        await undisturbed(_kill(pods))


async def _kill(pods: Sequence[PodProcess]) -> None:
    await asyncio.gather(*(pod.kill() for pod in pods))


async def _start(orders: Orders, listener: Listener) -> PodProcess:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # The pod must be the same code as the coordinator, whatever the current folder holds.
        "-P",
        "-m",
        "pendingctl.race.pod",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _search_path()},
        limit=wire.MAX_LINE_BYTES,
        # Ctrl-C is for the coordinator alone, which ends its pods in good order.
        start_new_session=True,
    )
    pod = PodProcess(orders.name, process, listener)
    pod._write(wire.encode_orders(orders))
    return pod


def _search_path() -> str:
    return os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise ValueError("the pod has no pipe")
    return stream


def _signal(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
