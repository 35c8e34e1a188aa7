"""pendingctl why"""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ..diagnosis.askings import askings
from ..diagnosis.findings import Finding
from ..diagnosis.presses import judge_presses, open_questions, presses
from ..diagnosis.question import judge_question
from ..errors import InvalidInput, NotFound
from ..inspected import QuestionHistory, UserHistory
from ..store.filters import Filters
from . import render
from .database import inspection_of
from .event_loop import run
from .fields import lease_fields, summary_fields
from .filters import check_names
from .options import DsnOption, MaxAgeOption, OptionalOrganization, Output, OutputOption, duration
from .timeline import entry_fields, finding_lines, open_lines, press_lines, question_lines, title_lines

if TYPE_CHECKING:
    from ..store.inspection import Inspection

_MOST_CANDIDATES = 10


def why(
    id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]", show_default=False, help="The question's id, or as much as no other begins with."
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", show_default=False, help="In place of an id: the presses of this user."),
    ] = None,
    since: Annotated[
        timedelta | None,
        typer.Option(
            "--since",
            metavar="TIME",
            parser=duration,
            show_default=False,
            help="With --user: so far back, by default 1h.",
        ),
    ] = None,
    organization: OptionalOrganization = None,
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Explain what has happened to a question, or to the presses of a user; say the likely cause and what mends it.

    Also of questions that were answered, swept or deleted in the last 30 days. Everything is only read.

    Example: pendingctl why deploy-42
    """
    if (id is None) == (user is None):
        raise InvalidInput("give the id of a question, or --user ID for the presses of a user")
    if id is not None and (since is not None or organization is not None):
        raise InvalidInput(
            "--since and --org narrow the presses of a user; give --user ID in place of the question's id"
        )
    if user is not None:
        _explain_user(user, organization, since or timedelta(hours=1), dsn, max_age, output)
    elif id is not None:
        _explain_question(id, dsn, max_age, output)


def _explain_question(id: str, dsn: str | None, max_age: timedelta, output: Output) -> None:
    async def read() -> QuestionHistory:
        async with inspection_of(dsn, "why") as inspection:
            return await _found(inspection, id, max_age)

    history = run(read())
    finding = judge_question(history)
    row, entries = history.row, [entry_fields(entry) for entry in history.trail.entries]
    document = {
        "id": history.id,
        **_finding_fields(finding),
        "row": None if row is None else summary_fields(row),
        "lease": None if history.lease is None else lease_fields(history.lease),
        "timeline": entries,
        "left_out": history.trail.left_out,
    }
    width = _width()
    text = [
        *title_lines(history),
        *question_lines(history, askings(history), width),
        *finding_lines(finding, width),
    ]
    if history.id != id and output is not Output.TABLE:
        render.note(f"{id!r} is the beginning of this id alone: {history.id}")
    render.show_document(output, document, text, rows=entries)
    if row is None and not entries:
        raise typer.Exit(1)


async def _found(inspection: Inspection, id: str, max_age: timedelta) -> QuestionHistory:
    """Return the history of this id, or of the only one that begins so. Raises NotFound where there are several."""
    history = await inspection.history(id, max_age=max_age)
    if history.row is not None or history.trail.entries:
        return history
    candidates = await inspection.known_ids(id, limit=_MOST_CANDIDATES + 1)
    if len(candidates) > 1:
        more = ", …" if len(candidates) > _MOST_CANDIDATES else ""
        listed = ", ".join(candidates[:_MOST_CANDIDATES])
        raise NotFound(f"several questions begin with {id!r}; write more of the id: {listed}{more}")
    for candidate in candidates:
        history = await inspection.history(candidate, max_age=max_age)
    return history


def _explain_user(
    user: str, organization: str | None, since: timedelta, dsn: str | None, max_age: timedelta, output: Output
) -> None:
    async def read() -> UserHistory:
        async with inspection_of(dsn, "why") as inspection:
            found = await inspection.user_history(user, organization_id=organization, since=since, max_age=max_age)
            if not found.entries:
                await check_names(inspection, Filters(organization_id=organization))
            return found

    history = run(read())
    finding = judge_presses(history)
    pressed, waiting = presses(history), open_questions(history)
    rows = [entry_fields(press.entry) for press in pressed]
    document = {
        "user_id": user,
        **_finding_fields(finding),
        "presses": rows,
        "open": [summary_fields(row) for row in waiting],
        "truncated": history.is_cut,
    }
    width = _width()
    text = [
        *press_lines(pressed, history.is_cut, width),
        *open_lines(waiting, user, width),
        *finding_lines(finding, width),
    ]
    render.show_document(output, document, text, rows=rows)
    if not history.entries:
        raise typer.Exit(1)


def _finding_fields(finding: Finding) -> dict[str, object]:
    return {"verdict": finding.verdict, "finding": finding.sentence, "remedies": list(finding.remedies)}


def _width() -> int:
    """Return how many columns stdout has, without what rich takes to say so."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else render.PIPE_WIDTH
