"""How the process of a pod begins and ends, in any race."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg_pool import PoolTimeout

from ...errors import DatabaseUnreachable, PendingctlError
from ...postgres.connections import Pool
from . import wire

Assignment = TypeVar("Assignment")

CONNECT_SECONDS = 20.0
# How long a claim or an append waits for a connection, while a server is away and comes back.
WAIT_SECONDS = 5.0
# Whatever hangs, nothing of a pod is left so long after the coordinator has gone.
EXIT_WITHIN_SECONDS = 8.0


async def connected(pool: Pool, connections: int) -> None:
    """Wait for the first connections. Raises DatabaseUnreachable when they cannot be had."""
    try:
        await pool.wait(CONNECT_SECONDS)
    except PoolTimeout as error:
        raise DatabaseUnreachable(
            f"{connections} connections could not be had within {CONNECT_SECONDS:g} s; "
            "raise the server's max_connections, or race with fewer pods or clicks"
        ) from error


def exit_within(seconds: float) -> None:
    """End the process then, whatever hangs: the coordinator may be gone, and nothing else would end it."""
    watchdog = threading.Timer(seconds, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()


def run_pod(
    decode: Callable[[bytes], Assignment], serve: Callable[[Assignment, asyncio.StreamReader], Awaitable[None]]
) -> None:
    """Run a pod until its stdin ends: its first line is the assignment, and the coordinator's orders follow."""
    try:
        asyncio.run(_run(decode, serve))
    except* BrokenPipeError:
        # The coordinator is gone, and nobody is left to report to.
        os._exit(1)


async def _run(
    decode: Callable[[bytes], Assignment], serve: Callable[[Assignment, asyncio.StreamReader], Awaitable[None]]
) -> None:
    coordinator = asyncio.StreamReader(limit=wire.MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(coordinator), sys.stdin)
    assignment = await coordinator.readline()
    if not assignment:
        return
    try:
        await serve(decode(assignment), coordinator)
    except PendingctlError as error:
        wire.report(wire.CANNOT, str(error))
