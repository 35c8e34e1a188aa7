"""pendingctl redeliver"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from ..errors import InvalidInput, NotFound
from ..inspected import UNDELIVERED, State
from ..store.filters import ALL, Filters
from ..words import counted
from . import render
from .bulk import Remedy, remedy_listed
from .confirmation import confirm
from .database import store_of, target_of
from .event_loop import run
from .filters import filtered
from .options import DryRunOption, DsnOption, MaxAgeOption, Output, OutputOption, YesOption

_ENDED = UNDELIVERED | {State.CLAIMED, State.DEFAULTED, State.EXPIRED, State.WITHDRAWN}


@filtered
def redeliver(
    filters: Filters,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", show_default=False, help="The questions' ids.")
    ] = None,
    all_stuck: Annotated[
        bool, typer.Option("--all-stuck", help="All stuck answers of one application: --state stuck.")
    ] = False,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have the pods deliver answers, and other endings, again, with all attempts ahead of them.

    Those of questions by their ids, in one application, or of all that list shows with the same filters. This includes
    those that were delivered: their idempotency keys stay the same, and a worker that honours the keys applies each
    answer once.

    Example: pendingctl redeliver deploy-42 --yes
    """
    if ids:
        application = filters.application or ""
        if all_stuck or replace(filters, application=None) != ALL:
            raise InvalidInput("give ids, of one --application, or filters; ids take no other filter")
        _redeliver_named(ids, application, dsn=dsn, dry_run=dry_run, yes=yes, output=output)
        return
    if all_stuck and filters.state is not None:
        raise InvalidInput("--all-stuck and --state exclude each other")
    if all_stuck:
        filters = replace(filters, state=State.STUCK, application=filters.application or "")
    remedy = Remedy(
        command="redeliver",
        question="Deliver the endings of {} again",
        done="will be delivered again",
        outcome="redelivered",
        apply=lambda remedies, rows: remedies.redeliver(rows),
    )
    remedy_listed(remedy, filters, dsn=dsn, max_age=max_age, dry_run=dry_run, yes=yes, output=output)


def _redeliver_named(
    ids: list[str], application: str, *, dsn: str | None, dry_run: bool, yes: bool, output: Output
) -> None:
    async def found() -> list[str]:
        async with store_of(dsn, "redeliver", application) as store:
            rows = [await store.inspection.get(id) for id in dict.fromkeys(ids)]
        return [row.id for row in rows if row is not None and row.state in _ENDED and row.application == application]

    async def redelivered(answered: list[str]) -> list[str]:
        async with store_of(dsn, "redeliver", application) as store:
            return await store.leases.redeliver(answered)

    answered = run(found())
    if missing := sorted(set(ids) - set(answered)):
        raise NotFound(
            f"no ending of {', '.join(missing)}: unknown, still open, or another application's; nothing was done"
        )
    amount = counted(len(answered), "answer", "answers")
    if dry_run:
        document = {"redelivered": [], "would_redeliver": answered}
        render.show_document(output, document, [*answered, f"would redeliver {amount}"])
        return
    confirm(f"Deliver {amount} again on {target_of(dsn)}?", yes=yes)
    answered = run(redelivered(answered))
    amount = counted(len(answered), "answer", "answers")
    lines = [*answered, f"the pods will deliver {amount} again"]
    render.show_document(output, {"redelivered": answered}, lines)
