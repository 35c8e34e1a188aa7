"""Which order the entries of one question in the trail can have had: each is what its row allowed by then. Pure.

Whoever writes an entry has the row's lock, and draws the entry's id under it: the ids are in the order of what was
done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...model import PutOutcome
from ...pod.delivery import MOST_ATTEMPTS
from ...trail import Step, TrailEntry

ENDINGS = (Step.ANSWERED, Step.DEFAULTED, Step.EXPIRED, Step.WITHDRAWN)
# Of a question that is open, and of one that has ended.
_WHILE_OPEN = (
    *(Step.EXTENDED, Step.POSTING, Step.NOT_POSTED, Step.GIVEN_UP, Step.REMINDED, Step.ESCALATED),
    *ENDINGS,
)
_AFTER_THE_END = (Step.LEASED, Step.RELEASED, Step.DELIVERED, Step.FAILED, Step.STUCK, Step.REDELIVERED)
_BY_THE_HOLDER = (Step.RELEASED, Step.DELIVERED, Step.FAILED, Step.STUCK)
# Notes, which may come when the question was asked anew.
_LATE = (Step.POSTED, Step.EDITED)
REMOVALS = (Step.DELETED, Step.SWEPT)


@dataclass(slots=True)
class TracedRow:
    """A question's row as far as its trail has led. `ask_number` is None where there is no row.

    `ending` is how the present asking has ended, `delivery` the last step of its delivery, `holder` the pod that has a
    lease on it, and `attempts` how many were made. `post` is the last step of its card, and `edit_attempt` the last
    lease on that since something was noted of it.
    """

    ask_number: int | None = None
    asked: list[int | None] = field(default_factory=list)
    ending: TrailEntry | None = None
    delivery: Step | None = None
    holder: str | None = None
    attempts: int = 0
    post: Step | None = None
    poster: str | None = None
    post_attempts: int = 0
    edit_attempt: int | None = None


def follow(entries: Sequence[TrailEntry]) -> tuple[TracedRow, list[str]]:
    """Return where a trail leads, and what in it cannot have been."""
    row, wrong = TracedRow(), list[str]()
    for entry in entries:
        wrong += [f"{name_of_entry(entry)} {why}" for why in _impossible(entry, row)]
        _carry_out(entry, row)
    return row, wrong


def name_of_entry(entry: TrailEntry) -> str:
    """Return what reports call an entry."""
    return f"entry {entry.id}, {entry.step} in asking {entry.ask_number} by {entry.pod},"


def _impossible(entry: TrailEntry, row: TracedRow) -> Iterator[str]:
    match entry.step:
        case Step.ASKED:
            yield from _impossible_asking(entry, row)
            return
        case _ if entry.step in _LATE:
            if entry.ask_number not in row.asked:
                yield "is of an asking that was not begun"
            return
    if row.ask_number is None:
        yield "comes where there is no row"
    elif entry.ask_number != row.ask_number:
        yield f"comes while the row is that of asking {row.ask_number}"
    elif entry.step in _WHILE_OPEN and row.ending is not None:
        yield f"comes after the question was {row.ending.step}"
    elif entry.step in _AFTER_THE_END and row.ending is None:
        yield "comes before the question has ended"
    elif entry.step in _BY_THE_HOLDER and entry.pod != row.holder and not _is_used_up(entry, row):
        yield f"comes while {row.holder or 'nobody'} has the lease"
    elif (due := _due_attempt(entry, row)) is not None and entry.attempt != due:
        yield f"is attempt {entry.attempt}, and should be {due}"
    elif entry.step is Step.NOT_POSTED and entry.pod != row.poster:
        yield f"comes while {row.poster or 'nobody'} posts the card"
    elif entry.step is Step.EDITING and entry.attempt == row.edit_attempt:
        yield f"is attempt {entry.attempt} once more"
    elif entry.step is Step.SWEPT and entry.detail != (was := row.ending.step if row.ending else "open"):
        yield f"says {entry.detail!r}, and the question was {was}"


def _is_used_up(entry: TrailEntry, row: TracedRow) -> bool:
    """Whether it is stuck since pods have died over all of its attempts, which any pod finds."""
    return entry.step is Step.STUCK and row.delivery is not Step.STUCK and row.attempts >= MOST_ATTEMPTS


def _impossible_asking(entry: TrailEntry, row: TracedRow) -> Iterator[str]:
    if row.ask_number is None:
        did = PutOutcome.CREATED
    else:
        did = PutOutcome.SUPERSEDED if row.ending is None else PutOutcome.REOPENED
    if entry.detail != did:
        yield f"says {entry.detail!r}, and the question was {did}"
    if (entry.ask_number or 0) <= max((number or 0 for number in row.asked), default=0):
        yield "has a number that is not greater than all before"


def _due_attempt(entry: TrailEntry, row: TracedRow) -> int | None:
    match entry.step:
        case Step.LEASED:
            return row.attempts + 1
        case Step.DELIVERED | Step.FAILED | Step.STUCK:
            return row.attempts
        case Step.POSTING:
            # A caller that posts the card itself makes the first attempt, also anew.
            return None if entry.attempt == 1 else row.post_attempts + 1
        case Step.NOT_POSTED:
            return row.post_attempts
    return None


def _carry_out(entry: TrailEntry, row: TracedRow) -> None:
    """Lead the row to where the entry says that it is, whether or not that could be."""
    if entry.step in (Step.ASKED, *_LATE, *ENDINGS):
        row.edit_attempt = None
    match entry.step:
        case Step.EDITING:
            row.edit_attempt = entry.attempt
        case Step.ASKED:
            row.asked.append(entry.ask_number)
            _begin(row, entry)
        case Step.DELETED | Step.SWEPT:
            row.ask_number, row.ending = None, None
        case Step.POSTING | Step.NOT_POSTED | Step.GIVEN_UP | Step.POSTED if entry.ask_number == row.ask_number:
            row.post = entry.step
            if entry.step is Step.POSTING:
                row.poster, row.post_attempts = entry.pod, entry.attempt or 0
        case _ if entry.step in ENDINGS:
            row.ending = row.ending or entry
            # The click that wins holds a lease, unless the answer is left to the pods.
            row.attempts = entry.attempt or 0
            row.holder = entry.pod if entry.attempt else None
        case Step.LEASED:
            row.delivery, row.holder, row.attempts = entry.step, entry.pod, row.attempts + 1
        case Step.RELEASED:
            row.delivery, row.holder, row.attempts = entry.step, None, max(row.attempts, 1) - 1
        case Step.REDELIVERED:
            row.delivery, row.holder, row.attempts = entry.step, None, 0
        case Step.DELIVERED | Step.FAILED | Step.STUCK:
            row.delivery, row.holder = entry.step, None


def _begin(row: TracedRow, asked: TrailEntry) -> None:
    row.ask_number, row.ending, row.delivery, row.holder, row.attempts = asked.ask_number, None, None, None, 0
    row.post, row.post_attempts = None, asked.attempt or 0
    row.poster = asked.pod if asked.attempt else None
