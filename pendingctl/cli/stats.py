"""pendingctl stats"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from ..counts import AGES, Counts, ErrorGroup, Grouping, Key, Numbers, Overview, Times
from ..events.model import RingState
from ..pods import NotedPod
from ..store.filters import Filters
from . import render
from .database import connection_of, inspection_of, statistics_of
from .event_loop import run
from .filters import check_names
from .options import DsnOption, MaxAgeOption, OptionalApplication, Output, OutputOption


class By(StrEnum):
    """What the numbers are listed by."""

    ORGANIZATION = "organization"
    CONNECTION = "connection"
    USER = "user"
    APPLICATION = "application"
    ERROR = "error"
    POD = "pod"


_KEYS: Mapping[Grouping, tuple[str, ...]] = {
    Grouping.ORGANIZATION: ("organization_id",),
    Grouping.CONNECTION: ("organization_id", "connection_id"),
    Grouping.USER: ("organization_id", "expected_user_id"),
    Grouping.APPLICATION: ("application",),
}
_MOST_GROUPS = 1_000
_LAST_HOUR = ("answered", "defaulted", "expired", "withdrawn")


def stats(
    by: Annotated[
        By | None,
        typer.Option("--by", show_default=False, help="List the numbers by this, the worst first."),
    ] = None,
    application: OptionalApplication = None,
    dsn: DsnOption = None,
    max_age: MaxAgeOption = "24h",  # type: ignore[assignment]  # read by the parser
    output: OutputOption = Output.TABLE,
) -> None:
    """Count what is open, what waits for the pods and what has ended; say how long it took and which pods live.

    Example: pendingctl stats --by organization
    """
    grouping = None if by in (None, By.ERROR, By.POD) else Grouping(by)

    from ..events.ring import Ring

    async def read() -> tuple[Overview, list[ErrorGroup], RingState | None]:
        async with statistics_of(dsn, "stats") as statistics:
            overview = await statistics.overview(by=grouping, application=application, max_age=max_age)
            errors = await statistics.errors(application=application) if by is By.ERROR else []
        if application and overview.counts.total == Numbers():
            # All that is counted may have been swept; a name that is nobody's is a mistake.
            async with inspection_of(dsn, "stats") as inspection:
                await check_names(inspection, Filters(application=application))
        async with connection_of(dsn, "stats") as source:
            ring = await Ring(source, pod="").state()
        return overview, errors, ring

    overview, errors, ring = run(read())
    document: dict[str, object] = {**_document(overview), "streams": None if ring is None else asdict(ring)}
    rows: list[dict[str, object]] | None = None
    if grouping is not None:
        rows = _groups(grouping, overview.counts, overview.times)
    elif by is By.ERROR:
        rows = [asdict(each) for each in errors]
    elif by is By.POD:
        rows = [_pod(each) for each in overview.pods or ()]
    if rows is not None:
        document |= {"by": by, "groups": rows}
    render.show_document(
        output, document, _text(by, overview, errors, ring) if output is Output.TABLE else "", rows=rows
    )


def worst_first(counts: Counts) -> list[Key]:
    """Return the groups' keys: first those whose answers are stuck or undelivered, then those with most open rows."""

    def badness(key: Key) -> tuple[int, int, int, Key]:
        numbers = counts.groups[key]
        return -numbers.stuck, -numbers.undelivered, -numbers.pending - numbers.stale, key

    return sorted(counts.groups, key=badness)


def _document(overview: Overview) -> dict[str, object]:
    storage, sweep, limits = overview.storage, overview.last_sweep, overview.limits
    return {
        **_numbers(overview.counts.total),
        "estimated": sorted(overview.counts.estimated),
        "times": None if overview.times is None else asdict(overview.times.total),
        "pods": None if overview.pods is None else [_pod(each) for each in overview.pods],
        "last_sweep": None if sweep is None else asdict(sweep),
        "table": None if storage is None else asdict(storage),
        "limits": None if limits is None else asdict(limits),
    }


def _numbers(numbers: Numbers) -> dict[str, object]:
    fields = asdict(numbers)
    fields["ages"] = [
        {"below_seconds": edge, "questions": number} for edge, number in zip((*AGES, None), numbers.ages, strict=True)
    ]
    return {
        **{name: value for name, value in fields.items() if name not in _LAST_HOUR},
        "last_hour": {name: fields[name] for name in _LAST_HOUR},
    }


def _groups(grouping: Grouping, counts: Counts, times: Times | None) -> list[dict[str, object]]:
    return [
        {
            **dict(zip(_KEYS[grouping], key, strict=True)),
            **_numbers(counts.groups[key]),
            "times": asdict(times.groups[key]) if times is not None and key in times.groups else None,
        }
        for key in worst_first(counts)[:_MOST_GROUPS]
    ]


def _pod(pod: NotedPod) -> dict[str, object]:
    return {**asdict(pod), "is_alive": pod.is_alive}


def _text(by: By | None, overview: Overview, errors: Sequence[ErrorGroup], ring: RingState | None) -> render.Text:
    from . import stats_groups, stats_page

    match by:
        case None:
            return stats_page.overview_page(overview, ring)
        case By.ERROR:
            return stats_page.errors_page(errors)
        case By.POD:
            return stats_groups.pods_table(overview.pods)
        case _:
            names = [name.removeprefix("expected_").removesuffix("_id") for name in _KEYS[Grouping(by)]]
            return stats_groups.groups_table(names, worst_first(overview.counts), overview.counts, overview.times)
