"""The filters that `list` and the commands that work on its rows have in common, and the rows that they lead to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import NotFound, Unbounded
from ..inspected import CardState, State
from ..store.filters import Cursor, Filters, Page, Sort
from .options import (
    OptionalApplication,
    OptionalConnection,
    OptionalOrganization,
    OptionalUser,
    duration,
    moment,
)

if TYPE_CHECKING:
    from ..store.inspection import Inspection


def _filters(
    application: OptionalApplication = None,
    organization: OptionalOrganization = None,
    connection: OptionalConnection = None,
    user: OptionalUser = None,
    state: Annotated[State | None, typer.Option("--state", show_default=False, help="Only rows in this state.")] = None,
    card: Annotated[
        CardState | None,
        typer.Option(
            "--card", show_default=False, help="Only rows whose card is out of date, gone, or not known to be posted."
        ),
    ] = None,
    older_than: Annotated[
        timedelta | None,
        typer.Option("--older-than", metavar="AGE", parser=duration, show_default=False, help="Only older rows."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", show_default=False, help="Asked since then: 2h ago, or 2026-11-26T03:00 (UTC)."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", show_default=False, help="Asked before then, likewise.")
    ] = None,
    due_before: Annotated[
        timedelta | None,
        typer.Option(
            "--due-before",
            metavar="TIME",
            parser=duration,
            show_default=False,
            help="Only open rows whose deadline comes within this time.",
        ),
    ] = None,
    answered_by: Annotated[
        str | None, typer.Option("--answered-by", metavar="ID", show_default=False, help="Only this user's answers.")
    ] = None,
    error: Annotated[
        str | None,
        typer.Option("--error", metavar="TEXT", show_default=False, help="Only rows whose last error has this in it."),
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", metavar="ID", show_default=False, help="Only of this conversation.")
    ] = None,
) -> Filters:
    """Return the filters that the options say. Raises InvalidInput for a time that is none."""
    return Filters(
        organization_id=organization,
        connection_id=connection,
        expected_user_id=user,
        state=state,
        older_than=older_than,
        card=card,
        application=application,
        due_within=due_before,
        since=None if since is None else moment(since, "--since"),
        until=None if until is None else moment(until, "--until"),
        answered_by=answered_by,
        error=error,
        conversation_id=conversation,
    )


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options in the place of its parameter `filters`, which it gets as `Filters`."""
    options = signature(_filters, eval_str=True).parameters
    parameters: list[Parameter] = []
    for parameter in signature(command, eval_str=True).parameters.values():
        parameters += options.values() if parameter.name == "filters" else [parameter]

    @wraps(command)
    def with_options(**given: object) -> None:
        chosen: dict[str, object] = {name: given.pop(name) for name in options}
        command(**given, filters=_filters(**chosen))  # type: ignore[arg-type]  # as typer has parsed them

    # By these typer builds the command.
    with_options.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


async def page_of(
    inspection: Inspection,
    filters: Filters,
    *,
    sort: Sort = Sort.OLDEST,
    after: Cursor | None = None,
    limit: int,
    max_age: timedelta,
) -> Page:
    """Return a page. Raises NotFound where there is none since a name in the filters is nobody's, and as `page`."""
    try:
        page = await inspection.page(filters, sort=sort, after=after, limit=limit, max_age=max_age)
    except Unbounded:
        await check_names(inspection, filters)
        raise
    if not page.rows and after is None:
        await check_names(inspection, filters)
    return page


async def check_names(inspection: Inspection, filters: Filters) -> None:
    """Raise NotFound where a name in the filters is nobody's."""
    unknown = await inspection.unknown(filters)
    if "organization_id" in unknown:
        raise NotFound(f"there is no organization {filters.organization_id!r}; look for a mistake in --org")
    if "application" in unknown:
        raise NotFound(
            f"application {filters.application!r} has no question, and no pod has delivered for it; "
            "look for a mistake in --application"
        )
    if "connection_id" in unknown:
        where = "" if filters.organization_id is None else f" in organization {filters.organization_id!r}"
        raise NotFound(
            f"connection {filters.connection_id!r} has no question{where}; look for a mistake in --connection"
        )
