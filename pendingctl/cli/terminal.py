"""A terminal that shows a screen and reads keys, over lines that may be slow: what is on it already is not sent again.

Only what every terminal since the VT100 understands is sent (ECMA-48: CUP, EL, ED; DEC private modes 25 and xterm's
1049).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from ..errors import InvalidInput
from .event_loop import interruptible

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_SEQUENCES = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "[F": "end",
    "[1~": "home",
    "[4~": "end",
}
_NAMES = {"\r": "enter", "\n": "enter", " ": "page down", "\x04": "q"}
_ESCAPE = "\x1b"
# What a key sends behind an escape (ECMA-48 5.4: CSI with parameters; SS3 with one character), and the beginning of it.
_SEQUENCE = re.compile(r"\[[0-?]*[ -/]*[@-~]|O[@-~]")
_BEGUN = re.compile(r"(?:\[[0-?]*[ -/]*|O)?")


class Terminal:
    """The terminal of this process, with one screen instead of its lines until the block ends, however it ends."""

    def __init__(self, no_terminal: str) -> None:
        """Raises InvalidInput, with this text, where there is no terminal that can show a screen."""
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        if not is_terminal or sys.platform == "win32":
            raise InvalidInput(no_terminal)
        self._input, self._output = sys.stdin.fileno(), sys.stdout.fileno()
        self._shown: list[str] = []
        self._size = (0, 0)

    def __enter__(self) -> Self:
        import termios

        self._modes = termios.tcgetattr(self._input)
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def suspend(self) -> None:
        """Give the terminal back, stop this process as Ctrl-Z does, and go on when it is continued."""
        import signal

        self._end()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._begin()

    @property
    def file(self) -> int:
        """The file that keys come from."""
        return self._input

    @property
    def size(self) -> tuple[int, int]:
        """The number of columns and of lines; 80 × 24 where the terminal does not say."""
        columns, lines = os.get_terminal_size(self._output)
        return columns or 80, lines or 24

    def show(self, lines: Sequence[str]) -> int:
        """Show these lines in place of the ones before, and return how many bytes that has taken."""
        before = self._shown
        if self.size != self._size:
            self._size = self.size
            # What a terminal keeps when its size changes differs from one to the next.
            before = []
        text = ("" if before else "\x1b[2J") + changes(before, lines)
        self._shown = list(lines)
        return self._send(text)

    def read(self) -> bytes:
        """Return what was typed; nothing once the terminal is gone."""
        try:
            return os.read(self._input, 1024)
        except OSError:
            return b""

    def _begin(self) -> None:
        import tty

        # Keys come one by one and are not echoed; Ctrl-C and Ctrl-Z remain signals.
        tty.setcbreak(self._input)
        self._shown = []
        self._send(_ENTER)

    def _end(self) -> None:
        import termios

        try:
            self._send(_LEAVE)
        except OSError:
            # The terminal is gone, and its modes with it.
            return
        finally:
            with suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._modes)

    def _send(self, text: str) -> int:
        data = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        left = data
        with interruptible():
            while left:
                left = left[os.write(self._output, left) :]
        return len(data)


def changes(before: Sequence[str], after: Sequence[str]) -> str:
    """Return what makes a screen with some lines one with others: of each line that differs the parts that do.

    Lines that are not all ASCII are sent whole: how wide their characters are, terminals do not agree about.
    """
    sent = []
    for place, line in enumerate(after):
        old = before[place] if place < len(before) else ""
        if line == old:
            continue
        if not (line.isascii() and old.isascii()):
            sent.append(f"\x1b[{place + 1};1H{line}\x1b[K")
            continue
        for start, end in _differing(old, line):
            part = line[start:end] or "\x1b[K"
            sent.append(f"\x1b[{place + 1};{start + 1}H{part}{' ' * (end - len(line)) if start < len(line) else ''}")
    return "".join(sent)


def _differing(old: str, new: str) -> list[tuple[int, int]]:
    """Return the parts in which two lines differ, also where one of them has ended; what is close to the next is one.

    To go on elsewhere takes about eight bytes.
    """
    length = max(len(old), len(new))
    parts: list[tuple[int, int]] = []
    for place, (one, other) in enumerate(zip(old.ljust(length), new.ljust(length), strict=True)):
        if one != other:
            begins = parts.pop()[0] if parts and place - parts[-1][1] <= 8 else place
            parts.append((begins, place + 1))
    return parts


class Keys:
    """What is typed, as keys. A sequence may come in parts, and an escape may be the beginning of one."""

    def __init__(self) -> None:
        self._rest = ""

    @property
    def is_waiting(self) -> bool:
        """Whether a sequence has begun that has not ended."""
        return bool(self._rest)

    def typed(self, data: bytes) -> list[str]:
        """Return the keys that are complete with this."""
        text, self._rest = self._rest + data.decode(errors="ignore"), ""
        keys = []
        while text:
            if text[0] != _ESCAPE:
                keys.append(_NAMES.get(text[0], text[0]))
                text = text[1:]
                continue
            found = _SEQUENCE.match(text, 1)
            if found is not None:
                # Of a key that means nothing here, such as delete, no part is taken for another one.
                if (known := _SEQUENCES.get(found[0])) is not None:
                    keys.append(known)
                text = text[found.end() :]
            elif _BEGUN.fullmatch(text, 1):
                self._rest, text = text, ""
            else:
                keys.append("escape")
                text = text[1:]
        return keys

    def given_up(self) -> list[str]:
        """Return what has begun and did not go on as the keys it is: an escape, and what stands behind it."""
        rest, self._rest = self._rest, ""
        return (["escape"] if rest else []) + [_NAMES.get(each, each) for each in rest[1:]]
