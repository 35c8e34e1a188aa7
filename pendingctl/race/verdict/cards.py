"""The law of a race about cards: the buttons of an asking that has ended give way to how it did. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...model import Outcome as Ending
from ...platforms import ENGLISH, Sentence
from ..history.history import CardPost
from .one_question import Story


def cards_show_the_end(story: Story) -> Iterator[str]:
    """An asking's card is posted once, and when the pods have settled its last edit says how the asking has ended.

    It is posted once more where a pod has died over the post or learnt nothing of it, and nobody can find the card. One
    whose pod died before that was noted keeps its buttons if the question had ended by then: it is not shown any more.
    """
    lost = Counter(each.ask_number for each in story.card_posts if each.is_lost and not each.can_be_found)
    for number, posts in Counter(each.ask_number for each in story.card_posts).items():
        if posts > 1 + lost[number]:
            yield f"the card of asking {number} was posted {posts} times"
    for post in story.card_posts:
        due = _due_words(story, post.ask_number)
        edits = sorted((each for each in story.card_edits if each.card == post.card), key=lambda each: each.at_ns)
        if due is None:
            continue
        if not edits and not (post.is_lost or _nobody_knows_it(story, post)):
            yield f"the card of asking {post.ask_number} has its buttons, and should say {due!r}"
        elif edits and due not in edits[-1].text:
            yield f"the card of asking {post.ask_number} says {edits[-1].text!r}, and should say {due!r}"


def _nobody_knows_it(story: Story, post: CardPost) -> bool:
    row = story.row
    return row is not None and row.no_card_known and row.ask_number == post.ask_number


def _due_words(story: Story, ask_number: int) -> str | None:
    """What a card has to say by now; None where that is not known, or its question still open."""
    row = story.row
    if row is None or ask_number > row.ask_number:
        return None
    if ask_number < row.ask_number:
        # A pod puts no question anew that was answered or withdrawn.
        return Sentence(words=ENGLISH.card_changed).text()
    if row.outcome == Ending.EXPIRED:
        return ENGLISH.card_expired.rpartition("]")[2]
    if row.withdrawn:
        return Sentence(words=ENGLISH.card_withdrawn).text()
    if row.claimed_at is None:
        return None
    if row.outcome == Ending.DEFAULTED:
        return Sentence(words=ENGLISH.card_defaulted, value=row.answer, at=row.claimed_at).text()
    by = row.answered_by or row.scope.expected_user_id
    return Sentence(words=ENGLISH.card_answered, by=by, value=row.answer, at=row.claimed_at).text()
