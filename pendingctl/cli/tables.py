"""Tables for people. Each function imports rich itself, since most commands need none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ..counts import Counts
from ..printable import printable, printable_lines
from ..words import age, counted
from .render import json_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def new_table(*, show_header: bool = True, show_footer: bool = False) -> Table:
    """Return an empty table in the style of all of them: a line below the headings, no other."""
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD if show_header else None,
        show_header=show_header,
        show_footer=show_footer,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )


def groups_table(groups: Mapping[str, Mapping[str, object]]) -> RenderableType:
    """Return a table with one line per field, below the name of its group."""
    from rich.text import Text

    table = new_table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for group, fields in groups.items():
        table.add_row()
        table.add_row(Text(group, "bold"))
        for name, value in fields.items():
            table.add_row(Text(f"  {name}"), Text(printable_lines(_shown(value))))
    return table


def _shown(value: object) -> str:
    match value:
        case "":
            return "''"
        case datetime():
            return value.isoformat()
        case str() | int() | float():
            return str(value)
        case _:
            return json_text(value, indent=2)


def stats_table(counts: Counts) -> RenderableType:
    """Return a table with one line per organization and the totals below."""
    from rich.console import Group
    from rich.text import Text

    table = new_table(show_footer=True)
    table.add_column("organization", footer="all", overflow="fold")
    for name in ("pending", "stale", "undelivered", "stuck"):
        table.add_column(name, footer=f"{getattr(counts, name):,}", justify="right")
    for each in counts.organizations:
        waiting = (each.pending, each.stale, each.undelivered, each.stuck)
        table.add_row(Text(printable(each.organization_id)), *(f"{number:,}" for number in waiting))
    further = [f"{counts.claimed:,} claimed", f"{counts.withdrawn:,} withdrawn"]
    further += [
        f"{number:,} {what}"
        for number, what in (
            (counts.expired, "expired"),
            (counts.defaulted, "answered by their default"),
            (counts.endings_to_tell, "other endings to deliver"),
            (counts.due_within_the_hour, "due within the hour"),
        )
        if number
    ]
    if counts.cards_to_post:
        further.append(f"{counted(counts.cards_to_post, 'card', 'cards')} to post")
    if counts.cards_never_posted:
        cards = counted(counts.cards_never_posted, "card", "cards")
        further.append(f"{cards} given up (pendingctl list --card never-posted)")
    if counts.oldest_pending_seconds is not None:
        further.append(f"the oldest question has waited for {age(counts.oldest_pending_seconds)}")
    if counts.oldest_undelivered_seconds is not None:
        further.append(f"the oldest answer has been undelivered for {age(counts.oldest_undelivered_seconds)}")
    return Group(table, Text(", ".join(further)))
