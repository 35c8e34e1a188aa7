"""pendingctl delete"""

from __future__ import annotations

import typer

from ..model import Scope
from .options import (
    ConnectionOption,
    DryRunOption,
    DsnOption,
    OrganizationOption,
    Output,
    OutputOption,
    QuestionArgument,
    UserOption,
    YesOption,
)
from .wiring import confirm, run, store_of, target_of


def delete(
    id: QuestionArgument,
    organization: OrganizationOption,
    connection: ConnectionOption,
    user: UserOption,
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete one question, if it has exactly this scope.

    Example: pendingctl delete deploy-42 --org acme --connection slack --user U1 --yes
    """
    from . import render

    scope = Scope(organization, connection, user)

    async def exists() -> bool:
        async with store_of(dsn, "delete") as store:
            row = await store.get(id)
            return row is not None and row.scope == scope

    async def deleted() -> bool:
        async with store_of(dsn, "delete") as store:
            return await store.delete(id, scope)

    if dry_run:
        found = run(exists())
        text = f"would delete {id}" if found else f"{id} does not exist in this scope"
        render.show_document(output, {"deleted": False, "id": id, "would_delete": found}, text)
        return
    confirm(f"Delete question {id} of organization {organization} on {target_of(dsn)}?", yes=yes)
    done = run(deleted())
    render.show_document(
        output, {"deleted": done, "id": id}, f"deleted {id}" if done else f"{id} does not exist in this scope"
    )
    if not done:
        raise typer.Exit(1)
