"""A statement over a borrowed connection, and the time that it may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pendingctl.postgres.connections import Borrowed, ConnectionSource
from pendingctl.postgres.time_limits import Purpose

CLAIM = Purpose.CLAIM.seconds
LOCK_THE_ROW = "select from organization where id = 'acme' for update"


@contextmanager
def taking(at_least: float, at_most: float = 20.0) -> Iterator[None]:
    """Check how many seconds the block takes; the default is far above all limits, and far below for ever."""
    began = time.monotonic()
    yield
    assert at_least <= time.monotonic() - began < at_most


async def run(source: ConnectionSource, statement: str = "select 1", *, purpose: Purpose = Purpose.CLAIM) -> object:
    """What a statement brings back over a borrowed connection."""
    async with Borrowed(source, purpose=purpose) as borrowed:
        row = await (await borrowed.execute(statement.encode())).fetchone()
        return row and row[0]
