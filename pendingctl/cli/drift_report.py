"""What diff-schema tells people. Imports rich, as render does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.text import Text

from ..schema_diff import SchemaDiff, report
from .render import one_line


def text(compared: SchemaDiff, file: str, annotations: Sequence[str]) -> Group:
    """The differences, a line each, or GitHub's annotations in their place; then the verdict."""
    lines = [Text(one_line(each)) for each in annotations]
    told = list(report.lines(compared))
    name = Path(file).name
    for each in told if not annotations else ():
        lines.append(
            Text.assemble(
                (one_line(report.place(file, each.line)), "cyan"),
                (one_line(each.what), "bold"),
                f": {one_line(name)} says ",
                (one_line(each.expected), "green"),
                " / database says ",
                (one_line(each.actual), "red"),
                each.hint,
            )
        )
    if told:
        verdict = f"differences: {len(told)}"
    elif compared.uncompared:
        verdict = "no difference in what was compared"
    else:
        verdict = "identical"
    said = [*lines, Text(verdict)]
    for line in said:
        # A line stays one, however narrow the terminal is.
        line.no_wrap, line.overflow = True, "ignore"
    return Group(*said)
