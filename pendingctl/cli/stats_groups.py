"""The lists of `stats --by`: numbers beside the names of their group, or below names that leave no room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from ..counts import Counts, Durations, Key, Numbers, Part, Times
from ..diagnosis.pods import held_by
from ..pods import NotedPod
from ..printable import printable
from ..words import span
from .render import stdout_width

_MOST_GROUPS = 100
_GAP = "   "
_INDENT = 2
# A terminal that is less wide has no room for all the times: the p95 stay.
_WIDE = 100
_NUMBERS = (
    "pending",
    "stale",
    "to\ndeliver",
    "stuck",
    "ended\nin 1 h",
    "answer\np50",
    "answer\np95",
    "delivery\np50",
    "delivery\np95",
)
# By their headings, of which an upper line may be empty.
_Cells: TypeAlias = Mapping[str, Text]
_OF_PODS = ("version", "up", "seen", "serves", "holds")


def groups_table(names: Sequence[str], keys: Sequence[Key], counts: Counts, times: Times | None) -> RenderableType:
    """Return one entry for each group, and the totals below. What is by a sample is marked with ~."""
    marks = {part: "~" if part in counts.estimated else "" for part in Part}
    shown = keys[:_MOST_GROUPS]
    headings = [each for each in _NUMBERS if not each.endswith("p50") or stdout_width() >= _WIDE]
    entries = [_cells(counts.groups[key], None if times is None else times.groups.get(key), marks) for key in shown]
    total = _cells(counts.total, None if times is None else times.total, marks)
    lines = list(_laid_out(names, shown, headings, entries, total))
    if len(keys) > _MOST_GROUPS:
        lines.append(Text(f"and {len(keys) - _MOST_GROUPS:,} more groups, of which less is stuck, undelivered or open"))
    if counts.estimated:
        lines.append(Text("~ by a sample, in which small groups may be missing"))
    return Group(*lines)


def pods_table(pods: Sequence[NotedPod] | None) -> RenderableType:
    """Return one entry for each pod in each application."""
    if pods is None:
        return "not known: what the pods note could not be read"
    if not pods:
        return "no pod has noted within the last hour that it lives"
    entries = [
        {
            "version": Text(printable(each.version)),
            "up": Text(span(each.up_seconds)),
            "seen": Text(f"{span(each.seen_seconds_ago)} ago", "" if each.is_alive else "bold red"),
            "serves": Text(f"{each.connections:,}"),
            "holds": Text(held_by([each])),
        }
        for each in pods
    ]
    return Group(*_laid_out(("pod", "application"), [(each.pod, each.application) for each in pods], _OF_PODS, entries))


def _cells(numbers: Numbers, durations: Durations | None, marks: Mapping[Part, str]) -> dict[str, Text]:
    ended = numbers.answered + numbers.defaulted + numbers.expired + numbers.withdrawn
    found = durations or Durations()
    seconds = (
        found.answer_p50_seconds,
        found.answer_p95_seconds,
        found.delivery_p50_seconds,
        found.delivery_p95_seconds,
    )
    cells = (
        f"{marks[Part.OPEN]}{numbers.pending:,}",
        f"{marks[Part.OPEN]}{numbers.stale:,}",
        f"{marks[Part.WAITING]}{numbers.undelivered:,}",
        f"{marks[Part.WAITING]}{numbers.stuck:,}",
        f"{marks[Part.ENDED]}{ended:,}",
        *("" if each is None else span(each) for each in seconds),
    )
    return {heading: Text(cell) for heading, cell in zip(_NUMBERS, cells, strict=True)}


def _laid_out(
    names: Sequence[str],
    keys: Sequence[Key],
    headings: Sequence[str],
    entries: Sequence[_Cells],
    total: _Cells | None = None,
) -> Iterator[Text]:
    """Lay entries out, each on one line, or below its key where the line has no room for both. Nothing is cut."""
    shown = [[printable(value) or "''" for value in key] for key in keys]
    upper = {heading: Text(heading.partition("\n")[0] if "\n" in heading else "", "bold") for heading in headings}
    lower = {heading: Text(heading.rpartition("\n")[2], "bold") for heading in headings}
    lines: list[_Cells] = [upper, lower, *entries, *([] if total is None else [total])]
    widths = {heading: max(line[heading].cell_len for line in lines) for heading in headings}
    of_names = [max(map(cell_len, column)) for column in zip(names, *shown, strict=True)]
    beside = sum(of_names) + len(_GAP) * len(of_names)
    of_numbers = sum(widths.values()) + len(_GAP) * (len(widths) - 1)
    is_beside = beside + of_numbers <= stdout_width()
    indent = beside if is_beside else _INDENT

    def entry(key: Sequence[str], cells: _Cells, style: str = "") -> Iterator[Text]:
        numbers = _aligned(cells, widths)
        if is_beside:
            padded = (value + " " * (width - cell_len(value)) for value, width in zip(key, of_names, strict=True))
            yield _whole(Text.assemble((_GAP.join(padded) + _GAP, style), numbers))
        else:
            yield _whole(Text(_GAP.join(filter(None, key)), style))
            yield _whole(Text.assemble(" " * indent, numbers))

    headers = list(entry(names, lower, "bold"))
    if any(upper.values()):
        headers.insert(-1, _whole(Text.assemble(" " * indent, _aligned(upper, widths))))
    yield from headers
    yield _whole(Text("─" * (indent + of_numbers)))
    for key, cells in zip(shown, entries, strict=True):
        yield from entry(key, cells)
    if total is not None:
        yield Text("")
        yield from entry(["all", *[""] * (len(names) - 1)], total, "bold")


def _aligned(cells: _Cells, widths: Mapping[str, int]) -> Text:
    """Put numbers to the right of their columns; what a pod holds is no number, and comes last."""
    aligned = []
    for heading, width in widths.items():
        cell = cells[heading].copy()
        if heading != "holds":
            cell.pad_left(width - cell.cell_len)
        aligned.append(cell)
    return Text(_GAP).join(aligned)


def _whole(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ignore"
    return line
