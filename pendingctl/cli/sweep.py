"""pendingctl sweep"""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import Annotated

import typer

from ..errors import InvalidInput
from ..model import JsonValue
from .options import DryRunOption, DsnOption, MaxAgeOption, Output, OutputOption, YesOption
from .wiring import confirm, run, store_of, target_of

DEFAULT_LIMIT = 1_000


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
    with_ids: Annotated[bool, typer.Option("--ids", help="Print the ids of the deleted rows.")] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete stale questions in short batches, oldest first.

    Answered ones as well. Rows that somebody has locked are left for the next sweep.

    Example: pendingctl sweep --limit 10000 --max-age 24h
    """
    from . import render

    if everything and limit is not None:
        raise InvalidInput("--all and --limit exclude each other")
    most = None if everything else limit or DEFAULT_LIMIT

    if dry_run:
        document = run(_would_sweep(dsn, most, max_age))
        text = f"would delete {document['would_delete']:,} rows older than {render.age(max_age)}"
        render.show_document(output, document, text)
        return
    amount = "all" if most is None else f"up to {most:,}"
    confirm(f"Delete {amount} rows older than {render.age(max_age)} on {target_of(dsn)}?", yes=yes, off_terminal=True)
    result = run(_swept(dsn, most, max_age, batch_size, keep_ids=with_ids))
    render.show_document(output, result, _in_words(result))


async def _swept(
    dsn: str | None, limit: int | None, max_age: timedelta, batch_size: int, *, keep_ids: bool
) -> dict[str, JsonValue]:
    from ..store import REMAINING_CAP

    deleted = batches = 0
    ids: list[str] = []
    async with store_of(dsn, "sweep") as store:
        async with aclosing(store.sweep(max_age=max_age, limit=limit, batch_size=batch_size)) as swept:
            async for batch in swept:
                deleted += len(batch)
                batches += 1
                if keep_ids:
                    ids += batch
        remaining = await store.count_stale(max_age=max_age, cap=REMAINING_CAP + 1)
    document: dict[str, JsonValue] = {
        "deleted": deleted,
        "batches": batches,
        "remaining": min(remaining, REMAINING_CAP),
        "remaining_capped": remaining > REMAINING_CAP,
    }
    return {**document, "ids": ids} if keep_ids else document


async def _would_sweep(dsn: str | None, limit: int | None, max_age: timedelta) -> dict[str, JsonValue]:
    from ..store import REMAINING_CAP

    async with store_of(dsn, "sweep") as store:
        stale = await store.count_stale(max_age=max_age, cap=None if limit is None else max(limit, REMAINING_CAP + 1))
    return {
        "deleted": 0,
        "batches": 0,
        "remaining": min(stale, REMAINING_CAP),
        "remaining_capped": stale > REMAINING_CAP,
        "would_delete": stale if limit is None else min(stale, limit),
    }


def _in_words(result: dict[str, JsonValue]) -> str:
    from . import render

    deleted, batches, remaining = (int(str(result[name])) for name in ("deleted", "batches", "remaining"))
    more = "more than " if result["remaining_capped"] else ""
    rows, turns = render.counted(deleted, "row", "rows"), render.counted(batches, "batch", "batches")
    text = f"deleted {rows} in {turns}; {more}{remaining:,} remain"
    ids = result.get("ids")
    return text if not isinstance(ids, list) else "\n".join([*map(str, ids), text])
