"""File locks, which the kernel releases however their holder ends, and waiting with a time limit."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import DatabaseUnreachable

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 60.0


@contextmanager
def hold_lock(path: Path, kind: int) -> Iterator[None]:
    """Hold a lock on a file. Waits for it as long as a server may take to stop and start."""
    with path.open("a") as file:
        wait_for(lambda: try_lock(file, kind), f"{path} stays locked")
        yield


def wait_for(condition: Callable[[], bool], reason: str) -> None:
    """Wait until a condition holds. Raises DatabaseUnreachable, with `reason` in it, after two minutes."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS + STOP_TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise DatabaseUnreachable(f"the local server neither starts nor stops: {reason}")
        time.sleep(0.002)


def try_lock(file: IO[str], kind: int) -> bool:
    """Lock an open file if that is possible now, and return whether it was."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether another process holds an exclusive lock on a file."""
    try:
        with path.open("a") as file:
            return not try_lock(file, fcntl.LOCK_SH)
    except OSError:
        return False
