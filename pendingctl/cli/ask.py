"""pendingctl ask"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import typer

from ..model import Answer, Question, Scope
from . import render
from .database import store_of
from .event_loop import run
from .options import (
    ConnectionOption,
    DsnOption,
    OrganizationOption,
    Output,
    OutputOption,
    UserOption,
    duration,
)


def ask(
    organization: OrganizationOption,
    connection: ConnectionOption,
    user: UserOption,
    text: Annotated[str, typer.Option("--question", metavar="TEXT", show_default=False, help="The question.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="TEXT", show_default=False, help="One button; repeatable."),
    ] = None,
    timeout: Annotated[
        timedelta, typer.Option("--timeout", metavar="TIME", parser=duration, help="How long to wait for the answer.")
    ] = "10m",  # type: ignore[assignment]  # read by the parser
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="TEXT", show_default=False, help="Exit with 1 on any other answer."),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", show_default=False, help="The question's id. Default: a new one."),
    ] = None,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask a person a question, wait, and print the answer.

    Exits with 1 if the question is withdrawn, or is not answered in time, which withdraws it.

    Example: pendingctl ask --org acme --connection slack --user U1 --question 'Deploy?' --option yes --option no
    """
    question = Question(id or str(uuid4()), Scope(organization, connection, user), text, tuple(option or ()))

    async def answered() -> Answer | None:
        from ..asking import ask as ask_and_wait

        async with store_of(dsn, "ask") as store:
            return await ask_and_wait(store, question, timeout=timeout)

    render.note(f"waiting for the answer to {question.id}")
    answer = run(answered())
    if answer is None:
        if output is not Output.TABLE:
            render.show_document(output, {"answered": False, "id": question.id}, "")
        render.note(f"{question.id} is not answered: it was withdrawn, or nobody answered in time")
        raise typer.Exit(1)
    document = {
        "answered": True,
        "id": question.id,
        "answer": answer.value,
        "answered_by": answer.user_id,
        "claimed_at": answer.claimed_at,
    }
    render.show_document(output, document, answer.value or "")
    if expect is not None and answer.value != expect:
        raise typer.Exit(1)
