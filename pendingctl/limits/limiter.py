"""Rate limits of one database: every pod counts the same."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

from psycopg.rows import class_row

from ..errors import DatabaseFailed, DatabaseUnreachable, InvalidInput
from ..model import BATCH_SIZE, SWEEP_LIMIT, TRAIL_ENTRIES_A_ROW
from ..payload import check_id, check_positive
from ..postgres.connections import Borrowed, Connection, ConnectionSource
from ..postgres.outages import Outage
from ..postgres.time_limits import Purpose
from . import statements
from .denials import Asked, Denials
from .model import Decision, Limit, decided, undecided
from .together import Together

IfUnreachable: TypeAlias = Literal["raise", "allow", "deny"]

# After a connection could not be had, or was lost, a limiter that need not raise decides so long without the database.
PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Used:
    used_seconds: float = 0.0
    is_ahead: bool = False


class RateLimiter:
    """The rate limits of one database, shared by all pods.

    A key is an organization's: `(organization_id, key)`, 255 characters each. The organization need not be in the table
    `organization`, and its keys outlive it until they are swept. A key has one limit: where two are taken from one key,
    the smaller one counts what the larger one has taken, and may cut it down to its own burst.

    What was taken survives no crash of the server and no failover: each key gets one further burst then, at most. A
    clock of the database that is set back, or a row that leads beyond the limit, denies for one burst's time at most.

    A denial writes and locks nothing, and within a second of it a pod denies what is surely denied without asking; a
    `reset` on another pod counts here after that second. `source` lends connections as to a `PendingStore`; through
    PgBouncer in transaction mode too.

    `if_unreachable` is what `take` does where the database cannot decide within a second, be it away, busy or not
    migrated: `raise` its error, or `allow` or `deny` for now. While it cannot be reached, the last two ask it once a
    second. Raises InvalidInput for another word.
    """

    def __init__(
        self,
        source: ConnectionSource,
        *,
        if_unreachable: IfUnreachable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if if_unreachable not in get_args(IfUnreachable):
            raise InvalidInput(f"if_unreachable is {if_unreachable!r}; it must be raise, allow or deny")
        self._source = source
        self._if_unreachable = if_unreachable
        self._clock = clock
        self._denials = Denials()
        self._outage = Outage(_log)
        self._paused_until = float("-inf")
        self._is_taking = False
        self._together: Together | None = None

    async def take(self, organization_id: str, key: str, limit: Limit, cost: int = 1) -> Decision:
        """Take `cost` units of a key's limit, or none where that is more than the limit allows now.

        Raises InvalidInput, before any SQL, for ids that no row can hold and a cost below 1 or above the burst. A take
        whose reply was lost may have been done.
        """
        _check(organization_id, key)
        limit.check_cost(cost)
        asked = (organization_id, key, limit)
        if (denied := self._denied(asked, cost)) is not None:
            return denied
        if self._clock() < self._paused_until:
            return self._undecided(limit, cost)
        try:
            decision = await self._take_alone_or_together(asked, cost)
        except DatabaseFailed as error:
            if self._if_unreachable == "raise":
                raise
            self._outage.report(f"limits {self._if_unreachable} without the database for now: %s", error)
            if isinstance(error, DatabaseUnreachable):
                self._paused_until = self._clock() + PAUSE_SECONDS
            return self._undecided(limit, cost)
        self._outage.over()
        return decision

    def _denied(self, asked: Asked, cost: int) -> Decision | None:
        """Return the denial that follows from one that is remembered, if one does."""
        used = self._denials.used_seconds(asked, cost, self._clock()) if self._denials else None
        if used is None:
            return None
        return decided(asked[2], cost, timedelta(seconds=used), allowed=False)

    async def _take_alone_or_together(self, asked: Asked, cost: int) -> Decision:
        """Take alone where no other take is under way so, which may wait for a lock; else with all that come meanwhile.

        What cannot be taken together is taken alone after that.
        """
        if not self._is_taking:
            self._is_taking = True
            try:
                return await self._take(asked, cost)
            finally:
                self._is_taking = False
        if self._together is None or not self._together.belongs_here:
            self._together = Together(self._source)
        organization_id, key, limit = asked
        paid, tolerance = _microseconds(limit, cost), _microseconds(limit, limit.burst - cost)
        used = await self._together.take(organization_id, key, paid=paid, tolerance=tolerance)
        if used is None:
            return await self._take(asked, cost)
        return decided(limit, cost, timedelta(seconds=used), allowed=True)

    async def _take(self, asked: Asked, cost: int) -> Decision:
        organization_id, key, limit = asked
        parameters: dict[str, object] = {
            **_parameters(organization_id, key),
            "paid": _microseconds(limit, cost),
            "tolerance": _microseconds(limit, limit.burst - cost),
        }
        async with Borrowed(self._source, purpose=Purpose.LIMIT) as borrowed:
            # Of many that waited for a connection the first may have been denied.
            if (denied := self._denied(asked, cost)) is not None:
                return denied
            taken = await (await borrowed.execute(statements.TAKE, parameters)).fetchone()
            if taken is not None:
                return decided(limit, cost, timedelta(seconds=taken[0]), allowed=True)
            asked_at = self._clock()
            parameters["whole"] = _microseconds(limit, limit.burst)
            used = await _used(borrowed, parameters)
            self._denials.note(asked, asked_at=asked_at, told_at=self._clock(), used_seconds=used.used_seconds)
            if used.is_ahead:
                await borrowed.execute(statements.CLAMP, parameters)
        return decided(limit, cost, timedelta(seconds=used.used_seconds), allowed=False)

    def _undecided(self, limit: Limit, cost: int) -> Decision:
        is_allowed = self._if_unreachable == "allow"
        return undecided(limit, cost, allowed=is_allowed, retry_after=timedelta(seconds=PAUSE_SECONDS))

    async def show(self, organization_id: str, key: str, limit: Limit, cost: int = 1) -> Decision:
        """Return what `take` would decide, and take nothing. Raises as the database does, and InvalidInput."""
        _check(organization_id, key)
        limit.check_cost(cost)
        parameters = {**_parameters(organization_id, key), "whole": _microseconds(limit, limit.burst)}
        async with Borrowed(self._source, purpose=Purpose.LIMIT) as borrowed:
            used = timedelta(seconds=(await _used(borrowed, parameters)).used_seconds)
        return decided(limit, cost, used, allowed=used <= limit.unit * (limit.burst - cost))

    async def reset(self, organization_id: str, key: str) -> bool:
        """Give a key its whole burst again; return whether anything was on record of it.

        Other pods may deny for a second more. Raises as the database does, and InvalidInput.
        """
        _check(organization_id, key)
        async with Borrowed(self._source, purpose=Purpose.LIMIT) as borrowed:
            cursor = await borrowed.execute(statements.RESET, _parameters(organization_id, key))
        self._denials.forget(organization_id, key)
        return cursor.rowcount > 0

    async def sweep(
        self, *, limit: int | None = SWEEP_LIMIT * TRAIL_ENTRIES_A_ROW, batch_size: int = BATCH_SIZE
    ) -> AsyncGenerator[int, None]:
        """Delete the keys whose whole burst has been free for a minute, yielding how many each batch was.

        Looks at all keys, a batch at a time, until `limit` are deleted (None: all that are free), and then ends with
        that batch. Keys that somebody has locked are left. Raises InvalidInput for a limit or a batch size below 1.
        """
        check_positive(limit, "limit")
        check_positive(batch_size, "batch size")
        deleted, after = 0, ("", "")
        while limit is None or deleted < limit:
            parameters = {"organization_id": after[0], "key": after[1], "batch_size": batch_size}
            async with Borrowed(self._source, purpose=Purpose.SWEEP) as borrowed:
                cursor = borrowed.cursor(row_factory=class_row(_Page))
                page = await (await cursor.execute(statements.SWEEP, parameters)).fetchone()
            if page is None:
                return
            if page.deleted:
                yield page.deleted
            deleted += page.deleted
            after = (page.organization_id, page.key)


@dataclass(frozen=True, slots=True)
class _Page:
    organization_id: str
    key: str
    deleted: int


async def _used(connection: Connection, parameters: Mapping[str, object]) -> _Used:
    """Return what of a key's burst is used; nothing of one that has no row."""
    cursor = connection.cursor(row_factory=class_row(_Used))
    return await (await cursor.execute(statements.USED, parameters)).fetchone() or _Used()


def _check(organization_id: str, key: str) -> None:
    check_id(organization_id, "organization")
    check_id(key, "the key of a limit")


def _microseconds(limit: Limit, units: int) -> float:
    """Return in which time so many units come back, for the statements."""
    return float(limit.unit_microseconds * units)


def _parameters(organization_id: str, key: str) -> Mapping[str, object]:
    return {"organization_id": organization_id, "key": key}
