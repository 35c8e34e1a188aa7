"""The law of a race about the streams of its questions: what became of each asking stands there. Pure.

Like those of `laws` it yields what it found wrong, in words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ...model import Outcome as Ending
from ..history.history import AppendedEvent, Outcome, Row
from .one_question import Story


def appended_once(story: Story) -> Iterator[str]:
    """How each asking has ended is on the question's stream once, as the row says it, its card once before that.

    The card is missing there only where the asking ended before anybody noted that it was posted. Nothing is there of a
    question that was never asked, since its transaction rolled back.
    """
    if story.events is None or story.question.stream is None or not story.is_whole:
        return
    row = story.row
    events: defaultdict[int, list[AppendedEvent]] = defaultdict(list)
    for event in story.events:
        events[event.ask_number].append(event)
    known = {*story.askings, *({row.ask_number} if row is not None else ())}
    if not any(each.outcome is Outcome.UNKNOWN for each in story.puts):
        for number in sorted(events.keys() - known):
            yield f"the stream has an event of asking {number}, which nobody has begun"
    if row is None:
        return
    for number in sorted(known):
        yield from _wrong(story, row, number, events[number])


def _wrong(story: Story, row: Row, number: int, events: list[AppendedEvent]) -> Iterator[str]:
    cards = [event for event in events if event.outcome is None]
    endings = [event for event in events if event.outcome is not None]
    for what, found in (("its card was posted", cards), ("how it has ended", endings)):
        if len(found) > 1:
            yield f"of asking {number} the stream has {len(found)} times {what}"
    is_present = number == row.ask_number
    has_ended = not is_present or row.outcome is not None
    if has_ended and not endings:
        yield f"how asking {number} has ended is missing on the stream"
    if not has_ended and endings:
        yield f"asking {number} is open, and on the stream it was {endings[0].outcome}"
    if is_present and row.is_posted and not has_ended and not cards:
        yield f"that the card of asking {number} was posted is missing on the stream"
    if cards and endings and events[0] is not cards[0]:
        yield f"how asking {number} has ended stands on the stream before its card"
    for ending in endings:
        said = f"the stream says that asking {number} was {ending.outcome} ({ending.answer!r})"
        if is_present and (ending.outcome, ending.answer) != (row.outcome, row.answer):
            yield f"{said}, and the row {row.outcome} ({row.answer!r})"
        for claim in story.winners:
            won = (Ending.ANSWERED, claim.planned.value)
            if claim.reported.ask_number == number and (ending.outcome, ending.answer) != won:
                yield f"{said}, and a click was told that it won with {claim.planned.value!r}"
