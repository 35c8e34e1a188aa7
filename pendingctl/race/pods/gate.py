"""Where an operation that a fault is aimed at waits until the coordinator lets it go on."""

from __future__ import annotations

import asyncio
import os
import socket

from ...postgres.connections import Connection
from . import wire


class Gate:
    """One pod's gate. Faults strike one after the other: one operation at a time waits at it."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let the waiting operation go on."""
        self._opened.set()

    async def wait(self, order: int, connection: Connection | None = None) -> None:
        """Report that the operation of this order is about to go on, over this connection, and wait for permission."""
        # An earlier wait may have been given up during a pause, and its permission came nevertheless.
        self._opened.clear()
        wire.report(wire.AIMED, f"{order} {0 if connection is None else _local_port(connection)}")
        await self._opened.wait()


def _local_port(connection: Connection) -> int:
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        name = duplicate.getsockname()
    # Over a socket file there is no port, and no proxy that would need it.
    return int(name[1]) if isinstance(name, tuple) else 0
