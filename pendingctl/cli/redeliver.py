"""pendingctl redeliver"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import InvalidInput, NotFound
from ..inspected import UNDELIVERED, State
from ..words import counted
from . import render
from .confirmation import confirm
from .database import store_of, target_of
from .event_loop import run
from .options import ApplicationOption, DryRunOption, DsnOption, Output, OutputOption, YesOption

_ENDED = UNDELIVERED | {State.CLAIMED, State.DEFAULTED, State.EXPIRED, State.WITHDRAWN}


def redeliver(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", show_default=False, help="The questions' ids.")
    ] = None,
    all_stuck: Annotated[bool, typer.Option("--all-stuck", help="All stuck answers.")] = False,
    application: ApplicationOption = "",
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have the pods deliver answers, and other endings, again, with all attempts ahead of them.

    This includes those that were delivered: their idempotency keys stay the same, and a worker that honours the
    keys applies each answer once.

    Example: pendingctl redeliver deploy-42 --yes
    """
    if all_stuck == bool(ids):
        raise InvalidInput("give the ids of questions whose answers are to be delivered again, or --all-stuck")

    async def found() -> list[str]:
        async with store_of(dsn, "redeliver", application) as store:
            if all_stuck:
                return await store.inspection.stuck(application=application)
            rows = [await store.inspection.get(id) for id in dict.fromkeys(ids or ())]
        return [row.id for row in rows if row is not None and row.state in _ENDED and row.application == application]

    async def redelivered(answered: list[str]) -> list[str]:
        async with store_of(dsn, "redeliver", application) as store:
            return await store.leases.redeliver(answered)

    answered = run(found())
    if missing := sorted(set(ids or ()) - set(answered)):
        raise NotFound(
            f"no ending of {', '.join(missing)}: unknown, still open, or another application's; nothing was done"
        )
    amount = counted(len(answered), "answer", "answers")
    if dry_run:
        document = {"redelivered": [], "would_redeliver": answered}
        render.show_document(output, document, [*answered, f"would redeliver {amount}"])
        return
    if answered:
        confirm(f"Deliver {amount} again on {target_of(dsn)}?", yes=yes)
        answered = run(redelivered(answered))
    amount = counted(len(answered), "answer", "answers")
    lines = [*answered, f"the pods will deliver {amount} again"]
    render.show_document(output, {"redelivered": answered}, lines)
