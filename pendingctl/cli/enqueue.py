"""pendingctl enqueue"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from ..errors import InvalidInput
from ..model import PutOutcome, Scope
from ..payload import JsonObject, JsonValue, question_payload
from ..schedule import Schedule
from . import render
from .database import store_of
from .event_loop import interruptible_call, run
from .options import (
    ApplicationOption,
    DefaultOption,
    DsnOption,
    EscalateAfterOption,
    EscalateToOption,
    OptionalConnection,
    OptionalOrganization,
    OptionalUser,
    Output,
    OutputOption,
    RemindEveryOption,
    StreamOption,
    duration,
)
from .standard_input import standard_input


class IfAnswered(StrEnum):
    """What to do with an id whose question is already answered."""

    REOPEN = "reopen"
    KEEP = "keep"


def enqueue(
    organization: OptionalOrganization = None,
    connection: OptionalConnection = None,
    user: OptionalUser = None,
    question: Annotated[
        str | None, typer.Option("--question", metavar="TEXT", show_default=False, help="The question.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="TEXT", show_default=False, help="One button; repeatable."),
    ] = None,
    conversation: Annotated[
        str,
        typer.Option(
            "--conversation", metavar="ID", show_default=False, help="The channel or room in which it is asked."
        ),
    ] = "",
    show: Annotated[bool, typer.Option("--show", help="Have a pod post the card in the conversation.")] = False,
    expires_in: Annotated[
        timedelta | None,
        typer.Option(
            "--expires-in", metavar="TIME", parser=duration, show_default=False, help="The deadline, from now."
        ),
    ] = None,
    default: DefaultOption = None,
    remind_every: RemindEveryOption = None,
    escalate_after: EscalateAfterOption = None,
    escalate_to: EscalateToOption = None,
    stream: StreamOption = None,
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", show_default=False, help="The question's id. Default: a new one."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, help="Store N copies; with --id as ID-1, ID-2, …")
    ] = 1,
    file: Annotated[
        str | None,
        typer.Option("--file", metavar="FILE", show_default=False, help="Read one JSON object per line; - is stdin."),
    ] = None,
    create_org: Annotated[bool, typer.Option("--create-org", help="Create organizations that do not exist.")] = False,
    if_answered: Annotated[
        IfAnswered, typer.Option("--if-answered", help="What to do with an id that is already answered.")
    ] = IfAnswered.REOPEN,
    application: ApplicationOption = "",
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Store one question, copies of it, or the questions of a file.

    Either all of them are stored or none. Deadline, reminders, escalation and stream are the same for all of them.
    With --show again, a question whose card the pods have given up is posted after all.

    Example: pendingctl enqueue --org acme --connection slack --user U1 --question 'Deploy?' --option yes --option no
    """
    ids: list[str] = []
    schedule: Schedule = {
        "expires_in": expires_in,
        "default": default,
        "remind_every": remind_every,
        "escalate_after": escalate_after,
        "escalate_to": escalate_to,
    }

    def noting_ids(questions: Iterable[tuple[str, Scope, JsonObject]]) -> Iterator[tuple[str, Scope, JsonObject]]:
        for each in questions:
            ids.append(each[0])
            yield each

    async def stored(questions: Iterable[tuple[str, Scope, JsonObject]], total: int | None) -> dict[PutOutcome, int]:
        async with store_of(dsn, "enqueue", application) as store:
            with render.progress("storing", total) as advance:
                return await store.put_many(
                    noting_ids(questions),
                    show=show,
                    if_answered=if_answered.value,
                    create_organizations=create_org,
                    stream=stream,
                    on_stored=advance,
                    **schedule,
                )

    if file is not None:
        given = {"--org": organization, "--connection": connection, "--user": user, "--question": question, "--id": id}
        alone = [name for name, value in given.items() if value is not None] + ["--option"] * bool(option)
        alone += ["--conversation"] * bool(conversation)
        if alone or count != 1:
            raise InvalidInput(f"--file holds everything; leave out {', '.join(alone) or '--count'}")
        from .questions_file import read_questions

        with _opened(file) as lines:
            name = "stdin" if file == "-" else file
            waiting = iter(lambda: interruptible_call(lines.readline), b"")
            outcomes = run(stored(read_questions(waiting, name, schedule, show=show), None))
    else:
        if organization is None or connection is None or user is None or question is None:
            raise InvalidInput("give --org, --connection, --user and --question, or --file")
        scope = Scope(organization, connection, user)
        payload = question_payload(question, option or [], {"conversation_id": conversation} if conversation else None)
        outcomes = run(stored(((each, scope, payload) for each in _ids(id, count)), count))

    counted: dict[str, JsonValue] = {outcome.value: outcomes.get(outcome, 0) for outcome in PutOutcome}
    rows = [{"id": each} for each in ids]
    render.show_document(output, {"ids": ids, **counted}, _in_words(ids, counted), rows=rows)


def _ids(id: str | None, count: int) -> Iterator[str]:
    if id is not None and count == 1:
        yield id
        return
    for number in range(1, count + 1):
        yield str(uuid4()) if id is None else f"{id}-{number}"


@contextmanager
def _opened(file: str) -> Iterator[BufferedIOBase]:
    if file == "-":
        with standard_input() as stdin:
            yield stdin
        return
    try:
        with Path(file).open("rb") as opened:
            yield opened
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error


def _in_words(ids: list[str], counted: dict[str, JsonValue]) -> list[str]:
    outcomes = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counted.items() if number)
    shown = ids if len(ids) <= 10 else [*ids[:5], "…", *ids[-2:]]
    return [*shown, f"questions: {outcomes or 'none'}"]
