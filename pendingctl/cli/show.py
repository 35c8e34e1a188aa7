"""pendingctl show"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NotFound
from ..inspected import PendingInteraction
from . import render
from .database import inspection_of
from .event_loop import run
from .fields import interaction_fields
from .options import DsnOption, MaxAgeOption, Output, OutputOption, QuestionPrefix
from .question_page import card_as_it_stands, grouped, headline, sentences
from .tables import groups_table

if TYPE_CHECKING:
    from datetime import timedelta

    from ..store.inspection import Inspection

_MOST_CANDIDATES = 10


def show(
    id: QuestionPrefix,
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one question with everything stored about it.

    Example: pendingctl show deploy-42 -o json
    """

    async def found() -> PendingInteraction:
        async with inspection_of(dsn, "show") as inspection:
            return await _found(inspection, id, max_age)

    row = run(found())
    fields = interaction_fields(row)
    if output is Output.TABLE:
        run(_print(row, fields))
        return
    if row.id != id:
        render.note(f"{id!r} is the beginning of this id alone: {row.id}")
    render.show_document(output, fields, "")


async def _found(inspection: Inspection, id: str, max_age: timedelta) -> PendingInteraction:
    """Return the question of this id, or the only one whose id begins so. Raises NotFound."""
    row = await inspection.get(id, max_age=max_age)
    if row is not None:
        return row
    candidates = await inspection.with_prefix(id, limit=_MOST_CANDIDATES + 1)
    if len(candidates) > 1:
        more = ", …" if len(candidates) > _MOST_CANDIDATES else ""
        listed = ", ".join(candidates[:_MOST_CANDIDATES])
        raise NotFound(f"several questions begin with {id!r}; write more of the id: {listed}{more}")
    for candidate in candidates:
        row = await inspection.get(candidate, max_age=max_age)
    if row is None:
        raise NotFound(f"there is no question {id!r}, and none that begins so; it is unknown, deleted or swept")
    return row


async def _print(row: PendingInteraction, fields: render.Row) -> None:
    """Print id and state, what the question waits for, its card as it stands, and then the rest."""
    from rich.text import Text

    from ..platforms.console import ConsolePlatform
    from ..printable import printable, printable_lines

    card = card_as_it_stands(row)
    with render.console() as console:
        # What is too long is the terminal's to wrap, which keeps it in one piece for whoever copies it.
        console.print(Text(printable(headline(row)), "bold", no_wrap=True, overflow="ignore"), crop=False)
        for sentence in sentences(row):
            console.print(Text(printable_lines(sentence), no_wrap=True, overflow="ignore"), crop=False)
        if card is not None:
            await ConsolePlatform(console).post_card(row.connection_id, card)
        console.print(groups_table(grouped(fields)), crop=False)
