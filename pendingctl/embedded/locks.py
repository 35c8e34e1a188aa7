"""File locks, which the kernel takes back however their holder ends, and waits that end."""

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
    """Hold a lock on a file; waits as long as a server may take to stop or to start."""
    with path.open("a") as file:
        wait_for(lambda: try_lock(file, kind), f"{path} stays locked")
        yield


def wait_for(happened: Callable[[], bool], otherwise: str) -> None:
    """Raise DatabaseUnreachable, with `otherwise` as the reason, when it has not happened after two minutes."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS + STOP_TIMEOUT_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise DatabaseUnreachable(f"the local server neither starts nor stops: {otherwise}")
        time.sleep(0.002)


def try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    try:
        with path.open("a") as file:
            return not try_lock(file, fcntl.LOCK_SH)
    except OSError:
        return False
