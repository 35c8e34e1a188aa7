"""pendingctl claim"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import typer

from ..model import Claim, Click, Refusal
from . import render
from .database import store_of
from .event_loop import run
from .options import (
    ApplicationOption,
    ConnectionOption,
    DsnOption,
    OrganizationOption,
    Output,
    OutputOption,
    QuestionArgument,
    UserOption,
)
from .refusals import in_words, pressed_in_vain, refusal_fields


def claim(
    id: QuestionArgument,
    organization: OrganizationOption,
    connection: ConnectionOption,
    user: UserOption,
    value: Annotated[str | None, typer.Option("--value", show_default=False, help="The answer.")] = None,
    delivery_key: Annotated[
        str | None,
        typer.Option(
            "--delivery-key",
            metavar="KEY",
            show_default=False,
            help="The same key is the same click. Default: new.",
        ),
    ] = None,
    take: Annotated[bool, typer.Option("--take", help="Keep the answer: it counts as delivered.")] = False,
    application: ApplicationOption = "",
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Claim a question by hand, as a click by its user would.

    The answer is delivered as a click's is: by the pods to their worker, or to the `ask` that waits for it. With --take
    the caller keeps it, and nobody else gets it.

    Example: pendingctl claim deploy-42 --org acme --connection slack --user U1 --value yes
    """
    click = Click(
        question_id=id,
        organization_id=organization,
        connection_id=connection,
        user_id=user,
        delivery_key=delivery_key or f"cli-{uuid4()}",
        value=value,
    )

    async def claimed() -> Claim | Refusal:
        async with store_of(dsn, "claim", application) as store:
            result = await store.claim(click, lease=None if take else timedelta(0))
            if isinstance(result, Refusal) or result.repeated:
                await store.trail.note([pressed_in_vain(click, result, click.user_id)])
            return result

    result = run(claimed())
    if isinstance(result, Claim):
        document: dict[str, object] = {
            "claimed": True,
            "id": id,
            "payload": result.payload,
            "ask_number": result.ask_number,
            "claimed_at": result.claimed_at,
            "repeated": result.repeated,
        }
        become = (
            "this delivery key had already won"
            if result.repeated
            else "the answer is yours"
            if take
            else "the answer will be delivered"
        )
        render.show_document(output, document, f"claimed {id}; {become}")
        return
    render.show_document(output, {"claimed": False, **refusal_fields(result)}, f"refused: {in_words(result)}")
    raise typer.Exit(1)
