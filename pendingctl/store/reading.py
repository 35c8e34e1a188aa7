"""Transactions in which the person on call reads: they cannot write, and end in time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

from psycopg.errors import QueryCanceled

from ..errors import DatabaseBusy, TookTooLong
from ..postgres.connections import Borrowed, Connection, ConnectionSource

READ_TIMEOUT = timedelta(seconds=30)
QUICK_TIMEOUT = timedelta(seconds=1)


@asynccontextmanager
async def reading(source: ConnectionSource, *, is_quick: bool = False) -> AsyncIterator[Connection]:
    """Lend a connection for reads of half a minute at most, or of a second. Raises TookTooLong after that."""
    timeout = QUICK_TIMEOUT if is_quick else READ_TIMEOUT
    began = monotonic()
    try:
        async with Borrowed(source) as borrowed, borrowed.transaction():
            milliseconds = int(timeout.total_seconds() * 1000)
            await borrowed.execute(f"set transaction read only; set local statement_timeout = {milliseconds}")
            yield borrowed
    except DatabaseBusy as error:
        # Before that time an administrator has cancelled it.
        if not isinstance(error.__cause__, QueryCanceled) or monotonic() - began < timeout.total_seconds():
            raise
        raise TookTooLong(
            f"the rows were not read within {timeout.total_seconds():g} s; narrow them, by an organization and a "
            "time above all"
        ) from error
