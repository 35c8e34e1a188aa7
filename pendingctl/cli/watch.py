"""pendingctl watch"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from ..store.filters import ALL, Filters
from .database import store_of, target_of
from .event_loop import run
from .filters import filtered
from .options import DsnOption, MaxAgeOption, duration

_NO_TERMINAL = "watch needs a terminal to draw on; in a pipe use: pendingctl list --state stuck -o jsonl"


@filtered
def watch(
    filters: Filters,
    every: Annotated[
        timedelta, typer.Option("--every", metavar="TIME", parser=duration, help="How often it is read anew.")
    ] = "2s",  # type: ignore[assignment]  # read by the parser
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
) -> None:
    """Show what needs a look, and keep it up to date; enter explains a question, and keys mend it.

    What is stuck, undelivered, not posted, or not edited comes first, then what has been open for the longest, of
    --org and --application if they are given; with any other filter it is the rows that list shows.

    Example: pendingctl watch
    """
    from .terminal import Terminal
    from .watch_screen import Screen
    from .watching import Watching

    terminal = Terminal(_NO_TERMINAL)
    screen = Screen(target=target_of(dsn), is_filtered=filters != ALL)

    async def watching() -> None:
        async with store_of(dsn, "watch") as store:
            await Watching(store, terminal, screen, filters, every, max_age).run()

    run(watching())
