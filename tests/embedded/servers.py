"""Programs that use a local server, and functions to inspect the running ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg

from pendingctl.embedded.pair import Pair
from tests.processes import processes

THROWAWAY = """
import sys
from pendingctl.embedded import throwaway_server
with throwaway_server() as server:
    print(server.data_directory.parent, flush=True)
    sys.stdin.read()
"""
IN_FOLDER = "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
KEPT = (
    THROWAWAY.replace("throwaway_server()", "kept_server(Path(sys.argv[1]))")
    .replace("from pendingctl", "from pathlib import Path\nfrom pendingctl", 1)
    .replace("throwaway_server", "kept_server")
)


def start(program: str, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that uses a server until it ends, and return it with the server's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], sent: signal.Signals) -> None:
    process.send_signal(sent)
    process.communicate(timeout=30)


def until(condition: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition never held")


def processes_of(folder: Path) -> list[int]:
    """Return the server whose data is in this folder, without its own child processes."""
    found = {each.pid: each.parent for each in processes() if f"-D {folder}/data" in each.command}
    return [pid for pid, parent in found.items() if parent not in found]


def query(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


async def async_query(dsn: str, statement: LiteralString) -> object:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return row[0]


def insert(dsn: str, number: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists t (n int)")
        connection.execute("insert into t values (%s)", [number])


def until_shown(pair: Pair) -> None:
    """Wait until the standby shows what the primary has committed, which it has received and may not have replayed."""
    with psycopg.connect(pair.primary.dsn, autocommit=True) as primary:
        primary.execute("set synchronous_commit = remote_apply")
        primary.execute("create temporary table written ()")


def kill_watcher(server: int) -> None:
    """Kill the watcher of a server: its parent process."""
    (watcher,) = [each.parent for each in processes() if each.pid == server]
    os.kill(watcher, signal.SIGKILL)
    until(lambda: all(each.pid != watcher for each in processes()))
