"""Terminals: one in memory, and one in which a command runs."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pyte

PATIENCE = 60.0
_END = b"\0"


class Emulator:
    """A terminal in memory."""

    def __init__(self, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.Stream(self._screen)

    def feed(self, text: str) -> None:
        self._stream.feed(text)

    @property
    def lines(self) -> list[str]:
        """What is on it; a wide character is followed by an empty cell."""
        return ["".join(line).rstrip() for line in self._screen.display]


class Watched:
    """A command in a terminal of its own, and what it has drawn."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        controller: int,
        terminal: int,
        first_modes: list[object],
        width: int,
        height: int,
    ) -> None:
        self.process = process
        self.received = b""
        # As the command finds them.
        self.first_modes = first_modes
        self._controller = controller
        self._terminal = terminal
        self._emulator = Emulator(width, height)
        # A character may come in parts.
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def lines(self) -> list[str]:
        return self._emulator.lines

    def type(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    def receive(self, seconds: float) -> int:
        """Take what is drawn within so many seconds, and return how many bytes that is."""
        before, ends = len(self.received), time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if select.select([self._controller], [], [], left)[0] and not self._take():
                break
        return len(self.received) - before

    def _take(self) -> bool:
        """Take what is there or comes next; False where nothing can come any more."""
        data = b""
        with suppress(OSError):  # the other side is closed
            data = os.read(self._controller, 65_536)
        self.received += data
        self._emulator.feed(self._decoder.decode(data))
        return bool(data)

    def until(self, holds: Callable[[list[str]], bool]) -> None:
        """Take what is drawn until the screen is as it is to be."""
        ends = time.monotonic() + PATIENCE
        while not holds(self.lines):
            assert time.monotonic() < ends, "\n".join(self.lines)
            self.receive(0.1)

    def shows(self, text: str) -> None:
        self.until(lambda lines: any(text in line for line in lines))

    def resize(self, width: int, height: int) -> None:
        self._emulator = Emulator(width, height)
        _resize(self._controller, width, height)

    def ends(self) -> int:
        """Wait for the end, with its exit code; what was drawn to the end is received."""
        ends = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < ends, "it does not end"
            self.receive(0.1)
        # A terminal hands on in order: what was drawn is here when this is, which no screen shows.
        os.write(self._terminal, _END)
        while not self.received.endswith(_END):
            assert select.select([self._controller], [], [], PATIENCE)[0], "what was drawn does not come"
            self._take()
        self.received = self.received.removesuffix(_END)
        return self.process.returncode

    @property
    def modes(self) -> list[object]:
        return termios.tcgetattr(self._controller)


def written(terminal: int, until: bytes | None = None) -> bytes:
    """What comes out of a terminal until it contains this, or to its end. Raises AssertionError when it does not."""
    ends = time.monotonic() + PATIENCE
    received = b""
    while until is None or until not in received:
        assert select.select([terminal], [], [], max(ends - time.monotonic(), 0))[0], received
        data = b""
        with suppress(OSError):  # the other side is closed
            data = os.read(terminal, 65_536)
        if not data:
            assert until is None, received
            break
        received += data
    return received


def _resize(file: int, width: int, height: int) -> None:
    fcntl.ioctl(file, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


@contextmanager
def in_terminal(dsn: str, *arguments: str, width: int = 80, height: int = 24, before: str = "") -> Iterator[Watched]:
    """Run a command in a terminal, and kill it at the end if it still runs; `before` may change something of it."""
    controller, terminal = pty.openpty()
    _resize(controller, width, height)
    first_modes = termios.tcgetattr(controller)
    # Its signals go to the command: the terminal becomes that of the command's session.
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{before}\n"
            "from pendingctl.__main__ import main\nmain()",
            *arguments,
        ],
        env={**os.environ, "PENDINGCTL_DSN": dsn, "TERM": "xterm"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    try:
        yield Watched(process, controller, terminal, first_modes, width, height)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        # Held open until then, so that what was drawn at the end is not lost.
        os.close(terminal)
        os.close(controller)
