"""pendingctl doctor"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from . import render
from .database import database_of
from .event_loop import run
from .options import DsnOption, MaxAgeOption, Output, OutputOption

if TYPE_CHECKING:
    from ..doctor import Check


def doctor(
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Check the database, the tables and the work as a whole; say what is wrong and what mends it.

    Everything is only read, in seconds. Exit code 1 is a check that fails.

    Example: pendingctl doctor
    """
    from .. import doctor as doctors
    from ..diagnosis.findings import Verdict, worst

    with database_of(dsn) as database:
        checks = run(doctors.examine(database, max_age=max_age))
        checks[4:4] = doctors.examine_schema(database)
    verdict = worst([each.finding.verdict for each in checks])
    rows = [_fields(each) for each in checks]
    document = {"verdict": verdict, "checks": rows}
    text = _text(checks) if output is Output.TABLE else ""
    render.show_document(output, document, text, rows=rows)
    if verdict is Verdict.FAIL:
        raise typer.Exit(1)


def _fields(check: Check) -> dict[str, object]:
    return {
        "check": check.name,
        "verdict": check.finding.verdict,
        "finding": check.finding.sentence,
        "remedies": list(check.finding.remedies),
        "facts": check.facts,
    }


def _text(checks: Sequence[Check]) -> render.Text:
    from .doctor_report import report

    return report(checks, render.stdout_width())
