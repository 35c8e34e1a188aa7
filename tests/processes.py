"""Processes: those that tests start, and those of this machine that must be there or must be gone."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import AnyStr


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    command: str


@contextmanager
def ending(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """A process for the block, killed at its end if it still runs: `Popen` itself waits for its end, however long."""
    with process:
        try:
            yield process
        finally:
            process.kill()


async def printed(process: asyncio.subprocess.Process, *, within: float = 120.0) -> tuple[bytes, bytes]:
    """What a process prints until it ends. One that does not end in so many seconds is killed: TimeoutError."""
    try:
        async with asyncio.timeout(within):
            return await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def processes() -> list[Process]:
    """Every process that runs; zombies, which nobody has waited for yet, do not."""
    if not Path("/proc/self").exists():
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
        )
        rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
        return [Process(int(row[0]), int(row[1]), row[3]) for row in rows if len(row) == 4 and row[2][0] != "Z"]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found.append(Process(int(folder.name), int(parent), command))
    return found
