"""stdin as the commands read it that take lines: `enqueue --file -` and `stream append`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from io import FileIO

import pytest

from pendingctl.cli.event_loop import interruptible_call
from pendingctl.cli.standard_input import standard_input


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileIO]:
    """Writes to stdin, a pipe whose reads do not wait, as a program that shares it has set it."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with os.fdopen(read_end) as stdin, FileIO(write_end, "wb") as lines:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield lines


def test_what_is_there_is_read_once_there_is_anything(writing: FileIO) -> None:
    # The thread reads until the lines end.
    with standard_input() as stdin, ThreadPoolExecutor(1) as thread, writing:
        reading = thread.submit(stdin.read1, 1_024)
        is_waiting = not wait([reading], timeout=0.1).done
        writing.write(b"a\n")

        assert (is_waiting, reading.result(timeout=10)) == (True, b"a\n")
        writing.close()
        assert stdin.read1(1_024) == b""


def test_lines_are_read_to_the_end(writing: FileIO) -> None:
    # The thread reads until the lines end.
    with standard_input() as stdin, ThreadPoolExecutor(1) as thread, writing:
        reading = thread.submit(list, stdin)
        for part in (b"a\nb", b"c\n", b"d"):
            is_waiting = not wait([reading], timeout=0.05).done
            writing.write(part)
            assert is_waiting
        writing.close()

        assert reading.result(timeout=10) == [b"a\n", b"bc\n", b"d"]


async def test_nothing_is_read_any_more_after_a_signal_of_which_the_event_loop_has_not_heard() -> None:
    taken: list[bytes] = []

    def read() -> bytes:
        taken.append(b"a\n")
        return taken[0]

    async def command() -> None:
        task = asyncio.current_task()
        assert task is not None
        interruptible_call(read)
        # As what `run` does at a signal.
        task.cancel()
        interruptible_call(read)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(command())
    assert taken == [b"a\n"]
