"""pendingctl withdraw"""

from __future__ import annotations

import typer

from ..inspected import State
from ..model import Scope, Withdrawal
from ..remedied import NotDone
from ..store.filters import Filters
from . import render
from .bulk import Remedy, check_id_is_not_missing, remedy_listed, scope_beside_id
from .confirmation import confirm
from .database import store_of, target_of
from .event_loop import run
from .filters import filtered
from .options import DryRunOption, DsnOption, MaxAgeOption, OptionalQuestion, Output, OutputOption, YesOption

# What a withdrawal does to a question in these states; in all others it is answered.
_OUTCOMES = {
    State.PENDING: Withdrawal.WITHDRAWN,
    State.STALE: Withdrawal.WITHDRAWN,
    State.WITHDRAWN: Withdrawal.ALREADY_WITHDRAWN,
    State.EXPIRED: Withdrawal.ALREADY_EXPIRED,
}


@filtered
def withdraw(
    filters: Filters,
    id: OptionalQuestion = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Withdraw a question that no longer needs an answer, or all that list shows with the same filters.

    Later clicks are refused, and the pods remove the buttons from its card. An id needs its whole scope: --org,
    --connection and --user.

    Example: pendingctl withdraw deploy-42 --org acme --connection slack --user U1 --yes
    """
    if id is not None:
        _withdraw_one(id, scope_beside_id(filters), dsn=dsn, dry_run=dry_run, yes=yes, output=output)
        return
    check_id_is_not_missing(filters)
    remedy = Remedy(
        command="withdraw",
        question="Withdraw {}",
        done="withdrawn",
        outcome="withdrawn",
        apply=lambda remedies, rows: remedies.withdraw(rows),
        fine=frozenset({NotDone.WITHDRAWN}),
    )
    remedy_listed(remedy, filters, dsn=dsn, max_age=max_age, dry_run=dry_run, yes=yes, output=output)


def _withdraw_one(id: str, scope: Scope, *, dsn: str | None, dry_run: bool, yes: bool, output: Output) -> None:
    async def foreseen() -> Withdrawal:
        async with store_of(dsn, "withdraw") as store:
            row = await store.inspection.get(id)
        if row is None or row.scope != scope:
            return Withdrawal.UNKNOWN
        return _OUTCOMES.get(row.state, Withdrawal.ALREADY_ANSWERED)

    async def withdrawn() -> Withdrawal:
        async with store_of(dsn, "withdraw") as store:
            return await store.withdraw(id, scope)

    if dry_run:
        outcome = run(foreseen())
        text = f"would withdraw {id}" if outcome is Withdrawal.WITHDRAWN else _in_words(id, outcome)
        document = {"withdrawn": False, "id": id, "would_withdraw": outcome is Withdrawal.WITHDRAWN}
        render.show_document(output, document, text)
        return
    confirm(f"Withdraw question {id} of organization {scope.organization_id} on {target_of(dsn)}?", yes=yes)
    outcome = run(withdrawn())
    done = outcome in (Withdrawal.WITHDRAWN, Withdrawal.ALREADY_WITHDRAWN)
    render.show_document(output, {"withdrawn": done, "id": id, "outcome": outcome}, _in_words(id, outcome))
    if not done:
        raise typer.Exit(1)


def _in_words(id: str, outcome: Withdrawal) -> str:
    match outcome:
        case Withdrawal.WITHDRAWN:
            return f"withdrew {id}"
        case Withdrawal.ALREADY_WITHDRAWN:
            return f"{id} was already withdrawn"
        case Withdrawal.ALREADY_EXPIRED:
            return f"refused: {id} has expired"
        case Withdrawal.ALREADY_ANSWERED:
            return f"refused: {id} is already answered"
        case Withdrawal.UNKNOWN:
            return f"{id} does not exist in this scope"
