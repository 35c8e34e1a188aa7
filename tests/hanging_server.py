"""A server that hangs, as one does on a machine that is out of memory or whose disk is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.embedded.servers import until


@contextmanager
def paused(dsn: str) -> Iterator[None]:
    """All processes of a server are stopped; they go on afterwards."""
    with psycopg.connect(dsn) as asking:
        row = asking.execute("select pg_read_file('postmaster.pid')").fetchone()
    assert row is not None
    parent = int(str(row[0]).splitlines()[0])
    processes = [parent]
    try:
        _signal(processes, signal.SIGSTOP)
        until(lambda: _state(parent) == "T")
        # From now on it has no further children.
        processes += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
        _signal(processes, signal.SIGSTOP)
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)
