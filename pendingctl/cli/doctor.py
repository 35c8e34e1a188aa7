"""pendingctl doctor"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from . import render
from .database import database_of
from .event_loop import run
from .options import DsnOption, MaxAgeOption, Output, OutputOption

if TYPE_CHECKING:
    from datetime import timedelta

    from ..doctor import Check


class Subject(StrEnum):
    """What is looked at in place of the database."""

    SLACK = "slack"


def doctor(
    context: typer.Context,
    subject: Annotated[
        Subject | None,
        typer.Argument(metavar="[slack]", show_default=False, help="What to check in place of the database."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", show_default=False, help="For slack: the configuration of `serve`."),
    ] = None,
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Check the database, the tables and the work as a whole; say what is wrong and what mends it.

    Everything is only read, in seconds. Exit code 1 is a check that fails. With `slack` it checks the connections to
    Slack: tokens, scopes, and whether presses reach the pods; nothing is posted.

    Example: pendingctl doctor
    """
    from ..diagnosis.findings import Verdict, worst

    if subject is Subject.SLACK:
        checks = _examine_slack(context, config)
    elif config is not None:
        raise InvalidInput("--config is for pendingctl doctor slack; --dsn names the database")
    else:
        checks = _examine_database(dsn, max_age)
    verdict = worst([each.finding.verdict for each in checks])
    rows = [_fields(each) for each in checks]
    document = {"verdict": verdict, "checks": rows}
    text = _text(checks) if output is Output.TABLE else ""
    render.show_document(output, document, text, rows=rows)
    if verdict is Verdict.FAIL:
        raise typer.Exit(1)


def _examine_database(dsn: str | None, max_age: timedelta) -> list[Check]:
    from .. import doctor as doctors

    with database_of(dsn) as database:
        checks = run(doctors.examine(database, max_age=max_age))
        checks[4:4] = doctors.examine_schema(database)
    return checks


def _examine_slack(context: typer.Context, config: Path | None) -> list[Check]:
    for name, option in (("dsn", "--dsn"), ("max_age", "--max-age")):
        # Its members are those of the parser, which typer exports no name for.
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise InvalidInput(f"{option} is for the check of the database; leave it out with slack")
    if config is None:
        raise InvalidInput("name the configuration of serve: pendingctl doctor slack --config FILE")
    from ..diagnosis.slack import Installation
    from ..serve.configuration import load

    configuration = load(config, os.environ)
    public = configuration.public
    # Below, since the above names an extra that is missing.
    from ..doctor import slack

    return run(
        slack.examine_slack(
            [
                slack.Connection(
                    organization_id=each.organization_id,
                    connection_id=each.connection_id,
                    installation=Installation(each.app_id, each.team_id, each.enterprise_id),
                    token=each.token,
                )
                for organization in configuration.organizations.values()
                for each in organization.connections
            ],
            base_url=configuration.slack.base_url,
            url=None if configuration.public_url is None else f"{configuration.public_url}{public.base_path}/slack",
            signing_secrets={app.id: app.signing_secrets for app in configuration.slack.apps.values()},
        )
    )


def _fields(check: Check) -> dict[str, object]:
    return {
        "check": check.name,
        "verdict": check.finding.verdict,
        "finding": check.finding.sentence,
        "remedies": list(check.finding.remedies),
        "facts": check.facts,
    }


def _text(checks: Sequence[Check]) -> render.Text:
    from .doctor_report import report

    return report(checks, render.stdout_width())
