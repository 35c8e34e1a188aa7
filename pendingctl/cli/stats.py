"""pendingctl stats"""

from __future__ import annotations

from ..model import Counts
from .options import DsnOption, MaxAgeOption, Output, OutputOption
from .wiring import run, store_of


def stats(
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Count the questions that wait, and where.

    Example: pendingctl stats -o json
    """
    from . import render

    async def counted() -> Counts:
        async with store_of(dsn, "stats") as store:
            return await store.counts(max_age=max_age)

    counts = run(counted())
    totals = {
        "pending": counts.pending,
        "claimed": counts.claimed,
        "stale": counts.stale,
        "oldest_pending_seconds": counts.oldest_pending_seconds,
    }
    organizations = [
        {"organization_id": each.organization_id, "pending": each.pending, "stale": each.stale}
        for each in counts.organizations
    ]
    if output in (Output.JSONL, Output.CSV):
        render.show_rows(output, organizations, {}, render.plain_table)
        return
    document = {**totals, "organizations": organizations}
    render.show_document(output, document, render.stats_table(counts))
