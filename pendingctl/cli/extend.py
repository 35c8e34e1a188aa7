"""pendingctl extend"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import typer

from ..errors import InvalidInput
from ..model import NotExtended, Scope
from ..store.filters import Filters
from . import render
from .bulk import Remedy, check_id_is_not_missing, remedy_listed, scope_beside_id
from .database import store_of
from .event_loop import run
from .filters import filtered
from .options import (
    DryRunOption,
    DsnOption,
    MaxAgeOption,
    OptionalQuestion,
    Output,
    OutputOption,
    YesOption,
    duration,
)


@filtered
def extend(
    by: Annotated[timedelta, typer.Option("--by", metavar="TIME", parser=duration, help="By how much.")],
    filters: Filters,
    id: OptionalQuestion = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Move the deadline of an open question, or of all that list shows with the same filters.

    An id needs its whole scope: --org, --connection and --user.

    Example: pendingctl extend deploy-42 --org acme --connection slack --user U1 --by 1h
    """
    if id is not None:
        if dry_run:
            raise InvalidInput("--dry-run is for filters; one question's deadline is shown by pendingctl show ID")
        _extend_one(id, scope_beside_id(filters), by, dsn=dsn, output=output)
        return
    check_id_is_not_missing(filters)
    remedy = Remedy(
        command="extend",
        question="Move the deadlines of {}",
        done="extended",
        outcome="extended",
        apply=lambda remedies, rows: remedies.extend(rows, by=by),
        moves_deadlines=True,
    )
    remedy_listed(remedy, filters, dsn=dsn, max_age=max_age, dry_run=dry_run, yes=yes, output=output)


def _extend_one(id: str, scope: Scope, by: timedelta, *, dsn: str | None, output: Output) -> None:
    async def extended() -> datetime | NotExtended:
        async with store_of(dsn, "extend") as store:
            return await store.extend(id, scope, by=by)

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
