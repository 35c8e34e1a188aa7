"""pendingctl sweep"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DatabaseFailed, InvalidInput
from ..model import BATCH_SIZE, SWEEP_LIMIT, TRAIL_ENTRIES_A_ROW
from ..words import age, counted
from . import render
from .confirmation import confirm
from .database import store_of, target_of
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
    from ..store.inspection import Inspection

# How long a sweeper waits before it tries again to reach a database.
TROUBLE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Left:
    """What is still stale: rows for the next sweep, and undelivered answers, which no sweep takes.

    `remaining` stops at REMAINING_CAP; `remaining_capped` says that there are more.
    """

    remaining: int
    remaining_capped: bool
    undelivered: int


@dataclass(frozen=True, slots=True)
class _Sweep:
    """What a sweep did. `ids` is None unless --ids is given."""

    deleted: int
    batches: int
    trail_deleted: int
    left: _Left
    ids: tuple[str, ...] | None

    def fields(self) -> dict[str, object]:
        """Return the JSON fields."""
        fields = {
            "deleted": self.deleted,
            "batches": self.batches,
            "trail_deleted": self.trail_deleted,
            **asdict(self.left),
        }
        return fields if self.ids is None else {**fields, "ids": self.ids}


@dataclass(frozen=True, slots=True)
class _DryRun:
    """What a sweep would do."""

    would_delete: int
    left: _Left

    def fields(self) -> dict[str, object]:
        """Return the JSON fields: those of a sweep that did nothing, and what it would do."""
        return {**_Sweep(0, 0, 0, self.left, None).fields(), "would_delete": self.would_delete}


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
    stay, and so do locked rows, for the next sweep. Of the trail ten times as many old entries go. With --every it runs
    until it is stopped; of any number of such sweepers, one sweeps in each cycle.

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

    if dry_run:
        dry = run(_foreseen(dsn, most, max_age, include_undelivered=include_undelivered))
        text = f"would delete {counted(dry.would_delete, 'row', 'rows')} older than {age(max_age)}"
        render.show_document(output, dry.fields(), f"{text}, and {trail}{_undelivered_in_words(dry.left)}")
        return
    amount = "all" if most is None else f"up to {most:,}"
    cycle = "" if every is None else f" every {age(every)}"
    lost = ", undelivered answers as well," if include_undelivered else ""
    confirm(
        f"Delete {amount} rows older than {age(max_age)}{lost} and {trail}{cycle} on {target_of(dsn)}?",
        yes=yes,
        off_terminal=not include_undelivered,
    )

    def show(result: _Sweep) -> None:
        if not quiet or result.left.undelivered:
            render.show_document(output, result.fields(), _sweep_in_words(result))

    async def swept() -> _Sweep:
        return await _swept(
            *(dsn, most, max_age, batch_size, keep_trail), keep_ids=with_ids, include_undelivered=include_undelivered
        )

    if every is None:
        show(run(swept()))
        return

    async def sweeping() -> None:
        async for _ in _our_cycles(dsn, every):
            try:
                result = await swept()
            except DatabaseFailed as error:
                render.note(f"this cycle failed: {error}")
            else:
                show(result)

    run(sweeping())


async def _our_cycles(dsn: str | None, every: timedelta) -> AsyncIterator[None]:
    """Yield at the start of each cycle that this sweeper has won.

    Raises DatabaseFailed if the database fails at the first attempt; later it is tried again.
    """
    import asyncio

    has_begun = False
    while True:
        try:
            # A connection each time: between two cycles the database may have failed over.
            async with store_of(dsn, "sweep") as store:
                turn = await store.begin_sweep(every)
            has_begun = True
        except DatabaseFailed as error:
            if not has_begun:
                raise
            render.note(f"no cycle could start: {error}")
            await asyncio.sleep(TROUBLE_SECONDS)
            continue
        if turn.is_ours:
            yield
        await asyncio.sleep(max(turn.next_in_seconds, 0.1))


async def _swept(
    dsn: str | None,
    limit: int | None,
    max_age: timedelta,
    batch_size: int,
    keep_trail: timedelta,
    *,
    keep_ids: bool,
    include_undelivered: bool,
) -> _Sweep:
    batches = 0
    deleted = 0
    ids: list[str] = []
    async with store_of(dsn, "sweep") as store:
        sweeping = store.sweep(
            max_age=max_age, limit=limit, batch_size=batch_size, include_undelivered=include_undelivered
        )
        async with aclosing(sweeping) as swept:
            async for batch in swept:
                batches += 1
                deleted += len(batch)
                if keep_ids:
                    ids += batch
        most_of_trail = None if limit is None else limit * TRAIL_ENTRIES_A_ROW
        trail_deleted = 0
        async with aclosing(store.trail.sweep(max_age=keep_trail, limit=most_of_trail, batch_size=batch_size)) as gone:
            async for entries in gone:
                trail_deleted += entries
        left = await _left(store.inspection, max_age, include_undelivered=include_undelivered)
    return _Sweep(deleted, batches, trail_deleted, left, tuple(ids) if keep_ids else None)


async def _foreseen(dsn: str | None, limit: int | None, max_age: timedelta, *, include_undelivered: bool) -> _DryRun:
    async with store_of(dsn, "sweep") as store:
        inspection = store.inspection
        stale = await inspection.count_stale(max_age=max_age, cap=limit, include_undelivered=include_undelivered)
        return _DryRun(stale, await _left(inspection, max_age, include_undelivered=include_undelivered))


async def _left(inspection: Inspection, max_age: timedelta, *, include_undelivered: bool) -> _Left:
    from ..store import REMAINING_CAP

    # Counted to one more than is reported, to learn whether there are more.
    cap = REMAINING_CAP + 1
    stale = await inspection.count_stale(max_age=max_age, cap=cap, include_undelivered=include_undelivered)
    undelivered = await inspection.count_stale_undelivered(max_age=max_age)
    return _Left(min(stale, REMAINING_CAP), stale > REMAINING_CAP, undelivered)


def _sweep_in_words(sweep: _Sweep) -> list[str]:
    more = "more than " if sweep.left.remaining_capped else ""
    rows, batches = counted(sweep.deleted, "row", "rows"), counted(sweep.batches, "batch", "batches")
    remain = f"{more}{sweep.left.remaining:,} remain"
    entries = f", and {counted(sweep.trail_deleted, 'entry', 'entries')} of the trail" if sweep.trail_deleted else ""
    return [*(sweep.ids or ()), f"deleted {rows} in {batches}{entries}; {remain}{_undelivered_in_words(sweep.left)}"]


def _undelivered_in_words(left: _Left) -> str:
    answers = counted(left.undelivered, "stale answer is", "stale answers are")
    return f"; {answers} not delivered yet (pendingctl stats)" if left.undelivered else ""
