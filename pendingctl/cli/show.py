"""pendingctl show"""

from __future__ import annotations

from dataclasses import replace

from ..errors import NotFound
from ..inspected import PendingInteraction, State
from ..platforms import ENGLISH
from ..pod.card_content import card_of
from . import render
from .database import store_of
from .event_loop import run
from .fields import interaction_fields
from .options import DsnOption, MaxAgeOption, Output, OutputOption, QuestionArgument
from .tables import fields_table


def show(
    id: QuestionArgument,
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one question with everything stored about it.

    Example: pendingctl show deploy-42 -o json
    """

    async def found() -> PendingInteraction | None:
        async with store_of(dsn, "show") as store:
            return await store.inspection.get(id, max_age=max_age)

    row = run(found())
    if row is None:
        raise NotFound(f"there is no question {id!r}; it is unknown, deleted or swept")
    if output is Output.TABLE and row.question is not None:
        run(_as_a_card(row))
    document = interaction_fields(row)
    table = fields_table(document) if output is Output.TABLE else ""
    render.show_document(output, document, table)


async def _as_a_card(row: PendingInteraction) -> None:
    """Print the question as its card shows it."""
    from ..platforms.console import ConsolePlatform

    card = card_of(
        row.id,
        row.ask_number,
        row.payload,
        row.expected_user_id,
        wording=ENGLISH,
        outcome=row.outcome,
        is_stale=row.state is State.STALE,
        answered_by=row.answered_by,
        answer=row.answer,
        ended_at=row.claimed_at,
    )
    # Its text can be read even where the payload as a whole cannot.
    card = replace(card, text=row.question or "")
    with render.console() as console:
        await ConsolePlatform(console).post_card(row.connection_id, card)
