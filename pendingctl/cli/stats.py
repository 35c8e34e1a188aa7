"""pendingctl stats"""

from __future__ import annotations

from dataclasses import asdict

from ..counts import Counts
from . import render
from .database import store_of
from .event_loop import run
from .options import DsnOption, MaxAgeOption, OptionalApplication, Output, OutputOption
from .tables import stats_table


def stats(
    application: OptionalApplication = None,
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Count the questions that wait for an answer, and the answers that wait for delivery.

    Example: pendingctl stats -o json
    """

    async def counted() -> Counts:
        async with store_of(dsn, "stats") as store:
            return await store.inspection.counts(application=application, max_age=max_age)

    counts = run(counted())
    totals = {
        "pending": counts.pending,
        "claimed": counts.claimed,
        "withdrawn": counts.withdrawn,
        "expired": counts.expired,
        "defaulted": counts.defaulted,
        "stale": counts.stale,
        "undelivered": counts.undelivered,
        "stuck": counts.stuck,
        "endings_to_tell": counts.endings_to_tell,
        "due_within_the_hour": counts.due_within_the_hour,
        "cards_to_post": counts.cards_to_post,
        "cards_never_posted": counts.cards_never_posted,
        "oldest_pending_seconds": counts.oldest_pending_seconds,
        "oldest_undelivered_seconds": counts.oldest_undelivered_seconds,
    }
    organizations = [asdict(each) for each in counts.organizations]
    document = {**totals, "organizations": organizations}
    table = stats_table(counts) if output is Output.TABLE else ""
    render.show_document(output, document, table, rows=organizations)
