"""Sweeps of rows, trail, streams and limits: one, or one in each cycle for the whole cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic

from .errors import DatabaseFailed, DatabaseUnreachable
from .events.ring import TRY_EVERY_SECONDS, Ring, Turn
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

    As many idle streams as rows. `keep_trail` is the age of an entry of the trail that is old. No limit: until nothing
    stale is left.
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
    """What a sweep did. `ids` is None unless they were to be kept.

    `turn` is what became of the turn of the streams' ring; None where it was not tried.
    """

    deleted: int
    batches: int
    trail_deleted: int
    left: Left
    ids: tuple[str, ...] | None = None
    streams_deleted: int = 0
    turn: Turn | None = None
    limits_deleted: int = 0


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a sweep would do."""

    would_delete: int
    left: Left
    would_delete_streams: int = 0


@dataclass(frozen=True, slots=True)
class SweptDatabase:
    """What is swept of one database."""

    store: PendingStore
    ring: Ring
    limiter: RateLimiter


async def sweep_once(what: SweptDatabase, sweep: Sweep, *, keep_ids: bool = False, turn: bool = True) -> Swept:
    """Sweep stale rows, old entries of the trail, idle streams and keys of limits that are free.

    The ring is turned as well if that is due, unless not `turn`. Returns what was done and what is left. Raises as
    `PendingStore.sweep` does, for the first that has failed and after all else was swept, unless the database is out of
    reach; what was swept stays so.
    """
    errors: list[DatabaseFailed] = []
    batches = 0
    deleted = 0
    ids: list[str] = []
    rows = what.store.sweep(
        max_age=sweep.max_age,
        limit=sweep.limit,
        batch_size=sweep.batch_size,
        include_undelivered=sweep.include_undelivered,
    )
    with _noted(errors):
        async with aclosing(rows) as gone:
            async for batch in gone:
                batches += 1
                deleted += len(batch)
                if keep_ids:
                    ids += batch
    most = None if sweep.limit is None else sweep.limit * TRAIL_ENTRIES_A_ROW
    entries = what.store.trail.sweep(max_age=sweep.keep_trail, limit=most, batch_size=sweep.batch_size)
    trail_deleted = await _number(entries, errors)
    limits_deleted = await _number(what.limiter.sweep(limit=most, batch_size=sweep.batch_size), errors)
    turned = None
    if turn:
        with _noted(errors):
            turned = await what.ring.turn()
    streams_deleted = await _number(what.ring.sweep(limit=sweep.limit, batch_size=sweep.batch_size), errors)
    if errors:
        raise errors[0]
    left = await _left(what.store.inspection, sweep)
    kept = tuple(ids) if keep_ids else None
    return Swept(deleted, batches, trail_deleted, left, kept, streams_deleted, turned, limits_deleted)


@contextmanager
def _noted(errors: list[DatabaseFailed]) -> Iterator[None]:
    """Note what fails in the block, and go on, as a row that cannot be deleted must not keep the ring from turning."""
    try:
        yield
    except DatabaseFailed as error:
        if isinstance(error, DatabaseUnreachable):
            raise
        errors.append(error)


async def _number(batches: AsyncGenerator[int, None], errors: list[DatabaseFailed]) -> int:
    number = 0
    with _noted(errors):
        async with aclosing(batches) as gone:
            async for batch in gone:
                number += batch
    return number


async def foresee(inspection: Inspection, sweep: Sweep, *, ring: Ring) -> Foreseen:
    """Return what a sweep would do."""
    stale = await inspection.count_stale(
        max_age=sweep.max_age, cap=sweep.limit, include_undelivered=sweep.include_undelivered
    )
    idle = await ring.count_idle()
    streams = idle if sweep.limit is None else min(idle, sweep.limit)
    return Foreseen(stale, await _left(inspection, sweep), streams)


async def _left(inspection: Inspection, sweep: Sweep) -> Left:
    # Counted to one more than is reported, to learn whether there are more.
    stale = await inspection.count_stale(
        max_age=sweep.max_age, cap=REMAINING_CAP + 1, include_undelivered=sweep.include_undelivered
    )
    undelivered = await inspection.count_stale_undelivered(max_age=sweep.max_age)
    return Left(min(stale, REMAINING_CAP), stale > REMAINING_CAP, undelivered)


async def sweep_each_cycle(
    lend: Callable[[], AbstractAsyncContextManager[SweptDatabase]],
    every: timedelta,
    sweep: Sweep,
    *,
    report: Callable[[str], None],
    keep_ids: bool = False,
    begins: bool = True,
) -> AsyncGenerator[Swept, None]:
    """Sweep for ever, in each cycle that this sweeper wins of all those of the cluster, and yield what was done.

    `lend` gives what is swept for one cycle: between two the database may have failed over. While it fails another
    cycle is tried after TROUBLE_SECONDS, and `report` is called once for each such outage; a sweep that fails has been
    its cycle. Where the database fails at the first attempt, DatabaseFailed is raised, unless `begins` is false.
    """
    has_begun, is_out = not begins, False
    turn_from = 0.0
    while True:
        pause, swept = TROUBLE_SECONDS, None
        what = "no cycle could start"
        try:
            async with lend() as lent:
                cycle = await lent.store.begin_sweep(every)
                has_begun, is_out, pause = True, False, max(cycle.next_in_seconds, LEAST_PAUSE_SECONDS)
                what = "this cycle failed"
                if cycle.is_ours:
                    is_turn = monotonic() >= turn_from
                    if is_turn:
                        turn_from = monotonic() + TRY_EVERY_SECONDS
                    swept = await sweep_once(lent, sweep, keep_ids=keep_ids, turn=is_turn)
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
    what: SweptDatabase, every: timedelta, sweep: Sweep, *, on_swept: Callable[[Swept], None] | None = None
) -> None:
    """Sweep for ever as one of the cluster's sweepers, until it is cancelled: what a pod does beside its questions.

    Outlives whatever the database does, and logs one line for each outage.
    """
    report = partial(_log.warning, "the sweeper waits: %s")
    while True:
        cycles = sweep_each_cycle(lambda: nullcontext(what), every, sweep, report=report, begins=False)
        try:
            async with aclosing(cycles) as done:
                async for swept in done:
                    _log.info("swept %d rows and %d entries of the trail", swept.deleted, swept.trail_deleted)
                    if swept.streams_deleted or swept.turn is Turn.TURNED:
                        _log.info("swept %d idle streams; ring of events: %s", swept.streams_deleted, swept.turn)
                    if on_swept is not None:
                        on_swept(swept)
        except Exception:  # noqa: BLE001 (the next cycle may do better)
            _log.exception("the sweeper has failed, and begins anew")
        await asyncio.sleep(TROUBLE_SECONDS)
