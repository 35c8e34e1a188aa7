"""The askings of a question with what the trail has of each, and how people read it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..inspected import PendingInteraction, QuestionHistory
from ..model import Outcome, operator_of
from ..trail import Step, TrailEntry
from ..words import age, counted


@dataclass(frozen=True, slots=True)
class Asking:
    """One asking of a question by its number, None where no entry has one, and its entries, oldest first."""

    number: int | None
    entries: tuple[TrailEntry, ...]

    def last(self, *steps: Step) -> TrailEntry | None:
        """Return the last entry of one of these steps."""
        return next((entry for entry in reversed(self.entries) if entry.step in steps), None)

    def presses(self, *steps: Step) -> tuple[TrailEntry, ...]:
        """Return the entries of these steps."""
        return tuple(entry for entry in self.entries if entry.step in steps)


def askings(history: QuestionHistory) -> list[Asking]:
    """Return the askings of a question, oldest first; clicks that belong to none are the asking's that was open then.

    An asking that left nothing in the trail has no entries: a pod of the version before asked it, or the trail was off.
    """
    entries, row = history.trail.entries, history.row
    numbers = [entry.ask_number for entry in entries if entry.ask_number is not None]
    latest = row.ask_number if row is not None else max(numbers, default=None)
    was_asked = any(entry.step is Step.ASKED for entry in entries)
    groups: dict[int | None, list[TrailEntry]] = {} if row is None else {row.ask_number: []}
    present = None if was_asked else latest
    for place, entry in enumerate(entries):
        if history.trail.left_out and place == len(entries) // 2:
            present = latest
        if entry.step is Step.ASKED:
            present = entry.ask_number
        # A press on the card of an older asking is what happened to the newer one, which the person does not see.
        is_press = entry.step in (Step.REFUSED, Step.REPEATED)
        number = present if is_press and present is not None else entry.ask_number
        groups.setdefault(present if number is None else number, []).append(entry)
    found = [Asking(number, tuple(groups[number])) for number in sorted(filter(None, groups))]
    return [Asking(None, tuple(groups[None])), *found] if None in groups else found


def asked_of(row: PendingInteraction) -> str:
    """Return whom a question asks, with the user to whom it was or will be escalated."""
    if row.escalate_to is None:
        return row.expected_user_id
    from_then_on = (
        "" if row.escalated_at is not None else f", from {row.escalate_at:%H:%M} on," if row.escalate_at else ""
    )
    return f"{row.expected_user_id} and{from_then_on} {row.escalate_to}"


def posted_when(row: PendingInteraction, asking: Asking, now: datetime) -> str:
    """Return when a question's card was posted, and by which pod."""
    if row.posted_at is None:
        return "no card of it is known"
    posted = asking.last(Step.POSTED)
    pod = f" by {posted.pod}" if posted is not None and posted.pod else ""
    return f"its card was posted {age(now - row.posted_at)} ago{pod}"


def ended_how(row: PendingInteraction, now: datetime) -> str:
    """Return how and when a question has ended."""
    ago = f"{age(now - row.claimed_at)} ago" if row.claimed_at is not None else "at a time that is not known"
    match row.outcome:
        case Outcome.ANSWERED:
            operator = operator_of(row.answered_by)
            by = row.answered_by or row.expected_user_id if operator is None else f"the operator {operator}"
            return f"it was answered by {by} {ago}"
        case Outcome.DEFAULTED:
            return f"nobody answered, and its default became the answer at its deadline, {ago}"
        case Outcome.EXPIRED if row.default_answer is not None:
            why = "its card was never posted" if row.posted_at is None else "that is none of its options"
            return f"it expired at its deadline, {ago}, without its default, since {why}"
        case Outcome.EXPIRED:
            return f"it expired {ago}, and nobody had answered"
    return f"it was withdrawn {ago}"


def delivered_when(row: PendingInteraction) -> str:
    """Return how long after its end a question's ending was delivered, to be added to a sentence."""
    if row.delivered_at is None or row.claimed_at is None:
        return ""
    was = "and" if row.outcome is Outcome.ANSWERED else "and that was"
    return f", {was} delivered {length(row.delivered_at - row.claimed_at)} later"


def who_pressed(entries: Iterable[TrailEntry]) -> str:
    """Return who pressed how often, the most busy first, five at most."""
    users: Counter[str] = Counter()
    for entry in entries:
        users[entry.user_id or "further users"] += entry.presses or 1
    shown = [f"{user} pressed {times(number)}" for user, number in users.most_common(5)]
    more = len(users) - len(shown)
    return ", ".join(shown) + (f" and {counted(more, 'other user', 'other users')}" if more else "")


def times(number: int) -> str:
    """Write how often: once, 2 times."""
    return "once" if number == 1 else f"{number:,} times"


def number_of(entries: Iterable[TrailEntry]) -> int:
    """Return how many presses entries stand for."""
    return sum(entry.presses or 1 for entry in entries)


def reason_of(entry: TrailEntry) -> str:
    """Return why a press was refused."""
    return (entry.detail or "for an unknown reason").replace("_", " ")


def by_pod(entry: TrailEntry) -> str:
    """Return which pod took a step, to be added to a sentence."""
    return f" by {entry.pod}" if entry.pod else ""


def by_user(entry: TrailEntry) -> str:
    """Return which user took a step, to be added to a sentence."""
    return f" by {entry.user_id}" if entry.user_id else ""


def due_in(due: datetime, now: datetime) -> str:
    """Return in how long something is due."""
    return f"in {age(due - now)}" if due - now >= timedelta(seconds=1) else "now"


def length(length: timedelta) -> str:
    """Write a length of time, also one below a second."""
    return age(length) if length >= timedelta(seconds=1) else f"{max(length.total_seconds(), 0) * 1000:.0f} ms"
