"""Sweeps of rows, trail and limits: one, or one in each cycle for the whole cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from .errors import DatabaseFailed, NotMigrated
from .limits import RateLimiter
from .model import BATCH_SIZE, SWEEP_LIMIT, TRAIL_ENTRIES_A_ROW
from .schedule import MAX_AGE
from .store.inspection import REMAINING_CAP, Inspection
from .store.store import PendingStore
from .trail import TRAIL_KEPT

# How long a sweeper waits before it tries again to reach a database.
TROUBLE_SECONDS = 10.0
# The cycle's next begin is known to the database's clock alone, and may have passed by now.
LEAST_PAUSE_SECONDS = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep takes, see `PendingStore.sweep`: `limit` rows at most, and ten times as many old entries, and keys.

    `keep_trail` is the age of an entry of the trail that is old. No limit: until nothing stale is left.
    """

    limit: int | None = SWEEP_LIMIT
    max_age: timedelta = MAX_AGE
    batch_size: int = BATCH_SIZE
    keep_trail: timedelta = TRAIL_KEPT
    include_undelivered: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What is still stale: rows for the next sweep, and undelivered answers, which no sweep takes.

    `remaining` stops at REMAINING_CAP; `remaining_capped` says that there are more.
    """

    remaining: int
    remaining_capped: bool
    undelivered: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did. `ids` is None unless they were to be kept."""

    deleted: int
    batches: int
    trail_deleted: int
    left: Left
    ids: tuple[str, ...] | None = None
    limits_deleted: int = 0


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a sweep would do."""

    would_delete: int
    left: Left


async def sweep_once(store: PendingStore, sweep: Sweep, *, keep_ids: bool = False) -> Swept:
    """Sweep stale rows, old entries of the trail and keys of limits that are free; return what was done and is left.

    Raises as `PendingStore.sweep` does; what was swept before that stays so.
    """
    batches = 0
    deleted = 0
    ids: list[str] = []
    rows = store.sweep(
        max_age=sweep.max_age,
        limit=sweep.limit,
        batch_size=sweep.batch_size,
        include_undelivered=sweep.include_undelivered,
    )
    async with aclosing(rows) as gone:
        async for batch in gone:
            batches += 1
            deleted += len(batch)
            if keep_ids:
                ids += batch
    trail_deleted = 0
    most = None if sweep.limit is None else sweep.limit * TRAIL_ENTRIES_A_ROW
    async with aclosing(
        store.trail.sweep(max_age=sweep.keep_trail, limit=most, batch_size=sweep.batch_size)
    ) as entries:
        async for number in entries:
            trail_deleted += number
    limits_deleted = await _sweep_limits(store, most, sweep.batch_size)
    left = await _left(store.inspection, sweep)
    return Swept(deleted, batches, trail_deleted, left, tuple(ids) if keep_ids else None, limits_deleted)


async def _sweep_limits(store: PendingStore, most: int | None, batch_size: int) -> int:
    """Nothing where there are no limits yet: pods of this version may run before the database is migrated."""
    deleted = 0
    limiter = RateLimiter(store.source, if_unreachable="raise")
    try:
        async with aclosing(limiter.sweep(limit=most, batch_size=batch_size)) as keys:
            async for number in keys:
                deleted += number
    except NotMigrated:
        pass
    return deleted


async def foresee(inspection: Inspection, sweep: Sweep) -> Foreseen:
    """Return what a sweep would do."""
    stale = await inspection.count_stale(
        max_age=sweep.max_age, cap=sweep.limit, include_undelivered=sweep.include_undelivered
    )
    return Foreseen(stale, await _left(inspection, sweep))


async def _left(inspection: Inspection, sweep: Sweep) -> Left:
    # Counted to one more than is reported, to learn whether there are more.
    stale = await inspection.count_stale(
        max_age=sweep.max_age, cap=REMAINING_CAP + 1, include_undelivered=sweep.include_undelivered
    )
    undelivered = await inspection.count_stale_undelivered(max_age=sweep.max_age)
    return Left(min(stale, REMAINING_CAP), stale > REMAINING_CAP, undelivered)


async def sweep_each_cycle(
    lend: Callable[[], AbstractAsyncContextManager[PendingStore]],
    every: timedelta,
    sweep: Sweep,
    *,
    report: Callable[[str], None],
    keep_ids: bool = False,
    begins: bool = True,
) -> AsyncGenerator[Swept, None]:
    """Sweep for ever, in each cycle that this sweeper wins of all those of the cluster, and yield what was done.

    `lend` gives a store for one cycle: between two the database may have failed over. While the database fails another
    cycle is tried after TROUBLE_SECONDS, and `report` is called once for each such outage; a sweep that fails has been
    its cycle. Where the database fails at the first attempt, DatabaseFailed is raised, unless `begins` is false.
    """
    has_begun, is_out = not begins, False
    while True:
        pause, swept = TROUBLE_SECONDS, None
        what = "no cycle could start"
        try:
            async with lend() as store:
                turn = await store.begin_sweep(every)
                has_begun, is_out, pause = True, False, max(turn.next_in_seconds, LEAST_PAUSE_SECONDS)
                what = "this cycle failed"
                if turn.is_ours:
                    swept = await sweep_once(store, sweep, keep_ids=keep_ids)
        except DatabaseFailed as error:
            if not has_begun:
                raise
            if not is_out:
                report(f"{what}: {error}")
            is_out = True
        if swept is not None:
            yield swept
        await asyncio.sleep(pause)


async def keep_swept(
    store: PendingStore, every: timedelta, sweep: Sweep, *, on_swept: Callable[[Swept], None] | None = None
) -> None:
    """Sweep for ever as one of the cluster's sweepers, until it is cancelled: what a pod does beside its questions.

    Outlives whatever the database does, and logs one line for each outage.
    """
    report = partial(_log.warning, "the sweeper waits: %s")
    while True:
        cycles = sweep_each_cycle(lambda: nullcontext(store), every, sweep, report=report, begins=False)
        try:
            async with aclosing(cycles) as done:
                async for swept in done:
                    _log.info("swept %d rows and %d entries of the trail", swept.deleted, swept.trail_deleted)
                    if on_swept is not None:
                        on_swept(swept)
        except Exception:  # noqa: BLE001 (the next cycle may do better)
            _log.exception("the sweeper has failed, and begins anew")
        await asyncio.sleep(TROUBLE_SECONDS)
