"""pendingctl migrate"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from ..errors import InvalidInput
from . import render
from .confirmation import confirm
from .database import database_of, target_of
from .options import DryRunOption, DsnOption, Output, OutputOption, YesOption, duration


def migrate(
    dsn: DsnOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only report, write nothing; exit with 1 if any is pending.")
    ] = False,
    dry_run: DryRunOption = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ID", show_default=False, help="The last migration to apply.")
    ] = None,
    rollback: Annotated[
        int | None,
        typer.Option("--rollback", metavar="N", min=1, show_default=False, help="Roll back the last N instead."),
    ] = None,
    lock_timeout: Annotated[
        timedelta,
        typer.Option(
            "--lock-timeout", metavar="TIME", parser=duration, help="How long a statement may wait for a lock."
        ),
    ] = "5s",  # type: ignore[assignment]  # read by the parser
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Apply the pending migrations.

    Example: pendingctl migrate --dsn postgresql://localhost/bot
    """
    if rollback is not None and (check or to is not None):
        raise InvalidInput("--rollback goes with neither --check nor --to")
    if check and dry_run:
        raise InvalidInput("--check and --dry-run exclude each other")

    applies = not (check or dry_run or rollback is not None)
    with database_of(dsn, create=applies) as database:
        if rollback is not None:
            where = target_of(dsn)
            _roll_back(database, rollback, where, output, lock_timeout=lock_timeout, dry_run=dry_run, yes=yes)
        elif dry_run:
            _show_sql(database, to, output)
        else:
            _apply(database, to, output, lock_timeout=lock_timeout, check=check)


def _apply(database: str, to: str | None, output: Output, *, lock_timeout: timedelta, check: bool) -> None:
    from ..schema import migrations

    applied = [] if check else migrations.apply(database, to=to, lock_timeout=lock_timeout, on_wait=_note_waiting)
    # What comes after `to` is left out by intention when looking, and is what remains to be done after applying.
    status = migrations.status(database, to=to if check else None)
    if status.unknown:
        render.note(f"a newer pendingctl has also applied {', '.join(status.unknown)}")
    lines = [f"applied {id}" for id in applied] + [f"pending {id}" for id in status.pending]
    document = {"applied": applied, "pending": status.pending}
    render.show_document(output, document, lines or "nothing is pending")
    if check and status.pending:
        raise typer.Exit(1)


def _show_sql(database: str, to: str | None, output: Output) -> None:
    from ..schema import migrations

    steps = migrations.pending_steps(database, to=to)
    pending = [step.id for step in steps if not step.is_hook]
    document = {"applied": [], "pending": pending, "sql": [step.sql for step in steps]}
    text = "\n".join(f"-- {step.id}\n{step.sql}" for step in steps).rstrip()
    render.show_document(output, document, (text or "-- nothing is pending").split("\n"))


def _roll_back(
    database: str, count: int, where: str, output: Output, *, lock_timeout: timedelta, dry_run: bool, yes: bool
) -> None:
    from ..schema import migrations

    chosen = migrations.rollback_candidates(database, count)
    lost = migrations.losses(chosen)
    document: dict[str, object] = {"applied": [], "rolled_back": []}
    if dry_run:
        document |= {"would_roll_back": chosen, "would_lose": lost}
    elif chosen:
        question = f"Roll back {', '.join(chosen)} on {where}?"
        confirm(f"{question} Lost for good: {'; '.join(lost)}." if lost else question, yes=yes)
        chosen = migrations.rollback(
            database, count, confirmed=chosen, lock_timeout=lock_timeout, on_wait=_note_waiting
        )
        document["rolled_back"] = chosen
    document["pending"] = migrations.status(database).pending
    verb = "would roll back" if dry_run else "rolled back"
    lines = [f"{verb} {id}" for id in chosen] + [f"would lose {each}" for each in lost if dry_run]
    render.show_document(output, document, lines or "nothing to roll back")


def _note_waiting() -> None:
    render.note("another run is migrating this database; waiting for it")
