"""pendingctl list"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from ..inspected import CardState, PendingSummary, State
from . import render
from .database import store_of
from .event_loop import run
from .fields import summary_fields
from .options import (
    DsnOption,
    MaxAgeOption,
    OptionalApplication,
    OptionalConnection,
    OptionalOrganization,
    OptionalUser,
    Output,
    OutputOption,
    duration,
)
from .question_table import question_table


def list_rows(
    application: OptionalApplication = None,
    dsn: DsnOption = None,
    organization: OptionalOrganization = None,
    connection: OptionalConnection = None,
    user: OptionalUser = None,
    state: Annotated[State | None, typer.Option("--state", show_default=False, help="Only rows in this state.")] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option("--older-than", metavar="AGE", parser=duration, show_default=False, help="Only older rows."),
    ] = None,
    card: Annotated[
        CardState | None,
        typer.Option(
            "--card", show_default=False, help="Only rows whose card is out of date, or not known to be posted."
        ),
    ] = None,
    due_before: Annotated[
        timedelta | None,
        typer.Option(
            "--due-before",
            metavar="TIME",
            parser=duration,
            show_default=False,
            help="Only open rows whose deadline comes within this time.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most N rows.")] = 100,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """List questions, oldest first.

    Example: pendingctl list --org acme --state pending --older-than 1h
    """

    async def found() -> list[PendingSummary]:
        from ..store.inspection import Filters

        filters = Filters(organization, connection, user, state, older_than, card, application, due_before)
        async with store_of(dsn, "list") as store:
            return await store.inspection.find(filters, limit=limit + 1, max_age=max_age)

    rows = run(found())
    truncated = len(rows) > limit
    del rows[limit:]
    with_cards = card is CardState.NEVER_POSTED
    table = question_table(rows, render.stdout_width(), with_cards=with_cards) if output is Output.TABLE else ""
    fields = [summary_fields(row) for row in rows]
    render.show_document(output, {"rows": fields, "truncated": truncated}, table, rows=fields)
    if truncated and output is not Output.JSON:
        render.note(f"only the oldest {limit} are shown; narrow the filters or raise --limit")
