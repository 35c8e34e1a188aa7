"""pendingctl limit take, show and reset"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from ..words import counted, span
from . import render
from .database import limiter_of
from .event_loop import run
from .options import DsnOption, OrganizationOption, Output, OutputOption, duration

if TYPE_CHECKING:
    from ..limits import Decision, Limit

limit = typer.Typer(
    name="limit",
    help="Take from a rate limit that all pods share, look at it, or give it back.\n\n"
    "Example: pendingctl limit take deploys --org acme --rate 10 --per 1h",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", show_default=False, help="The organization's key.")]
RateOption = Annotated[int, typer.Option("--rate", metavar="N", show_default=False, help="How many in each time.")]
PerOption = Annotated[
    timedelta, typer.Option("--per", metavar="TIME", parser=duration, show_default=False, help="That time.")
]
BurstOption = Annotated[
    int | None,
    typer.Option("--burst", metavar="N", show_default=False, help="How many at once. Default: as many as the rate."),
]
CostOption = Annotated[int, typer.Option("--cost", metavar="N", help="How many this counts for.")]


@limit.command("take")
def take(
    key: KeyArgument,
    organization: OrganizationOption,
    rate: RateOption,
    per: PerOption,
    burst: BurstOption = None,
    cost: CostOption = 1,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take from a limit; exit code 1 where it is used up, and nothing is taken.

    Example: pendingctl limit take deploys --org acme --rate 10 --per 1h
    """
    chosen = _limit(rate, per, burst)

    async def taken() -> Decision:
        async with limiter_of(dsn, "limit take") as limiter:
            return await limiter.take(organization, key, chosen, cost)

    decision = run(taken())
    _show(output, organization, key, decision, "allowed" if decision.allowed else "denied")
    if not decision.allowed:
        raise typer.Exit(1)


@limit.command("show")
def show(
    key: KeyArgument,
    organization: OrganizationOption,
    rate: RateOption,
    per: PerOption,
    burst: BurstOption = None,
    cost: CostOption = 1,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what a limit would allow now, and take nothing.

    Example: pendingctl limit show deploys --org acme --rate 10 --per 1h
    """
    chosen = _limit(rate, per, burst)

    async def shown() -> Decision:
        async with limiter_of(dsn, "limit show") as limiter:
            return await limiter.show(organization, key, chosen, cost)

    decision = run(shown())
    _show(output, organization, key, decision, "would be allowed" if decision.allowed else "would be denied")


@limit.command("reset")
def reset(
    key: KeyArgument, organization: OrganizationOption, dsn: DsnOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Give a key its whole burst again, whatever its limit.

    Pods that have just denied it may do so for a second more.

    Example: pendingctl limit reset deploys --org acme
    """

    async def was_used() -> bool:
        async with limiter_of(dsn, "limit reset") as limiter:
            return await limiter.reset(organization, key)

    done = run(was_used())
    text = f"{key} of {organization} is free again" if done else f"{key} of {organization} was free already"
    render.show_document(output, {"reset": done, "organization_id": organization, "key": key}, text)


def _limit(rate: int, per: timedelta, burst: int | None) -> Limit:
    from ..limits import Limit

    return Limit(rate, per, rate if burst is None else burst)


def _show(output: Output, organization: str, key: str, decision: Decision, outcome: str) -> None:
    document = {
        "allowed": decision.allowed,
        "organization_id": organization,
        "key": key,
        "remaining": decision.remaining,
        "burst": decision.limit.burst,
        "retry_after_seconds": decision.retry_after.total_seconds(),
        "reset_after_seconds": decision.reset_after.total_seconds(),
    }
    left = f"{decision.remaining:,} of {counted(decision.limit.burst, 'unit', 'units')} left"
    again = "" if decision.allowed else f", try again in {span(decision.retry_after.total_seconds())}"
    full = f", all free in {span(decision.reset_after.total_seconds())}" if decision.reset_after else ""
    render.show_document(output, document, f"{outcome}: {left}{again}{full}")
