"""What `why` shows of the trail: a line for each step, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ..diagnosis.askings import Asking
from ..diagnosis.findings import Finding
from ..diagnosis.presses import Press
from ..inspected import PendingInteraction, PendingSummary, QuestionHistory
from ..trail import Step, TrailEntry
from ..words import age, counted
from .question_page import headline
from .render import one_line

_ARROW = "→ "
_STEP = max(len(step) for step in Step) + 2
_CLOCK = len("22:01:05.123") + 2
_GAP = len("59 min 59 s") + 2


def title_lines(history: QuestionHistory) -> list[str]:
    """Return id, state and age, and the question's text, each on a line that is as long as they are."""
    row = history.row
    if row is None:
        # A press alone does not say that it was ever here.
        was_here = any(entry.step not in (Step.REFUSED, Step.REPEATED) for entry in history.trail.entries)
        return [one_line(f"{history.id}   {'no longer there' if was_here else 'not known here'}")]
    return [one_line(headline(row)), *([] if row.question is None else [one_line(row.question)])]


def question_lines(history: QuestionHistory, askings: Sequence[Asking], width: int) -> Iterator[str]:
    """Return the steps of each asking, below the day and the number of the asking."""
    last_seen: datetime | None = None
    row = history.row
    left_out = history.trail.left_out
    middle = history.trail.entries[len(history.trail.entries) // 2].id if left_out else None
    for asking in askings:
        yield ""
        yield _heading(asking, row)
        if not asking.entries and row is not None:
            yield from _of_row(row, width)
        day, last_seen = None, None
        for entry in asking.entries:
            if entry.id == middle:
                yield f"  … {counted(left_out, 'step', 'steps')} left out …"
            if entry.at.date() != day:
                day = entry.at.date()
                yield f"  {day} (UTC)"
            yield from _line(entry.at, last_seen, entry.step.replace("_", " "), _details(entry), width)
            last_seen = entry.at


def press_lines(pressed: Sequence[Press], is_cut: bool, width: int) -> Iterator[str]:
    """Return a line for each press of a user, oldest first."""
    if is_cut:
        yield "  … older presses left out …"
    day = None
    for press in pressed:
        entry = press.entry
        if entry.at.date() != day:
            day = entry.at.date()
            yield f"  {day} (UTC)"
        asks = "" if press.question is None else f"asks {press.question.expected_user_id}"
        gone = "not there" if press.question is None else ""
        details = [entry.question_id, asks or gone, *_details(entry, of_user=True)]
        yield from _line(entry.at, None, entry.step, details, width)


def open_lines(waiting: Sequence[PendingSummary], user_id: str, width: int) -> Iterator[str]:
    """Return a line for each open question that a user was asked."""
    if waiting:
        yield ""
        yield f"open, and asking {one_line(user_id)}:"
    for row in waiting:
        text = f"{row.id}   {row.state}   asked {age(row.age_seconds)} ago"
        yield from _wrapped(one_line(text), width, "  ", "      ")


def finding_lines(finding: Finding, width: int) -> Iterator[str]:
    """Return the verdict with its sentence, and what mends it below, each remedy in one piece for whoever copies it."""
    yield ""
    head = f"{finding.verdict}  "
    yield from _wrapped(one_line(finding.sentence), width, head, " " * len(head))
    for remedy in finding.remedies:
        yield f"{' ' * len(head)}{_ARROW}{one_line(remedy)}"


def entry_fields(entry: TrailEntry) -> dict[str, object]:
    """Return the JSON fields of a step."""
    return {
        "at": entry.at,
        "step": entry.step,
        "question_id": entry.question_id,
        "ask_number": entry.ask_number,
        "organization_id": entry.organization_id,
        "connection_id": entry.connection_id,
        "application": entry.application,
        "user_id": entry.user_id,
        "pod": entry.pod,
        "request_key": entry.request_key,
        "attempt": entry.attempt,
        "presses": entry.presses,
        "detail": entry.detail,
    }


def _heading(asking: Asking, row: PendingInteraction | None) -> str:
    number = "clicks that matched no asking" if asking.number is None else f"asking {asking.number}"
    if not asking.entries and row is not None:
        return f"{number}, of which the trail has nothing; its row says:"
    return number


def _of_row(row: PendingInteraction, width: int) -> Iterator[str]:
    """Return what a row says of its own past, where no trail does."""
    moments: list[tuple[datetime | None, str, list[str]]] = [
        (row.created_at, "asked", [f"asks {row.expected_user_id}"]),
        (row.posted_at, "posted", []),
        (row.claimed_at, row.outcome or "ended", [row.answered_by or "", f"pod {row.pod}" if row.pod else ""]),
        (row.delivered_at, "delivered", []),
    ]
    before: datetime | None = None
    for at, step, details in sorted(moments, key=lambda each: each[0] or row.created_at):
        if at is None:
            continue
        if before is None:
            yield f"  {at.date()} (UTC)"
        yield from _line(at, before, step, details, width)
        before = at


def _line(at: datetime, before: datetime | None, step: str, details: Sequence[str], width: int) -> Iterator[str]:
    gap = "" if before is None else _gap(at - before)
    head = f"  {at:%H:%M:%S}.{at.microsecond // 1000:03d}".ljust(_CLOCK + 2) + gap.ljust(_GAP) + step.ljust(_STEP)
    text = one_line(", ".join(filter(None, details)))
    # Under the step, where there is more room than under what belongs to it.
    yield from _wrapped(text, width, head, " " * (2 + _CLOCK + _GAP))


def _wrapped(text: str, width: int, first: str, further: str) -> list[str]:
    """Break a text between words; a word that is longer than a line stays whole."""
    return textwrap.wrap(
        text,
        max(width, len(further) + 20),
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _gap(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"+{max(seconds, 0) * 1000:.0f} ms" if seconds < 1 else f"+{age(length)}"


def _details(entry: TrailEntry, *, of_user: bool = False) -> list[str]:
    """Return what a step has besides its time, in words."""
    found = []
    if entry.user_id is not None and not of_user:
        found.append(f"asks {entry.user_id}" if entry.step is Step.ASKED else entry.user_id)
    if entry.presses is not None and entry.presses > 1:
        found.append(f"{entry.presses:,} times")
    if entry.attempt is not None:
        found.append("and posts its card" if entry.step is Step.ASKED else f"attempt {entry.attempt:,}")
    # That an asking is the first one of its id is no news.
    if entry.detail is not None and entry.detail != "created":
        found.append(entry.detail.replace("_", " ") if entry.step is Step.REFUSED else entry.detail)
    if entry.connection_id is not None:
        found.append(f"over {entry.organization_id}/{entry.connection_id}")
    if entry.application:
        found.append(f"application {entry.application}")
    if entry.request_key is not None:
        found.append(f"request {entry.request_key}")
    if entry.pod is not None:
        found.append(f"pod {entry.pod}")
    return found
