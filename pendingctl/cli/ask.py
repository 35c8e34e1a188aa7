"""pendingctl ask"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import typer

from ..errors import AnswerTaken, InvalidInput, Refused
from ..model import Answer, NoAnswer, Question, Scope
from . import render
from .database import store_of
from .event_loop import interruptible_call, run
from .options import (
    ApplicationOption,
    ConnectionOption,
    DefaultOption,
    DsnOption,
    EscalateAfterOption,
    EscalateToOption,
    OrganizationOption,
    Output,
    OutputOption,
    RemindEveryOption,
    StreamOption,
    UserOption,
    duration,
)

ANOTHER_ANSWER = 1
NOBODY_ANSWERED = 4
WITHDRAWN = 5


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
        timedelta, typer.Option("--timeout", metavar="TIME", parser=duration, help="How long to wait: the deadline.")
    ] = "10m",  # type: ignore[assignment]  # read by the parser
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="TEXT", show_default=False, help="Exit with 1 on any other answer."),
    ] = None,
    default: DefaultOption = None,
    remind_every: RemindEveryOption = None,
    escalate_after: EscalateAfterOption = None,
    escalate_to: EscalateToOption = None,
    stream: StreamOption = None,
    conversation: Annotated[
        str,
        typer.Option(
            "--conversation",
            metavar="ID",
            show_default=False,
            help="The channel or room in which a pod posts the card. Default: nobody posts one.",
        ),
    ] = "",
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", show_default=False, help="The question's id. Default: a new one."),
    ] = None,
    application: ApplicationOption = "",
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Ask a person a question, wait, and print the answer.

    Exits with 1 on another answer than --expect, with 3 if the pods deliver the answer (it could not be printed, or
    this command was stopped for too long), with 4 if nobody answered in time, when the question expires, and with 5 if
    it was withdrawn.

    Example: pendingctl ask --org acme --connection slack --user U1 --question 'Deploy?' --option yes --option no
    """
    options = tuple(option or ())
    if expect is not None and options and expect not in options:
        raise InvalidInput(f"--expect {expect!r} is none of the options: {', '.join(options)}")
    question = Question(
        id or str(uuid4()),
        Scope(organization, connection, user),
        text,
        options,
        conversation,
        expires_in=timeout,
        default=default,
        remind_every=remind_every,
        escalate_after=escalate_after,
        escalate_to=escalate_to,
        stream=stream,
    )

    async def answered() -> int:
        from ..asking import ask as ask_and_wait

        async with (
            store_of(dsn, "ask", application) as store,
            ask_and_wait(store, question, timeout=timeout) as answer,
        ):
            # Before the block ends, which counts as the delivery.
            return _show(question.id, answer, expect, output)

    render.note(f"waiting for the answer to {question.id}")
    try:
        exit_code = run(answered())
    except Refused as error:
        # Nothing was asked, which must not look like the answer of a person.
        raise InvalidInput(str(error)) from error
    if exit_code:
        raise typer.Exit(exit_code)


def _show(id: str, answer: Answer | NoAnswer, expect: str | None, output: Output) -> int:
    """Print the answer, or why there is none, and return the exit code.

    Raises AnswerTaken when the answer cannot be printed.
    """
    if isinstance(answer, NoAnswer):
        if output is not Output.TABLE:
            outcome = None if answer is NoAnswer.GONE else answer
            render.show_document(output, {"answered": False, "id": id, "reason": answer, "outcome": outcome}, "")
        if answer is NoAnswer.EXPIRED:
            render.note(f"nobody answered {id} in time; it has expired")
            return NOBODY_ANSWERED
        render.note(f"{id} was withdrawn, deleted or asked anew")
        return WITHDRAWN
    document = {
        "answered": True,
        "id": id,
        "answer": answer.value,
        "outcome": answer.outcome,
        "answered_by": answer.answered_by,
        "claimed_at": answer.claimed_at,
    }
    try:
        interruptible_call(lambda: render.hand_over(output, document, (answer.value or "").split("\n")))
    except OSError as error:
        raise AnswerTaken(
            f"the answer to {id} cannot be printed ({error.strerror}); the pods deliver it in its place"
        ) from error
    return 0 if expect is None or answer.value == expect else ANOTHER_ANSWER
