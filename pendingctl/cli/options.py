"""Options that several commands share, and the types they are parsed into."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from ..errors import InvalidInput
from ..words import read_duration


class Output(StrEnum):
    """The format in which a command prints its result."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def duration(text: str | timedelta) -> timedelta:
    """Parse `90s`, `30m`, `24h` or `7d`; a timedelta, as a default may be, is returned as it is.

    Raises typer.BadParameter for any other text, and for a length that is not above zero or over 36,500 days.
    """
    if isinstance(text, timedelta):
        return text
    try:
        return read_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def moment(text: str, option: str) -> timedelta | datetime:
    """Parse a time: `2026-11-26T03:00` (UTC unless it has a zone), or `2h`, which is a length of time before now.

    Raises InvalidInput for any other text.
    """
    try:
        return duration(text)
    except typer.BadParameter as error:
        if re.fullmatch(r"\d+[smhd]", text.strip()):
            raise InvalidInput(f"{option}: {error}") from None
    try:
        time = datetime.fromisoformat(text.strip())
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput(
            f"{option}: {text!r} is no time; write 90s, 30m, 24h or 7d for so long ago, or 2026-11-26T03:00"
        ) from None


DefaultOption = Annotated[
    str | None,
    typer.Option(
        "--default",
        metavar="TEXT",
        show_default=False,
        help="The answer at the deadline, if the question's card was posted.",
    ),
]
RemindEveryOption = Annotated[
    timedelta | None,
    typer.Option(
        "--remind-every",
        metavar="TIME",
        parser=duration,
        show_default=False,
        help="Remind the user so often, ten times at most.",
    ),
]
EscalateAfterOption = Annotated[
    timedelta | None,
    typer.Option(
        "--escalate-after",
        metavar="TIME",
        parser=duration,
        show_default=False,
        help="From then on another user may answer too, and is called.",
    ),
]
EscalateToOption = Annotated[
    str | None,
    typer.Option("--escalate-to", metavar="ID", show_default=False, help="The user who may answer too by then."),
]
StreamOption = Annotated[
    str | None,
    typer.Option(
        "--stream",
        metavar="NAME",
        show_default=False,
        help="Have the pods append to this stream that the card was posted and how the question has ended.",
    ),
]

DsnOption = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        metavar="DSN",
        show_default=False,
        help="Database: a libpq URI or key=value string, or 'embedded'. "
        "Default: PENDINGCTL_DSN, DATABASE_URL, or libpq's PG variables.",
    ),
]
ApplicationOption = Annotated[
    str,
    typer.Option(
        "--application", metavar="NAME", show_default=False, help="Whose questions: a set of pods with one worker."
    ),
]
OptionalApplication = Annotated[
    str | None, typer.Option("--application", metavar="NAME", show_default=False, help="Only this application's.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Output format.")]
OrganizationOption = Annotated[str, typer.Option("--org", metavar="ID", help="Organization (tenant).")]
ConnectionOption = Annotated[str, typer.Option("--connection", metavar="ID", help="Connection (installed bot).")]
UserOption = Annotated[str, typer.Option("--user", metavar="ID", help="The user who may click.")]
OptionalOrganization = Annotated[
    str | None, typer.Option("--org", metavar="ID", show_default=False, help="Organization (tenant).")
]
OptionalConnection = Annotated[
    str | None, typer.Option("--connection", metavar="ID", show_default=False, help="Connection (installed bot).")
]
OptionalUser = Annotated[
    str | None, typer.Option("--user", metavar="ID", show_default=False, help="The user who may click.")
]
QuestionArgument = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The question's id.")]
OptionalQuestion = Annotated[
    str | None, typer.Argument(metavar="[ID]", show_default=False, help="The question's id, beside its whole scope.")
]
QuestionPrefix = Annotated[
    str, typer.Argument(metavar="ID", show_default=False, help="The question's id, or as much as no other begins with.")
]
MaxAgeOption = Annotated[
    timedelta,
    typer.Option(
        "--max-age",
        metavar="AGE",
        parser=duration,
        help="Age at which a question is stale; an ended one's counts from its end.",
    ),
]
IncludeUndeliveredOption = Annotated[
    bool,
    typer.Option(
        "--include-undelivered", help="Also delete accepted answers that are not delivered yet; they are lost."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")]
