"""pendingctl diff-schema"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import DsnOption, Output, OutputOption
from .wiring import database_of

if TYPE_CHECKING:
    from ..schema_diff import Difference


def diff_schema(
    schema: Annotated[
        Path | None,
        typer.Option(
            "--schema", metavar="FILE", show_default=False, help="Compare this file; else pendingctl's own schema.sql."
        ),
    ] = None,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare a hand-written schema.sql with the database.

    The database is only read.

    Example: pendingctl diff-schema --schema schema.sql --dsn postgresql://localhost/bot
    """
    from .. import schema_diff
    from . import render

    with database_of(dsn) as database:
        compared = schema_diff.diff_schema(database, schema)

    for each in compared.notes:
        render.note(each)
    rows = [asdict(difference) for difference in compared.differences]
    if output in (Output.JSONL, Output.CSV):
        render.show_rows(output, rows, {}, render.plain_table)
    else:
        lines = [_in_words(compared.schema_file.name, difference) for difference in compared.differences]
        verdict = "identical" if compared.identical else f"differences: {len(rows)}"
        document = {"identical": compared.identical, "differences": rows}
        render.show_document(output, document, "\n".join([*lines, verdict]))
    if not compared.identical:
        raise typer.Exit(1)


def _in_words(file: str, difference: Difference) -> str:
    place = "" if difference.line is None else f"{file}:{difference.line}: "
    what = f"{place}{difference.kind} {difference.object}"
    if difference.attribute == "presence":
        if difference.actual is None:
            return f"{what}: is missing from the database"
        return f"{what}: is missing from {file}, the database has: {difference.actual}"
    says, has = (value if value is not None else "nothing" for value in (difference.expected, difference.actual))
    return f"{what} {difference.attribute}: {file} says {says}, the database says {has}"
