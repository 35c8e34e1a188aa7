"""The laws of a race about what the pods post: every question's card, and each reminder once. Pure.

Like those of `laws` each yields what it found wrong, in words.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model import Outcome as Ending
from ..history.history import Outcome
from .one_question import Story


def every_question_shown(story: Story) -> Iterator[str]:
    """Some pod posts the card of a question that was put for that, whoever has died, unless it has ended before.

    Or it is given up, with a reason. No card shows a question that was never asked, since its transaction rolled back,
    and no default is the answer to a question that nobody has seen.
    """
    row = story.row
    if not story.is_whole:
        return
    in_doubt = [each for each in story.puts if each.outcome is Outcome.UNKNOWN]
    shown = {post.ask_number for post in story.card_posts}
    for number in shown - story.askings.keys():
        if not in_doubt:
            yield f"a card shows asking {number}, which nobody has begun"
    if row is None or row.ask_number in shown:
        return
    put = story.askings.get(row.ask_number)
    is_a_duty = any(each.planned.shows for each in in_doubt) if put is None else put.planned.shows
    if is_a_duty and row.outcome is None and row.not_shown is None:
        yield f"the card of asking {row.ask_number} was never posted"
    if row.outcome == Ending.DEFAULTED:
        yield f"the answer to asking {row.ask_number} is its default, and its card was never posted"


def reminded_once(story: Story) -> Iterator[str]:
    """For each time that a reminder is due one is posted at most, in the whole cluster; and one escalation.

    The next one is due an interval after a pod has taken the one before: the third never comes before the third
    interval has passed.
    """
    schedule = story.question.schedule
    for number in dict.fromkeys(each.ask_number for each in story.reminders):
        put = story.askings.get(number)
        begun_ns = min((each.started_ns for each in story.puts), default=0) if put is None else put.started_ns
        for is_escalation, every_ns, at_most in (
            (False, schedule.remind_every_ns, schedule.remind_at_most),
            (True, schedule.escalate_after_ns, 1),
        ):
            posted = sorted(
                each.at_ns
                for each in story.reminders
                if (each.ask_number, each.is_escalation) == (number, is_escalation)
            )
            what = "escalations" if is_escalation else "reminders"
            if at_most is not None and len(posted) > at_most:
                yield f"{len(posted)} {what} of asking {number} were posted, and {at_most} at most are due"
            for place, at_ns in enumerate(posted, start=1):
                if at_ns < begun_ns + place * (every_ns or 0):
                    after_ms = (at_ns - begun_ns) / 1e6
                    yield f"{place} {what} of asking {number} were posted after {after_ms:.1f} ms, before they were due"
