"""pendingctl repair-cards"""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import InvalidInput
from ..remedied import NotDone
from ..store.filters import ALL, Filters
from .bulk import Remedy, remedy_listed, remedy_named
from .filters import filtered
from .options import DryRunOption, DsnOption, MaxAgeOption, Output, OutputOption, YesOption


@filtered
def repair_cards(
    filters: Filters,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", show_default=False, help="The questions' ids.")
    ] = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have the pods edit cards that are out of date, and post those that were given up, at once.

    Those of questions by their ids, or of all that list shows with the same filters (--card behind, --card
    never-posted). All attempts lie ahead again. By its id an ended question's card is edited once more even though it
    is said to show the end.

    Example: pendingctl repair-cards --card never-posted --yes
    """
    remedy = Remedy(
        command="repair-cards",
        question="Post or edit the cards of {}",
        done="with a card to be posted or edited now",
        outcome="repaired",
        apply=lambda remedies, rows: remedies.repair_cards(rows, edit_again=bool(ids), max_age=max_age),
        fine=frozenset(NotDone) - {NotDone.GONE, NotDone.ASKED_AGAIN, NotDone.BUSY},
    )
    if not ids:
        remedy_listed(remedy, filters, dsn=dsn, max_age=max_age, dry_run=dry_run, yes=yes, output=output)
        return
    if filters != ALL:
        raise InvalidInput("give ids or filters; ids take no filter")
    remedy_named(remedy, ids, dsn=dsn, dry_run=dry_run, output=output)
