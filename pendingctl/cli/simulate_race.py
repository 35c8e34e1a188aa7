"""pendingctl simulate-race"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Output, OutputOption
from .wiring import database_of, run, target_of

if TYPE_CHECKING:
    from ..race.plan import RaceSettings
    from ..race.report import RaceResult


def simulate_race(
    pods: Annotated[int, typer.Option("--pods", metavar="N", min=1, max=64, help="Processes that race.")] = 4,
    questions: Annotated[int, typer.Option("--questions", metavar="K", min=1, help="Questions asked.")] = 50,
    clicks: Annotated[int, typer.Option("--clicks", metavar="C", min=1, help="Clicks on each question.")] = 8,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", min=0, show_default=False, help="Replays a plan; else a new one."),
    ] = None,
    implementation: Annotated[
        str, typer.Option("--implementation", metavar="NAME", help="'select-then-update' is known to be broken.")
    ] = "correct",
    organization: Annotated[
        str | None,
        typer.Option("--org", metavar="ID", show_default=False, help="Race in this existing organization."),
    ] = None,
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn", metavar="DSN", show_default=False, help="Load this database; else a throw-away local server."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let pods race for questions and check the laws.

    Each pod is a process of its own. Without --dsn they race on a throw-away server, whatever the environment says.
    A seed replays the plan of the clicks, not how they interleave.

    Example: pendingctl simulate-race --pods 4 --questions 100 --clicks 8 --seed 7
    """
    from ..race.plan import RaceSettings
    from . import render

    chosen = secrets.randbelow(2**31) if seed is None else seed
    settings = RaceSettings(pods, questions, clicks, chosen, implementation, organization)
    with _migrated(dsn) as database:
        result = run(_raced(database, settings))

    render.show_document(output, result.to_json(), render.race_report(result))
    if result.verdict != "pass":
        raise typer.Exit(1)


async def _raced(database: str, settings: RaceSettings) -> RaceResult:
    from ..race.run import simulate_race as race
    from . import render

    with render.progress("racing", settings.questions) as advance:
        done = 0

        def advanced(now: int, _: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        return await race(database, settings, on_progress=advanced)


@contextmanager
def _migrated(dsn: str | None) -> Iterator[str]:
    """The database that the user named, as it is; else a throw-away one with the tables in it."""
    from . import render

    if dsn is not None:
        with database_of(dsn) as database:
            render.note(f"racing on {target_of(dsn)}")
            yield database
        return
    from .. import migrations
    from ..embedded import throwaway_server

    with throwaway_server() as server:
        render.note(f"racing on a throw-away PostgreSQL {server.binaries.version}")
        migrations.apply(server.dsn)
        yield server.dsn
