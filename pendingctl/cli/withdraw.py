"""pendingctl withdraw"""

from __future__ import annotations

import typer

from ..inspected import State
from ..model import Scope, Withdrawal
from . import render
from .confirmation import confirm
from .database import store_of, target_of
from .event_loop import run
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

# What a withdrawal does to a question in these states; in all others it is answered.
_OUTCOMES = {
    State.PENDING: Withdrawal.WITHDRAWN,
    State.STALE: Withdrawal.WITHDRAWN,
    State.WITHDRAWN: Withdrawal.ALREADY_WITHDRAWN,
    State.EXPIRED: Withdrawal.ALREADY_EXPIRED,
}


def withdraw(
    id: QuestionArgument,
    organization: OrganizationOption,
    connection: ConnectionOption,
    user: UserOption,
    dsn: DsnOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Withdraw a question that no longer needs an answer.

    Later clicks are refused, and the pods remove the buttons from its card.

    Example: pendingctl withdraw deploy-42 --org acme --connection slack --user U1 --yes
    """
    scope = Scope(organization, connection, user)

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
    confirm(f"Withdraw question {id} of organization {organization} on {target_of(dsn)}?", yes=yes)
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
