"""Limiters that are known to be broken, each as such code is usually written. Nothing but a race uses them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString

import psycopg
from psycopg.rows import scalar_row

from ...limits.model import Decision, Limit, decided
from ...limits.statements import TAKE, USED
from ...postgres.connections import Borrowed, Connection, ConnectionSource
from ...postgres.time_limits import Purpose

_UPDATE = """
    insert into pending_rate_limit as r (organization_id, key, tat)
    values (%(organization_id)s, %(key)s, clock_timestamp() + %(used)s::interval + %(paid)s * interval '1 microsecond')
    on conflict (organization_id, key) do update set tat = excluded.tat
"""
_LOCK_TABLE = "lock table pending_rate_limit in exclusive mode nowait"
# Written whether the take is allowed or not.
_UPSERT = """
    insert into pending_rate_limit as r (organization_id, key, tat)
    values (%(organization_id)s, %(key)s, clock_timestamp())
    on conflict (organization_id, key) do update
    set tat = least(r.tat, clock_timestamp() + %(whole)s * interval '1 microsecond')
    returning extract(epoch from greatest(tat, clock_timestamp()) - clock_timestamp())::float8
"""
_PAY = """
    update pending_rate_limit
    set tat = greatest(tat, clock_timestamp()) + %(paid)s * interval '1 microsecond'
    where organization_id = %(organization_id)s and key = %(key)s
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken, for the statements; it is allowed where no more is used than the `tolerance`."""

    parameters: Mapping[str, object]
    tolerance: timedelta


class BrokenLimiter(ABC):
    """Decides by statements of its own, on a connection of its own."""

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source

    async def take(self, organization_id: str, key: str, limit: Limit, cost: int = 1) -> Decision:
        """Take as the control does. Raises as the database does."""
        tolerance = limit.unit * (limit.burst - cost)
        wanted = Wanted(
            {
                "organization_id": organization_id,
                "key": key,
                "whole": float(limit.unit_microseconds * limit.burst),
                "paid": float(limit.unit_microseconds * cost),
                "tolerance": float(limit.unit_microseconds * (limit.burst - cost)),
            },
            tolerance,
        )
        # Longer than the product waits: they are to fail by what they do, on a busy machine too.
        async with Borrowed(self._source, purpose=Purpose.PUT) as connection:
            used = await self._take(connection, wanted)
        if used is None:
            return decided(limit, cost, limit.unit * limit.burst, allowed=False)
        return decided(limit, cost, used, allowed=True)

    @abstractmethod
    async def _take(self, connection: Connection, wanted: Wanted) -> timedelta | None:
        """Return what of the burst's time is used after the take, or None where it is denied."""


class SelectThenUpdate(BrokenLimiter):
    """Reads what is used, and then writes what it has made of it: two that read the same are both allowed."""

    async def _take(self, connection: Connection, wanted: Wanted) -> timedelta | None:
        used = timedelta(seconds=await _seconds(connection, USED, wanted.parameters) or 0.0)
        if used > wanted.tolerance:
            return None
        await connection.execute(_UPDATE, {**wanted.parameters, "used": used})
        return used


class TableLockNowait(BrokenLimiter):
    """Locks the table, and denies where somebody else has locked it."""

    async def _take(self, connection: Connection, wanted: Wanted) -> timedelta | None:
        try:
            async with connection.transaction():
                await connection.execute(_LOCK_TABLE)
                used = await _seconds(connection, TAKE, wanted.parameters)
        except psycopg.errors.LockNotAvailable:
            return None
        return None if used is None else timedelta(seconds=used)


class UpsertOnly(BrokenLimiter):
    """Writes the row first, and looks at it then: right, but a denial costs as much as a take."""

    async def _take(self, connection: Connection, wanted: Wanted) -> timedelta | None:
        async with connection.transaction():
            used = timedelta(seconds=await _seconds(connection, _UPSERT, wanted.parameters) or 0.0)
            if used > wanted.tolerance:
                return None
            await connection.execute(_PAY, wanted.parameters)
        return used


class NoClamp(BrokenLimiter):
    """Believes whatever a row holds: after the clock was set back, its keys are denied for as long."""

    async def _take(self, connection: Connection, wanted: Wanted) -> timedelta | None:
        used = await _seconds(connection, TAKE, wanted.parameters)
        return None if used is None else timedelta(seconds=used)


async def _seconds(connection: Connection, statement: LiteralString, parameters: Mapping[str, object]) -> float | None:
    cursor = connection.cursor(row_factory=scalar_row)
    return await (await cursor.execute(statement, parameters)).fetchone()
