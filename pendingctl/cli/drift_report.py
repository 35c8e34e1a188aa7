"""What diff-schema tells people. Imports rich, as render does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from ..schema_diff import SchemaDiff, report
from .render import one_line


def text(compared: SchemaDiff, annotations: Sequence[str]) -> Group:
    """GitHub's annotations, the differences, a line each, and the verdict."""
    told = list(report.lines(compared))
    lines = [
        Text.assemble(
            (one_line(each.place), "cyan"),
            (one_line(each.what), "bold"),
            f": {one_line(each.ours)} ",
            (one_line(each.expected), "green"),
            f" / {each.theirs} ",
            (one_line(each.actual), "red"),
            one_line(each.hint),
        )
        for each in told
    ]
    if told:
        verdict = f"differences: {len(told)}"
    elif compared.uncompared:
        verdict = "no difference in what was compared"
    else:
        verdict = "identical"
    # The verdict is last: GitHub shows the end of a log.
    said = [*(Text(one_line(each)) for each in annotations), *lines, Text(verdict)]
    for line in said:
        # A line stays one, however narrow the terminal is.
        line.no_wrap, line.overflow = True, "ignore"
    return Group(*said)
