"""stdin in bytes, whose reads wait also where a program that shares the pipe has set it so that they do not."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from typing import TYPE_CHECKING, cast

from ..errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Waiting(io.RawIOBase):
    """A file or a pipe of the system's own. It tells nothing yet from nothing more, which a buffer on it does not."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while (number := self._raw.readinto(buffer)) is None:
            select([self._raw], [], [])
        return number


@contextmanager
def standard_input() -> Iterator[io.BufferedIOBase]:
    """Lend stdin. Raises InvalidInput where the block cannot read it."""
    stdin = cast("io.BufferedIOBase", sys.stdin.buffer)
    try:
        yield io.BufferedReader(_Waiting(stdin.raw)) if isinstance(stdin, io.BufferedReader) else stdin
    except OSError as error:
        raise InvalidInput(f"cannot read stdin: {error.strerror}") from error
