"""The table that `list` prints: ids, states and ages are always whole, and the question is cut to what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..inspected import PendingSummary, State
from ..printable import printable
from .question_columns import Column, Place
from .render import PIPE_WIDTH, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_GAP = 3
# The least width of a question beside all other columns, and beside id, state and age.
_LEAST_BESIDE_ALL = 20
_LEAST_BESIDE_ID = 12
_EMPTY = "—"

_STYLES = {
    State.STUCK: "bold red",
    State.UNDELIVERED: "magenta",
    State.EXPIRED: "dim",
    State.WITHDRAWN: "dim",
    State.DEFAULTED: "green",
    State.CLAIMED: "green",
    State.STALE: "red",
    State.PENDING: "yellow",
}


@dataclass(frozen=True, slots=True)
class _Cell:
    """What one column says of one question, or its heading."""

    column: Column
    text: Text


def question_table(
    rows: Sequence[PendingSummary], columns: Sequence[Column], width: int, *, is_wide: bool = False
) -> RenderableType:
    """Return a table of questions that is `width` columns wide at most.

    Where the columns fit, or with `is_wide`, which cuts nothing, each question has one line. Else it has several: id,
    state, age and question, below them organization, connection and user, then its attempts; what is said of its card
    and an error have a line each. An id that is too long for that has a line of its own. What is longer than `width` is
    left to the terminal to wrap, which keeps it in one piece for whoever copies it.
    """
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.rule import Rule

    if not rows:
        return "no questions"
    entries = [_headings(columns), *(_entry(row, columns) for row in rows)]
    headings, *lines = _on_one_line(entries, PIPE_WIDTH if is_wide else width) or _on_several_lines(entries, width)
    longest = max(line.cell_len for entry in (headings, *lines) for line in entry)
    rule = Constrain(Rule(style="none"), min(longest, width))
    return Group(*headings, rule, *(line for entry in lines for line in entry))


def _headings(columns: Sequence[Column]) -> list[_Cell]:
    from rich.text import Text

    return [_Cell(column, Text(column.name, "bold")) for column in columns]


def _entry(row: PendingSummary, columns: Sequence[Column]) -> list[_Cell]:
    from rich.text import Text

    cells = []
    for column in columns:
        # A line end in an id is shown as one, in a sentence as a space.
        is_sentence = column.place in (Place.LINE_OF_ITS_OWN, Place.QUESTION)
        text = (one_line if is_sentence else printable)(column.cell(row))
        cells.append(_Cell(column, Text(text, _STYLES[row.state] if column.name == "state" else "")))
    return cells


def _on_one_line(entries: Sequence[Sequence[_Cell]], width: int) -> list[list[Text]] | None:
    """Return a line for each entry; None when the question would be left with too little of `width`."""
    widths = [_widest([cell.text for cell in column]) for column in zip(*entries, strict=True)]
    is_cut = [cell.column.place is Place.QUESTION for cell in entries[0]]
    others = sum(each for each, cut in zip(widths, is_cut, strict=True) if not cut)
    left = width - others - _GAP * (len(widths) - 1)
    question = max((each for each, cut in zip(widths, is_cut, strict=True) if cut), default=0)
    if left < min(question, _LEAST_BESIDE_ALL):
        return None
    widths = [min(each, left) if cut else each for each, cut in zip(widths, is_cut, strict=True)]
    return [[_line(*(_fitted(cell.text, each) for cell, each in zip(row, widths, strict=True)))] for row in entries]


def _on_several_lines(entries: Sequence[Sequence[_Cell]], width: int) -> list[list[Text]]:
    """Return the lines of each entry, with all but id, state, age and question below these."""
    first_lines = [[cell for cell in entry if cell.column.place is Place.FIRST_LINE] for entry in entries]
    beside = [_widest([cell.text for cell in column]) for column in zip(*first_lines, strict=True)]
    names = [cell.column.name for cell in first_lines[0]]
    questions = [[cell.text for cell in entry if cell.column.place is Place.QUESTION] for entry in entries]
    question = _widest([text for entry in questions for text in entry])
    if "id" in names:
        at = names.index("id")
        room = width - sum(beside[:at] + beside[at + 1 :]) - len(beside) * _GAP
        most = max(room - min(question, _LEAST_BESIDE_ID), len("id"))
        beside[at] = max(length for cells in first_lines if (length := cells[at].text.cell_len) <= most)
    question = max(width - sum(beside) - len(beside) * _GAP, min(question, _LEAST_BESIDE_ID))
    return [
        list(_lines(entry, cells, beside, [_cut(text, question) for text in texts], width))
        for entry, cells, texts in zip(entries, first_lines, questions, strict=True)
    ]


def _lines(
    entry: Sequence[_Cell], first_line: Sequence[_Cell], widths: Sequence[int], question: Sequence[Text], width: int
) -> Iterator[Text]:
    from rich.text import Text

    cells = []
    for cell, room in zip(first_line, widths, strict=True):
        text = cell.text
        if text.cell_len > room:
            yield _line(text)
            text = Text()
        cells.append(_fitted(text, room))
    if cells or question:
        yield _line(*cells, *question)
    for place in (Place.SCOPE, Place.ATTEMPTS, Place.FURTHER):
        if texts := [cell.text for cell in entry if cell.column.place is place]:
            yield from _flowing([text if text.plain else Text(_EMPTY) for text in texts], width)
    for cell in entry:
        if cell.column.place is Place.LINE_OF_ITS_OWN and cell.text.plain:
            yield _indented(cell.text, "")


def _flowing(texts: Sequence[Text], width: int) -> Iterator[Text]:
    """Put the texts on as few lines as hold each of them in one piece."""
    line = _indented(texts[0])
    for text in texts[1:]:
        if line.cell_len + len(" · ") + text.cell_len <= width:
            line = line + " · " + text
        else:
            yield line
            line = _indented(text)
    yield line


def _indented(cell: Text, style: str = "dim") -> Text:
    from rich.text import Text

    return Text("  ", style, no_wrap=True, overflow="ignore") + cell


def _widest(column: Sequence[Text]) -> int:
    return max((cell.cell_len for cell in column), default=0)


def _fitted(cell: Text, width: int) -> Text:
    """Pad or cut a text to a width."""
    fitted = _cut(cell, width)
    fitted.align("left", width)
    return fitted


def _cut(text: Text, width: int) -> Text:
    cut = text.copy()
    cut.truncate(width, overflow="ellipsis")
    return cut


def _line(*cells: Text) -> Text:
    from rich.text import Text

    # No line is wrapped or cropped by rich: what is too long is the terminal's to wrap.
    return Text(" " * _GAP, no_wrap=True, overflow="ignore").join(cells)
