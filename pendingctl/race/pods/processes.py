"""One pod's process, seen from the coordinator: it is given orders, paused, killed and ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from . import wire

END_SECONDS = 10.0
EXIT_SECONDS = 2.0


class Listener(Protocol):
    """Whatever must hear at once what the pods do."""

    def on_done(self, pod: str, order: int) -> None:
        """Everything that this order asked of this pod has ended."""
        ...

    def on_aimed(self, pod: str, order: int, port: int) -> None:
        """This pod's aimed operation of this order is about to be sent over the connection from this port."""
        ...

    def on_asked(self, label: str, ask_number: int, edition: int) -> None:
        """An asking of a question has begun, and drawn its number; its card shows this edition."""
        ...

    def on_changed(self) -> None:
        """A pod has become ready, or is gone."""
        ...


class PodProcess:
    """One running pod. `number` is its place in the plan, `clock_is_off_by` the seconds by which its clock is wrong."""

    def __init__(
        self, name: str, number: int, assignment: bytes, process: asyncio.subprocess.Process, listener: Listener
    ) -> None:
        """`assignment` is its first line."""
        self.name = name
        self.number = number
        self.ready = False
        self.ended = False
        self.gone = False
        self.clock_is_off_by = 0.0
        self.refusal: str | None = None
        self._process = process
        self._listener = listener
        self._last_words = b""
        self._listening = (
            asyncio.create_task(self._listen(_pipe(process.stdout))),
            asyncio.create_task(self._keep_last_words(_pipe(process.stderr))),
        )
        self._write(assignment)

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self._process.returncode == -signal.SIGKILL

    def send(self, order: bytes) -> None:
        """Let it carry out what `wire.encode_order` wrote, now. A pod that is gone carries nothing out."""
        self._write(order)

    def go_on(self) -> None:
        """Let it send the aimed operation."""
        self._write(wire.GO)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Stop it meanwhile: SIGSTOP has been sent at the beginning, and SIGCONT at the end.

        Another process sends both: were the coordinator killed meanwhile, the pod would stay stopped for ever.
        """
        pausing = await asyncio.create_subprocess_exec(
            # Its stdin ends when the pause does, or the coordinator.
            *("/bin/sh", "-c", 'kill -STOP "$1" && echo stopped && cat; kill -CONT "$1"'),
            *("sh", str(self._process.pid)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # a pod that is killed meanwhile cannot be continued
            start_new_session=True,
        )
        assert pausing.stdin is not None
        try:
            await _pipe(pausing.stdout).readline()
            yield
        finally:
            pausing.stdin.close()
            await pausing.wait()

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
            # It is ending by itself. Signalling a process that has just ended makes the standard library lose its exit
            # code.
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
        """Return how it ended, with the last line that it wrote to stderr."""
        code = self._process.returncode
        how = f"was ended by {_signal(code)}" if code is not None and code < 0 else f"ended with exit code {code}"
        # The traceback of a group of errors ends with a frame of lines.
        lines = [line.strip(" |+-") for line in self._last_words.decode(errors="replace").splitlines()]
        last = next((line for line in reversed(lines) if line), "")
        return f"{self.name} {how}" + (f": {last}" if last else "")

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
            self._listener.on_changed()

    def _take(self, line: bytes) -> None:
        keyword, _, argument = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n"):
            return  # cut off by the pod's death
        if keyword == wire.DONE:
            self._listener.on_done(self.name, int(argument))
        elif keyword == wire.AIMED:
            order, _, port = argument.partition(b" ")
            self._listener.on_aimed(self.name, int(order), int(port))
        elif keyword == wire.ASKED:
            label, number, edition = argument.split(b" ")
            self._listener.on_asked(label.decode(), int(number), int(edition))
        elif keyword == wire.READY:
            self.clock_is_off_by = float(argument) - time.time()
            self.ready = True
            self._listener.on_changed()
        elif keyword == wire.CANNOT:
            self.refusal = argument.decode()
        elif keyword == wire.ENDED:
            self.ended = True

    async def _keep_last_words(self, stderr: asyncio.StreamReader) -> None:
        while some := await stderr.read(4096):
            self._last_words = (self._last_words + some)[-4096:]


async def start_process(
    name: str,
    number: int,
    assignment: bytes,
    listener: Listener,
    *,
    module: str = "pendingctl.race",
    skew_hours: float | None = None,
) -> PodProcess:
    """Start a pod, which is this module, and whose clock is wrong by so many hours; `assignment` is its first line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # The pod must be the same code as the coordinator, whatever the current folder holds.
        "-P",
        *("-m", module),
        *([] if skew_hours is None else [str(skew_hours)]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": _search_path()},
        limit=wire.MAX_LINE_BYTES,
        # Ctrl-C is for the coordinator alone, which ends its pods in good order.
        start_new_session=True,
    )
    return PodProcess(name, number, assignment, process, listener)


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
