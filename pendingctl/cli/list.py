"""pendingctl list"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from ..errors import InvalidInput
from ..store.filters import Cursor, Filters, Found, Page, Sort
from . import render
from .database import inspection_of
from .event_loop import interruptible_call, run
from .fields import summary_fields
from .filters import filtered, page_of
from .options import DsnOption, MaxAgeOption, Output, OutputOption
from .question_columns import columns_by_name, filled_columns, usual_columns
from .question_table import question_table

# A question's text may have 256 KB.
_ROWS_AT_A_TIME = 200


@dataclass(frozen=True, slots=True)
class _List:
    page: Page
    found: Found


@filtered
def list_rows(
    filters: Filters,
    dsn: DsnOption = None,
    sort: Annotated[
        Sort,
        typer.Option("--sort", help="Order; due lists open rows that have a deadline, the next one first."),
    ] = Sort.OLDEST,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most N rows.")] = 100,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", show_default=False, help="Go on where the list before has ended."),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="All rows, whatever --limit, with -o jsonl or -o csv.")] = False,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B,C", show_default=False, help="The columns of the table, in this order."),
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="All columns that say anything, and nothing cut.")] = False,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """List questions, oldest first.

    Example: pendingctl list --org acme --state pending --older-than 1h
    """
    chosen = None if columns is None else columns_by_name(columns)
    begins = None if after is None else Cursor.parse(after)
    if output is not Output.TABLE and (chosen is not None or wide):
        raise InvalidInput(f"--columns and --wide are the table's; -o {output} has all fields")
    if all:
        _stream(dsn, filters, sort, begins, max_age, output)
        return

    async def listed() -> _List:
        async with inspection_of(dsn, "list") as inspection:
            page = await page_of(inspection, filters, sort=sort, after=begins, limit=limit, max_age=max_age)
            if begins is None and page.after is None:
                return _List(page, Found(len(page.rows), is_exact=True))
            return _List(page, await inspection.count_found(filters, sort=sort, max_age=max_age))

    result = run(listed())
    rows = result.page.rows
    table: render.Text = ""
    if output is Output.TABLE:
        shown = chosen or (
            filled_columns(rows, filters.state, filters.card) if wide else usual_columns(filters.state, filters.card)
        )
        table = question_table(rows, shown, render.stdout_width(), is_wide=wide)
    fields = [summary_fields(row) for row in rows]
    render.show_document(output, {"rows": fields, **_extent(result)}, table, rows=fields)
    if result.page.after is not None and output is not Output.JSON:
        render.note(_extent_in_words(result, is_first=begins is None))


def _stream(
    dsn: str | None, filters: Filters, sort: Sort, after: Cursor | None, max_age: timedelta, output: Output
) -> None:
    """Print all rows, a few at a time; between two reads no transaction is open, however slow the reader of a pipe."""
    if output not in (Output.JSONL, Output.CSV):
        raise InvalidInput("--all is written row by row; add -o jsonl or -o csv")

    async def streaming() -> None:
        async with inspection_of(dsn, "list") as inspection:
            begins, is_last = after, False
            with render.streamed(output) as write:
                while not is_last:
                    page = await page_of(
                        inspection, filters, sort=sort, after=begins, limit=_ROWS_AT_A_TIME, max_age=max_age
                    )
                    interruptible_call(partial(write, [summary_fields(row) for row in page.rows]))
                    begins, is_last = page.after, page.after is None

    run(streaming())


def _extent(result: _List) -> render.Row:
    return {
        "truncated": result.page.after is not None,
        "total": result.found.number,
        "total_is_estimate": not result.found.is_exact,
        "after": None if result.page.after is None else str(result.page.after),
    }


def _extent_in_words(result: _List, *, is_first: bool) -> str:
    which = "" if is_first else "the next "
    about = "" if result.found.is_exact else "about "
    shown = f"{which}{len(result.page.rows):,} of {about}{result.found.number:,} shown"
    return f"{shown}; for the next ones add --after {result.page.after}, for all of them --all -o jsonl"
