"""The table that `list` prints: ids, states and ages are always whole, and the question is cut to what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..inspected import PendingSummary, State, Unposted
from ..printable import printable
from .render import one_line
from .words import age

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_GAP = 3
# The least width of a question beside all other columns, and beside id, state and age.
_LEAST_BESIDE_ALL = 20
_LEAST_BESIDE_ID = 12

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

# Of a question whose card nobody knows to be posted.
_CARDS = {
    Unposted.TO_BE_POSTED: "to be posted",
    Unposted.GIVEN_UP: "given up",
    Unposted.BY_CALLER: "shown by its caller",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """The cells of one question, or of the headings."""

    id: Text
    state: Text
    age: Text
    # Organization, connection and user.
    scope: tuple[Text, Text, Text]
    # Where cards are shown: what is known of the question's.
    card: tuple[Text, ...]
    question: Text


def question_table(rows: Sequence[PendingSummary], width: int, *, with_cards: bool) -> RenderableType:
    """Return a table of questions that is `width` columns wide at most, `with_cards` with why no card is known.

    Where the columns fit, each question has one line. Else it has two: id, state, age and question, and below them
    organization, connection and user; what is said of its card is a third one. An id that is too long for that has a
    line of its own. What is longer than `width` is left to the terminal to wrap, which keeps it in one piece for
    whoever copies it.
    """
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.rule import Rule

    if not rows:
        return "no questions"
    entries = [_headings(with_cards), *(_entry(row, with_cards) for row in rows)]
    headings, *lines = _on_one_line(entries, width) or _on_two_lines(entries, width)
    longest = max(line.cell_len for entry in (headings, *lines) for line in entry)
    rule = Constrain(Rule(style="none"), min(longest, width))
    return Group(*headings, rule, *(line for entry in lines for line in entry))


def _headings(with_cards: bool) -> _Entry:
    from rich.text import Text

    id, state, age, organization, connection, user, card, question = (
        Text(name, "bold") for name in ("id", "state", "age", "organization", "connection", "user", "card", "question")
    )
    return _Entry(id, state, age, (organization, connection, user), (card,) if with_cards else (), question)


def _entry(row: PendingSummary, with_cards: bool) -> _Entry:
    from rich.text import Text

    card = "" if row.unposted is None else _CARDS[row.unposted]
    reason = "" if row.post_error is None else f": {one_line(row.post_error)}"
    return _Entry(
        Text(printable(row.id)),
        Text(row.state, _STYLES[row.state]),
        Text(age(row.age_seconds)),
        (
            Text(printable(row.organization_id)),
            Text(printable(row.connection_id)),
            Text(printable(row.expected_user_id)),
        ),
        (Text(card + reason),) if with_cards else (),
        Text(one_line(row.question or "")),
    )


def _on_one_line(entries: Sequence[_Entry], width: int) -> list[list[Text]] | None:
    """Return a line for each entry; None when the question would be left with too little of `width`."""
    cells = [(entry.id, entry.state, entry.age, *entry.scope, *entry.card) for entry in entries]
    widths = [_widest(column) for column in zip(*cells, strict=True)]
    question = _widest([entry.question for entry in entries])
    left = width - sum(widths) - _GAP * len(widths)
    if left < min(question, _LEAST_BESIDE_ALL):
        return None
    return [
        [_line(*map(_padded, row, widths), _cut(entry.question, left))]
        for row, entry in zip(cells, entries, strict=True)
    ]


def _on_two_lines(entries: Sequence[_Entry], width: int) -> list[list[Text]]:
    """Return the lines of each entry, with its scope and its card below the rest of it."""
    beside = _widest([entry.state for entry in entries]), _widest([entry.age for entry in entries])
    room = width - sum(beside) - 3 * _GAP
    question = min(_widest([entry.question for entry in entries]), _LEAST_BESIDE_ID)
    id_width = max(length for entry in entries if (length := entry.id.cell_len) <= max(room - question, len("id")))
    question = max(question, room - id_width)
    return [list(_lines(entry, id_width, beside, question, width)) for entry in entries]


def _lines(entry: _Entry, id_width: int, beside: tuple[int, int], question: int, width: int) -> Iterator[Text]:
    from rich.text import Text

    id = entry.id
    if id.cell_len > id_width:
        yield _line(id)
        id = Text()
    state, age = beside
    cells = _padded(id, id_width), _padded(entry.state, state), _padded(entry.age, age)
    yield _line(*cells, _cut(entry.question, question))
    yield from _scope(entry.scope, width)
    for card in entry.card:
        yield _indented(card)


def _scope(ids: Sequence[Text], width: int) -> Iterator[Text]:
    """Put the ids on as few lines as hold each of them in one piece."""
    line = _indented(ids[0])
    for id in ids[1:]:
        if line.cell_len + len(" · ") + id.cell_len <= width:
            line = line + " · " + id
        else:
            yield line
            line = _indented(id)
    yield line


def _indented(cell: Text) -> Text:
    from rich.text import Text

    return Text("  ", "dim", no_wrap=True, overflow="ignore") + cell


def _widest(column: Sequence[Text]) -> int:
    return max(cell.cell_len for cell in column)


def _padded(cell: Text, width: int) -> Text:
    padded = cell.copy()
    padded.align("left", width)
    return padded


def _cut(text: Text, width: int) -> Text:
    cut = text.copy()
    cut.truncate(width, overflow="ellipsis")
    return cut


def _line(*cells: Text) -> Text:
    from rich.text import Text

    # No line is wrapped or cropped by rich: what is too long is the terminal's to wrap.
    return Text(" " * _GAP, no_wrap=True, overflow="ignore").join(cells)
