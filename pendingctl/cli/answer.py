"""pendingctl answer"""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

import typer

from ..errors import NotFound
from ..inspected import PendingInteraction
from ..model import Claim, Click, Operator, Refusal
from . import render
from .database import inspection_of, store_of, user_and_host
from .event_loop import run
from .options import (
    DsnOption,
    OptionalConnection,
    OptionalOrganization,
    OptionalUser,
    Output,
    OutputOption,
    QuestionArgument,
)
from .refusals import in_words, pressed_in_vain, refusal_fields


def answer(
    id: QuestionArgument,
    value: Annotated[str, typer.Option("--value", metavar="TEXT", show_default=False, help="The answer.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", show_default=False, help="Why; the trail keeps it.")
    ],
    operator: Annotated[
        str | None,
        typer.Option(
            "--operator", metavar="NAME", show_default=False, help="Who answers. Default: this system's user and host."
        ),
    ] = None,
    organization: OptionalOrganization = None,
    connection: OptionalConnection = None,
    user: OptionalUser = None,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Answer a question in its user's place, as an operator: for emergencies.

    It wins or loses against clicks as one of them does, and is delivered as theirs are. The row, the card and the trail
    name the operator, never the user. Where --org, --connection or --user is given, the question must be theirs.

    Example: pendingctl answer deploy-42 --value no --reason 'U1 is on holiday'
    """
    by = Operator(operator or user_and_host(), reason)

    async def found() -> PendingInteraction:
        async with inspection_of(dsn, "answer") as inspection:
            row = await inspection.get(id)
        if row is None:
            raise NotFound(f"there is no question {id}")
        for given, has in (
            (organization, row.organization_id),
            (connection, row.connection_id),
            (user, row.expected_user_id),
        ):
            if given not in (None, has):
                raise NotFound(f"{id} does not exist in this scope")
        return row

    async def answered(row: PendingInteraction) -> Claim | Refusal:
        click = Click(
            question_id=id,
            organization_id=row.organization_id,
            connection_id=row.connection_id,
            user_id=row.expected_user_id,
            delivery_key=f"operator-{uuid4()}",
            value=value,
            ask_number=row.ask_number,
        )
        async with store_of(dsn, "answer", row.application) as store:
            result = await store.answer(click, by)
            if isinstance(result, Refusal):
                await store.trail.note([pressed_in_vain(click, result, by.answered_by)])
            return result

    result = run(answered(run(found())))
    if isinstance(result, Refusal):
        render.show_document(output, {"answered": False, **refusal_fields(result)}, f"refused: {in_words(result)}")
        raise typer.Exit(1)
    document = {
        "answered": True,
        "id": id,
        "ask_number": result.ask_number,
        "answered_by": by.answered_by,
        "claimed_at": result.claimed_at,
    }
    render.show_document(output, document, f"answered {id} as the operator {by.name}; the answer will be delivered")
