"""pendingctl sweep"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated

import typer

from ..errors import DatabaseFailed, InvalidInput
from ..payload import JsonValue
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
from .words import age, counted

DEFAULT_LIMIT = 1_000
# How long the sweeper waits before it asks a database again that could not be reached.
TROUBLE_SECONDS = 10.0


def sweep(
    dsn: DsnOption = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, show_default="1000", help="Delete at most so many rows."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete until nothing stale is left.")] = False,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", min=1, max=100_000, help="Rows a transaction.")
    ] = 1_000,
    include_undelivered: IncludeUndeliveredOption = False,
    every: Annotated[
        timedelta | None,
        typer.Option(
            "--every",
            metavar="TIME",
            parser=duration,
            show_default=False,
            help="Go on for ever: one sweep a cycle, by one of all that run.",
        ),
    ] = None,
    with_ids: Annotated[bool, typer.Option("--ids", help="Print the ids of the deleted rows.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete stale questions in short batches, oldest first.

    Answered ones as well. Accepted answers that are not delivered yet stay, and rows that somebody has locked are
    left for the next sweep. With --every it runs until it is ended; any number of pods may, and one of them sweeps.

    Example: pendingctl sweep --limit 10000 --max-age 24h
    """
    if everything and limit is not None:
        raise InvalidInput("--all and --limit exclude each other")
    if every is not None and dry_run:
        raise InvalidInput("--every and --dry-run exclude each other")
    if every is not None and output in (Output.JSON, Output.CSV):
        raise InvalidInput("--every prints a result each cycle; use -o jsonl")
    most = None if everything else limit or DEFAULT_LIMIT

    if dry_run:
        document = run(_would_sweep(dsn, most, max_age, include_undelivered=include_undelivered))
        text = f"would delete {document['would_delete']:,} rows older than {age(max_age)}"
        render.show_document(output, document, f"{text}{_undelivered_in_words(document)}")
        return
    amount = "all" if most is None else f"up to {most:,}"
    cycle = "" if every is None else f" every {age(every)}"
    lost = ", undelivered answers as well," if include_undelivered else ""
    confirm(
        f"Delete {amount} rows older than {age(max_age)}{cycle}{lost} on {target_of(dsn)}?",
        yes=yes,
        off_terminal=not include_undelivered,
    )

    async def swept() -> dict[str, JsonValue]:
        return await _swept(dsn, most, max_age, batch_size, keep_ids=with_ids, include_undelivered=include_undelivered)

    if every is None:
        result = run(swept())
        render.show_document(output, result, _in_words(result))
        return

    async def sweeping() -> None:
        async for _ in _our_cycles(dsn, every):
            try:
                result = await swept()
            except DatabaseFailed as error:
                render.note(f"this cycle was broken off: {error}")
            else:
                render.show_document(output, result, _in_words(result))

    run(sweeping())


async def _our_cycles(dsn: str | None, every: timedelta) -> AsyncIterator[None]:
    """Yield whenever a cycle begins that is ours. A database that cannot be reached at the start raises."""
    import asyncio

    has_begun = False
    while True:
        try:
            # A connection each time: between two cycles the database may have failed over.
            async with store_of(dsn, "sweep") as store:
                turn = await store.begin_sweep(every, pod=socket.gethostname())
            has_begun = True
        except DatabaseFailed as error:
            if not has_begun:
                raise
            render.note(f"no cycle could begin: {error}")
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
    *,
    keep_ids: bool,
    include_undelivered: bool,
) -> dict[str, JsonValue]:
    from ..store.inspection import REMAINING_CAP

    deleted = batches = 0
    ids: list[str] = []
    async with store_of(dsn, "sweep") as store:
        sweeping = store.sweep(
            max_age=max_age, limit=limit, batch_size=batch_size, include_undelivered=include_undelivered
        )
        async with aclosing(sweeping) as swept:
            async for batch in swept:
                deleted += len(batch)
                batches += 1
                if keep_ids:
                    ids += batch
        remaining = await store.inspection.count_stale(
            max_age=max_age, cap=REMAINING_CAP + 1, include_undelivered=include_undelivered
        )
        undelivered = await store.inspection.count_stale_undelivered(max_age=max_age)
    document: dict[str, JsonValue] = {
        "deleted": deleted,
        "batches": batches,
        "remaining": min(remaining, REMAINING_CAP),
        "remaining_capped": remaining > REMAINING_CAP,
        "undelivered": undelivered,
    }
    return {**document, "ids": ids} if keep_ids else document


async def _would_sweep(
    dsn: str | None, limit: int | None, max_age: timedelta, *, include_undelivered: bool
) -> dict[str, JsonValue]:
    from ..store.inspection import REMAINING_CAP

    async with store_of(dsn, "sweep") as store:
        cap = None if limit is None else max(limit, REMAINING_CAP + 1)
        stale = await store.inspection.count_stale(max_age=max_age, cap=cap, include_undelivered=include_undelivered)
        undelivered = await store.inspection.count_stale_undelivered(max_age=max_age)
    return {
        "deleted": 0,
        "batches": 0,
        "remaining": min(stale, REMAINING_CAP),
        "remaining_capped": stale > REMAINING_CAP,
        "undelivered": undelivered,
        "would_delete": stale if limit is None else min(stale, limit),
    }


def _undelivered_in_words(result: dict[str, JsonValue]) -> str:
    undelivered = int(str(result["undelivered"]))
    stale = counted(undelivered, "stale answer is", "stale answers are")
    return f"; {stale} not delivered yet (pendingctl stats)" if undelivered else ""


def _in_words(result: dict[str, JsonValue]) -> str:
    deleted, batches, remaining = (int(str(result[name])) for name in ("deleted", "batches", "remaining"))
    more = "more than " if result["remaining_capped"] else ""
    rows, turns = counted(deleted, "row", "rows"), counted(batches, "batch", "batches")
    text = f"deleted {rows} in {turns}; {more}{remaining:,} remain{_undelivered_in_words(result)}"
    ids = result.get("ids")
    return text if not isinstance(ids, list) else "\n".join([*map(str, ids), text])
