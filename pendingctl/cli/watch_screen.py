"""The screen of `watch`: what it shows, and what a key does to it. Pure: no I/O, no clock."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from rich.cells import cell_len, set_cell_size

from ..diagnosis import remedies
from ..diagnosis.askings import askings
from ..diagnosis.question import judge_question
from ..inspected import Attention, Concern, PendingSummary, QuestionHistory, State
from ..words import age, counted, until
from .question_columns import Attempts, append_attempts_of, attempts_of, edit_attempts_of, now_of
from .render import one_line
from .timeline import finding_lines, question_lines, title_lines

HELP = (
    "up, k / down, j     the row above, the row below",
    "page up / page down a screen further up or down",
    "enter               why: what has happened to the question, and what mends it",
    "r                   redeliver: have the pods deliver its ending again",
    "w                   withdraw: nobody needs it answered",
    "c                   repair-cards: have the pods post or edit its card at once",
    "q                   back; in the list, quit (escape: back)",
    "?                   this help",
    "",
    "Each remedy shows its command and asks before it is done. It touches the",
    "question only while it is the one that the list shows.",
)
_KEYS = "enter why  r redeliver  w withdraw  c repair card  ? help  q quit"
_BACK = "q back  up/down scroll  r redeliver  w withdraw  c repair card"
# The header, its headings, and the keys at the bottom.
_FRAME = 4
_WIDE_ID = 32


class Remedy(StrEnum):
    """What can be done about a row."""

    REDELIVER = "redeliver"
    WITHDRAW = "withdraw"
    REPAIR_CARD = "repair card"


@dataclass(frozen=True, slots=True)
class Quit:
    """End the program."""


@dataclass(frozen=True, slots=True)
class Explain:
    """Read what has happened to a question."""

    id: str


@dataclass(frozen=True, slots=True)
class Apply:
    """Do what the person has agreed to."""

    remedy: Remedy
    row: PendingSummary


Action = Quit | Explain | Apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What is shown.

    `items` were read at `read_at`, by the database's clock; `is_filtered` says that there may be others. `away` says
    since how many seconds it cannot be read, and why: what is shown is what was so before. `explained` is the question
    whose history covers the list, `asked` the remedy that waits for a yes or a no.
    """

    target: str
    is_filtered: bool = False
    items: tuple[Attention, ...] = ()
    read_at: datetime | None = None
    is_cut: bool = False
    away: tuple[float, str] | None = None
    selected: int = 0
    top: int = 0
    explained: QuestionHistory | None = None
    scrolled: int = 0
    shows_help: bool = False
    asked: Apply | None = None
    message: str = ""

    @property
    def row(self) -> PendingSummary | None:
        """The row that a remedy is for: of the question that is explained, else the selected one."""
        if self.explained is not None:
            return self.explained.row
        return self.items[self.selected].row if self.items else None


def updated(screen: Screen, items: Sequence[Attention], read_at: datetime | None, *, is_cut: bool) -> Screen:
    """Return the screen with what was read anew; the selection stays on its question, or else on its place."""
    selected = min(screen.selected, max(len(items) - 1, 0))
    if screen.items:
        id = screen.items[screen.selected].row.id
        selected = next((place for place, item in enumerate(items) if item.row.id == id), selected)
    return replace(screen, items=tuple(items), read_at=read_at, is_cut=is_cut, away=None, selected=selected)


def pressed(screen: Screen, key: str, height: int) -> tuple[Screen, Action | None]:
    """Return the screen after a key, and what is to be done."""
    if screen.asked is not None:
        # Whatever is not a yes is a no.
        if key not in ("y", "Y"):
            return replace(screen, asked=None, message="nothing was done"), None
        return replace(screen, asked=None, message=f"{screen.asked.remedy} {screen.asked.row.id} …"), screen.asked
    screen = replace(screen, message="")
    if screen.shows_help:
        return replace(screen, shows_help=False), None
    match key:
        case "q" | "escape" | "left" if screen.explained is not None:
            return replace(screen, explained=None, scrolled=0), None
        case "q":
            return screen, Quit()
        case "?" | "h":
            return replace(screen, shows_help=True), None
        case "enter" | "right" if screen.explained is None and screen.row is not None:
            return replace(screen, message=f"reading {screen.row.id} …"), Explain(screen.row.id)
        case "r" | "w" | "c" if screen.row is not None:
            return _asking(screen, _REMEDIES[key], screen.row), None
        case "r" | "w" | "c" if screen.explained is not None:
            return replace(screen, message="it is no longer there; there is nothing to do"), None
        case _ if key in _MOVES:
            by = _MOVES[key] * (max(height - _FRAME - 1, 1) if key.startswith("page") else 1)
            return _moved(screen, by, height), None
    return screen, None


_REMEDIES = {"r": Remedy.REDELIVER, "w": Remedy.WITHDRAW, "c": Remedy.REPAIR_CARD}
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -1, "page down": 1, "home": -1_000_000, "end": 1_000_000}


def _moved(screen: Screen, by: int, height: int) -> Screen:
    if screen.explained is not None:
        return replace(screen, scrolled=max(screen.scrolled + by, 0))
    selected = min(max(screen.selected + by, 0), max(len(screen.items) - 1, 0))
    return replace(screen, selected=selected, top=_top(replace(screen, selected=selected), height))


def _top(screen: Screen, height: int) -> int:
    """Return the first row to show: the same as before, unless the selected one would not be seen."""
    room = max(height - _FRAME, 1)
    last = max(len(screen.items) - room, 0)
    return min(max(min(screen.top, screen.selected), screen.selected - room + 1), last)


def _asking(screen: Screen, remedy: Remedy, row: PendingSummary) -> Screen:
    is_open = row.claimed_at is None
    if remedy is Remedy.REDELIVER and is_open:
        return replace(screen, message=f"{row.id} is open; there is no ending to deliver")
    if remedy is Remedy.WITHDRAW and not is_open:
        return replace(screen, message=f"{row.id} has ended; there is nothing to withdraw")
    return replace(screen, asked=Apply(remedy, row))


def command_of(action: Apply) -> str:
    """Return the command that does the same."""
    match action.remedy:
        case Remedy.REDELIVER:
            return remedies.redeliver(action.row)
        case Remedy.WITHDRAW:
            return remedies.withdraw(action.row)
        case Remedy.REPAIR_CARD:
            return remedies.repair_card(action.row)


def drawn(screen: Screen, width: int, height: int) -> list[str]:
    """Return the lines of the screen: `height` of them, none wider than `width` columns."""
    if screen.shows_help:
        body, keys = ["keys", "", *HELP], "any key: back"
    elif screen.explained is not None:
        body, keys = _explained(screen, screen.explained, width, height), _BACK
    else:
        body, keys = _list(screen, height), _KEYS
    footer = [one_line(screen.message) or keys]
    if screen.asked is not None:
        question = textwrap.wrap(one_line(command_of(screen.asked)), max(width, 1), break_on_hyphens=False)
        footer = [*question, "do this? y/n"]
    room = max(height - 1 - len(footer), 0)
    lines = [_header(screen), *(body + [""] * room)[:room], *footer][-height:]
    return [set_cell_size(line, width).rstrip() for line in lines]


def _header(screen: Screen) -> str:
    if screen.away is not None:
        seconds, error = screen.away
        return one_line(f"STALE: nothing could be read for {age(seconds)}: {error}")
    number = Counter(map(_label, screen.items))
    parts = [f"{label} {number[label]}" for label in dict.fromkeys([*Concern, *State]) if number[label]]
    more = "+" if screen.is_cut else ""
    at = "" if screen.read_at is None else f"{screen.read_at:%H:%M:%S} "
    none = "no question" if screen.is_filtered else "nothing needs a look"
    return one_line(f"{at}{'  '.join(parts) + more if parts else none}  {screen.target}")


def _list(screen: Screen, height: int) -> list[str]:
    if not screen.items and screen.is_filtered:
        return ["", "No question passes the filters."]
    if not screen.items:
        return ["", "No question is open, and none waits for a pod or a person."]
    top = _top(screen, height)
    shown = list(enumerate(screen.items))[top : top + max(height - _FRAME, 1)]
    # An id is never cut for what stands behind it; a long one moves that to the right, on its own line alone.
    ids = min(max(cell_len(one_line(item.row.id)) for _, item in shown), _WIDE_ID)
    labels = max(len(label) for label in (*Concern, *State))
    lines = [f"  {'id'.ljust(ids)}  {'concern'.ljust(labels)}  {'age':<11}  what is known"]
    for place, item in shown:
        mark = ">" if place == screen.selected else " "
        id = one_line(item.row.id)
        id += " " * (ids - cell_len(id))
        asked = age(item.row.age_seconds)
        lines.append(one_line(f"{mark} {id}  {_label(item).ljust(labels)}  {asked:<11}  {_known(item)}"))
    below = len(screen.items) - top - len(shown)
    return [*lines, f"  … {counted(below, 'row', 'rows')} below" if below else ""]


def _known(item: Attention) -> str:
    """Return the attempts with their error, of what waits for a pod; of what waits for its user the question."""
    row, attempts = item.row, _attempts(item)
    if item.concern is Concern.OVERDUE and row.expires_at is not None:
        return f"its deadline passed {age(now_of(row) - row.expires_at)} ago, and nobody has ended it"
    if attempts is None:
        return f"asks {row.expected_user_id}: {row.question or ''}"
    due = "no other" if attempts.due_at is None else f"next {_due(attempts.due_at - now_of(row))}"
    error = f": {attempts.error}" if attempts.error else ""
    return f"{counted(attempts.number, 'attempt', 'attempts')}, {due}{error}"


def _label(item: Attention) -> str:
    return item.row.state if item.concern is None else item.concern


def _attempts(item: Attention) -> Attempts | None:
    """Return the attempts that a row waits for; the card of an open question is due once more when that goes stale."""
    row = item.row
    if item.concern is Concern.UNAPPENDED:
        return append_attempts_of(row)
    is_posted = row.claimed_at is None and row.unposted is None
    if item.concern is Concern.OPEN or (item.concern is None and is_posted):
        return None
    return edit_attempts_of(row) if item.concern is Concern.CARD_BEHIND else attempts_of(row)


def _due(length: timedelta) -> str:
    return f"was due {age(-length)} ago" if length < timedelta(seconds=-1) else until(length)


def settled(screen: Screen, width: int, height: int) -> Screen:
    """Return the screen scrolled no further than to the end of what is explained, so that the next key moves it."""
    if screen.explained is None:
        return screen
    end = max(len(_explanation(screen.explained, width)) - _room(height), 0)
    return replace(screen, scrolled=min(screen.scrolled, end))


def _explained(screen: Screen, history: QuestionHistory, width: int, height: int) -> list[str]:
    lines = _explanation(history, width)
    first = min(screen.scrolled, max(len(lines) - _room(height), 0))
    return lines[first : first + _room(height)]


def _room(height: int) -> int:
    return max(height - 2, 1)


def _explanation(history: QuestionHistory, width: int) -> list[str]:
    """Return the cause first, and then the time line."""
    lines = [*title_lines(history), *finding_lines(judge_question(history), width)]
    # What is longer than a line is broken: nothing is to be copied from here, and nothing is to be missed.
    lines = [part for line in lines for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""]]
    return [*lines, *question_lines(history, askings(history), width)]
