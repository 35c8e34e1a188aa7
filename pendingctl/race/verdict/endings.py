"""The laws of a race about how questions end: in time, once, and not in the dark. Pure.

Like those of `laws` each yields what it found wrong, in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ...model import Outcome as Ending
from ..history.history import Outcome
from ..plan.operations import OperationKind
from .laws import name_of
from .one_question import Story


def no_click_after_deadline(story: Story) -> Iterator[str]:
    """No click wins that began when the deadline of its asking had passed.

    The database read its clock between the start and the end of the put: so long after that end the deadline has surely
    passed. What the row says is by the database's clock alone.
    """
    expires_in, row = story.question.schedule.expires_in_ns, story.row
    for claim in story.winners:
        put = story.askings.get(claim.reported.ask_number or 0)
        if expires_in is None or put is None or not put.planned.shows or put.ended_ns is None:
            continue
        if (late_ns := claim.started_ns - put.ended_ns - expires_in) > 0:
            yield f"{name_of(claim)} won, and began {late_ns / 1e6:.1f} ms after the deadline"
    if row is not None and row.outcome == Ending.ANSWERED and None not in (row.claimed_at, row.expires_at):
        assert row.claimed_at is not None
        assert row.expires_at is not None
        if row.claimed_at > row.expires_at:
            yield f"the answer was given at {row.claimed_at.isoformat()}, after {row.expires_at.isoformat()}"


def one_ending(story: Story) -> Iterator[str]:
    """An asking ends in one way: answered, defaulted, expired or withdrawn, for whoever hears of it and in the row."""
    ways: defaultdict[int | None, set[str]] = defaultdict(set)
    for claim in story.winners:
        ways[claim.reported.ask_number].add(Ending.ANSWERED)
    for handed in story.hand_overs:
        ways[handed.ask_number].add(handed.outcome)
    if story.row is not None and story.row.outcome is not None:
        ways[story.row.ask_number].add(story.row.outcome)
    if len(story.askings) == 1 and any(
        each.kind is OperationKind.WITHDRAW and each.outcome is Outcome.OK for each in story.operations
    ):
        ways[next(iter(story.askings))].add(Ending.WITHDRAWN)
    for number, endings in ways.items():
        if len(endings) > 1:
            stored = "is gone" if story.row is None else f"says {story.row.outcome}"
            yield f"asking {number} ended in {len(endings)} ways: {', '.join(sorted(endings))}; the row {stored}"


def every_ending_told(story: Story) -> Iterator[str]:
    """An ending that is no click's is handed over as well, where the worker hears of it, or reaches the asker."""
    row = story.row
    if row is None or not story.is_whole or row.outcome in (None, Ending.ANSWERED):
        return
    if row.outcome not in story.question.heard or any(each.kind is OperationKind.ASK for each in story.operations):
        return
    if row.undelivered:
        yield f"that asking {row.ask_number} was {row.outcome} is undelivered at the end"
    if (row.ask_number, row.outcome) not in {(each.ask_number, each.outcome) for each in story.hand_overs}:
        yield f"that asking {row.ask_number} was {row.outcome} was never handed over"
