"""pendingctl delete"""

from __future__ import annotations

import typer

from ..inspected import UNDELIVERED
from ..model import Scope
from . import render
from .confirmation import confirm
from .database import store_of, target_of
from .event_loop import run
from .options import (
    ConnectionOption,
    DryRunOption,
    DsnOption,
    IncludeUndeliveredOption,
    OrganizationOption,
    Output,
    OutputOption,
    QuestionArgument,
    UserOption,
    YesOption,
)


def delete(
    id: QuestionArgument,
    organization: OrganizationOption,
    connection: ConnectionOption,
    user: UserOption,
    dsn: DsnOption = None,
    include_undelivered: IncludeUndeliveredOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete one question, if it has exactly this scope.

    A question whose accepted answer is not delivered yet is kept.

    Example: pendingctl delete deploy-42 --org acme --connection slack --user U1 --yes
    """
    scope = Scope(organization, connection, user)

    async def obstacle() -> str | None:
        """What would keep the question from being deleted."""
        async with store_of(dsn, "delete") as store:
            row = await store.inspection.get(id)
        if row is None or row.scope != scope:
            return f"{id} does not exist in this scope"
        if row.state in UNDELIVERED and not include_undelivered:
            return f"the answer of {id} is not delivered yet; --include-undelivered deletes it too"
        return None

    async def deleted() -> bool:
        async with store_of(dsn, "delete") as store:
            return await store.delete(id, scope, include_undelivered=include_undelivered)

    if dry_run:
        kept = run(obstacle())
        document = {"deleted": False, "id": id, "would_delete": kept is None}
        render.show_document(output, document, kept or f"would delete {id}")
        return
    confirm(f"Delete question {id} of organization {organization} on {target_of(dsn)}?", yes=yes)
    done = run(deleted())
    text = f"deleted {id}" if done else f"{id} does not exist in this scope"
    render.show_document(output, {"deleted": done, "id": id}, text)
    if not done:
        raise typer.Exit(1)
