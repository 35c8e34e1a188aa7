"""pendingctl extend"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from ..model import NotExtended, Scope
from . import render
from .database import store_of
from .event_loop import run
from .options import (
    ConnectionOption,
    DsnOption,
    OrganizationOption,
    Output,
    OutputOption,
    QuestionArgument,
    UserOption,
    duration,
)


def extend(
    id: QuestionArgument,
    organization: OrganizationOption,
    connection: ConnectionOption,
    user: UserOption,
    by: Annotated[timedelta, typer.Option("--by", metavar="TIME", parser=duration, help="By how much.")],
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Move the deadline of an open question.

    Example: pendingctl extend deploy-42 --org acme --connection slack --user U1 --by 1h
    """

    async def extended() -> datetime | NotExtended:
        async with store_of(dsn, "extend") as store:
            return await store.extend(id, Scope(organization, connection, user), by=by)

    result = run(extended())
    if isinstance(result, datetime):
        at = result.isoformat(timespec="seconds")
        render.show_document(output, {"extended": True, "id": id, "expires_at": result}, f"{id} expires at {at}")
        return
    render.show_document(output, {"extended": False, "id": id, "reason": result}, f"refused: {id} {_WHY[result]}")
    raise typer.Exit(1)


_WHY = {
    NotExtended.ANSWERED: "is already answered",
    NotExtended.WITHDRAWN: "was withdrawn",
    NotExtended.EXPIRED: "has expired",
    NotExtended.AWAITED: "is waited for, and no longer than until its deadline",
    NotExtended.NO_DEADLINE: "has no deadline",
    NotExtended.UNKNOWN: "does not exist in this scope",
}
