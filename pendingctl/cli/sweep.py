"""pendingctl sweep"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from ..model import BATCH_SIZE, SWEEP_LIMIT, TRAIL_ENTRIES_A_ROW
from ..words import age, counted
from . import render
from .confirmation import confirm
from .database import connection_of, target_of, user_and_host
from .event_loop import run
from .options import (
    DryRunOption,
    DsnOption,
    IncludeUndeliveredOption,
    MaxAgeOption,
    Output,
    OutputOption,
    YesOption,
    duration,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..sweeping import Foreseen, Left, Sweep, Swept, SweptDatabase


def sweep(
    dsn: DsnOption = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, show_default=str(SWEEP_LIMIT), help="Delete at most N rows."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete until nothing stale is left.")] = False,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, max=100_000, help="Rows per transaction.")
    ] = BATCH_SIZE,
    include_undelivered: IncludeUndeliveredOption = False,
    keep_trail: Annotated[
        timedelta,
        typer.Option(
            "--keep-trail", metavar="TIME", parser=duration, help="Delete entries of the trail that are older."
        ),
    ] = "30d",  # type: ignore[assignment]  # read by the parser
    every: Annotated[
        timedelta | None,
        typer.Option(
            "--every",
            metavar="TIME",
            parser=duration,
            show_default=False,
            help="Repeat for ever, with one sweep per cycle for the whole cluster.",
        ),
    ] = None,
    with_ids: Annotated[bool, typer.Option("--ids", help="Print the ids of the deleted rows.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing, unless stale answers are not delivered yet.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete stale questions in short batches, oldest first.

    Open questions go by their age, ended ones by the time since their end. Those whose answer is not delivered yet
    stay, and so do locked rows, for the next sweep. Of the trail ten times as many old entries go, and of rate limits
    as many keys that are free; and streams to which nothing was appended for 4/3 of their retention, whose ring is
    turned when that is due. With --every it runs until it is stopped; of any number of such sweepers, one sweeps in
    each cycle.

    Example: pendingctl sweep --limit 10000 --max-age 24h
    """
    if everything and limit is not None:
        raise InvalidInput("--all and --limit exclude each other")
    if every is not None and dry_run:
        raise InvalidInput("--every and --dry-run exclude each other")
    if every is not None and output in (Output.JSON, Output.CSV):
        raise InvalidInput("--every prints one result per cycle; use -o jsonl")
    if quiet and (dry_run or with_ids):
        raise InvalidInput("--quiet prints nothing; leave out --dry-run and --ids")
    most = None if everything else limit or SWEEP_LIMIT
    most_of_trail = "all" if most is None else f"up to {most * TRAIL_ENTRIES_A_ROW:,}"
    trail = f"{most_of_trail} entries of the trail older than {age(keep_trail)}"

    from ..sweeping import Sweep, Swept, sweep_each_cycle, sweep_once

    what = Sweep(
        limit=most,
        max_age=max_age,
        batch_size=batch_size,
        keep_trail=keep_trail,
        include_undelivered=include_undelivered,
    )
    if dry_run:
        dry = run(_foreseen(dsn, what))
        text = f"would delete {counted(dry.would_delete, 'row', 'rows')} older than {age(max_age)}"
        fields = {
            **_fields(Swept(0, 0, 0, dry.left)),
            "would_delete": dry.would_delete,
            "would_delete_streams": dry.would_delete_streams,
        }
        idle = _streams_in_words(dry.would_delete_streams)
        render.show_document(output, fields, f"{text}{idle}, and {trail}{_undelivered_in_words(dry.left)}")
        return
    amount = "all" if most is None else f"up to {most:,}"
    cycle = "" if every is None else f" every {age(every)}"
    lost = ", undelivered answers as well," if include_undelivered else ""
    confirm(
        f"Delete {amount} rows older than {age(max_age)}{lost} and {trail}{cycle} on {target_of(dsn)}?",
        yes=yes,
        off_terminal=not include_undelivered,
    )

    def show(swept: Swept) -> None:
        if not quiet or swept.left.undelivered:
            ids = {} if swept.ids is None else {"ids": swept.ids}
            render.show_document(output, {**_fields(swept), **ids}, _sweep_in_words(swept))

    async def sweeping() -> None:
        if every is None:
            async with _database(dsn) as database:
                swept = await sweep_once(database, what, keep_ids=with_ids)
            show(swept)
            return
        # A connection for each cycle.
        cycles = sweep_each_cycle(lambda: _database(dsn), every, what, report=render.note, keep_ids=with_ids)
        async for swept in cycles:
            show(swept)

    run(sweeping())


@asynccontextmanager
async def _database(dsn: str | None) -> AsyncIterator[SweptDatabase]:
    from ..events.ring import Ring
    from ..limits import RateLimiter
    from ..store import PendingStore
    from ..sweeping import SweptDatabase

    async with connection_of(dsn, "sweep") as source:
        store, ring = PendingStore(source, pod=user_and_host()), Ring(source, pod=user_and_host())
        yield SweptDatabase(store, ring, RateLimiter(source, if_unreachable="raise"))


async def _foreseen(dsn: str | None, sweep: Sweep) -> Foreseen:
    from ..sweeping import foresee

    async with _database(dsn) as database:
        return await foresee(database.store.inspection, sweep, ring=database.ring)


def _fields(swept: Swept) -> dict[str, object]:
    """Return the JSON fields: of a sweep, and of a dry run, which did nothing."""
    return {
        "deleted": swept.deleted,
        "batches": swept.batches,
        "trail_deleted": swept.trail_deleted,
        "streams_deleted": swept.streams_deleted,
        "limits_deleted": swept.limits_deleted,
        "ring": swept.turn,
        **asdict(swept.left),
    }


def _sweep_in_words(sweep: Swept) -> list[str]:
    more = "more than " if sweep.left.remaining_capped else ""
    rows, batches = counted(sweep.deleted, "row", "rows"), counted(sweep.batches, "batch", "batches")
    remain = f"{more}{sweep.left.remaining:,} remain"
    entries = f", and {counted(sweep.trail_deleted, 'entry', 'entries')} of the trail" if sweep.trail_deleted else ""
    keys = f", and {counted(sweep.limits_deleted, 'key', 'keys')} of limits" if sweep.limits_deleted else ""
    done = f"deleted {rows} in {batches}{_streams_in_words(sweep.streams_deleted)}{entries}{keys}"
    ring = "; the ring of events waits for whoever reads it, a backup perhaps" if sweep.turn == "blocked" else ""
    return [*(sweep.ids or ()), f"{done}; {remain}{_undelivered_in_words(sweep.left)}{ring}"]


def _streams_in_words(number: int) -> str:
    return f", {counted(number, 'idle stream', 'idle streams')}" if number else ""


def _undelivered_in_words(left: Left) -> str:
    answers = counted(left.undelivered, "stale answer is", "stale answers are")
    return f"; {answers} not delivered yet (pendingctl stats)" if left.undelivered else ""
