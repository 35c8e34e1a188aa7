"""pendingctl migrate"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from ..errors import InvalidInput
from .options import DryRunOption, DsnOption, Output, OutputOption, YesOption, duration
from .wiring import confirm, database_of, target_of


def migrate(
    dsn: DsnOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only report; exit 1 when some are pending. Writes nothing.")
    ] = False,
    dry_run: DryRunOption = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ID", show_default=False, help="Apply up to this migration.")
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
    from .. import migrations
    from . import render

    if rollback is not None and (check or to is not None):
        raise InvalidInput("--rollback goes with neither --check nor --to")
    if check and dry_run:
        raise InvalidInput("--check and --dry-run exclude each other")

    def say_waiting() -> None:
        render.note("another run is migrating this database; waiting for it")

    with database_of(dsn) as database:
        if rollback is not None:
            candidates = migrations.rollback_candidates(database, rollback)
            if dry_run:
                document = {"rolled_back": [], "would_roll_back": candidates}
                render.show_document(output, document, _lines("would roll back", candidates, "nothing to roll back"))
                return
            names = ", ".join(candidates)
            confirm(f"Roll back {names} on {target_of(dsn)}? Their tables and rows are lost.", yes=yes or not names)
            rolled_back = migrations.rollback(database, rollback, lock_timeout=lock_timeout, on_wait=say_waiting)
            render.show_document(
                output, {"rolled_back": rolled_back}, _lines("rolled back", rolled_back, "nothing to roll back")
            )
            return

        if dry_run:
            steps = migrations.pending_steps(database, to=to)
            document = {"applied": [], "pending": [step.id for step in steps], "sql": [step.sql for step in steps]}
            text = "\n".join(f"-- {step.id}\n{step.sql}" for step in steps) or "-- nothing is pending"
            render.show_document(output, document, text.rstrip())
            return

        applied = [] if check else migrations.apply(database, to=to, lock_timeout=lock_timeout, on_wait=say_waiting)
        status = migrations.status(database)
    if status.unknown:
        render.note(f"a newer pendingctl applied {', '.join(status.unknown)} as well")
    document = {"applied": applied, "pending": list(status.pending)}
    text = _lines("pending", list(status.pending), "nothing is pending")
    if applied:
        text = _lines("applied", applied, "") + ("\n" + text if status.pending else "")
    render.show_document(output, document, text)
    if check and status.pending:
        raise typer.Exit(1)


def _lines(verb: str, ids: list[str], nothing: str) -> str:
    return "\n".join(f"{verb} {id}" for id in ids) or nothing
