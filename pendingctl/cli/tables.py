"""Tables for people. Each function imports rich itself, since most commands need none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ..printable import printable_lines
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
