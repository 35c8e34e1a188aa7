"""The law of a race about cards: the buttons of an asking that has ended give way to how it did. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...platforms import ENGLISH, Sentence
from .laws import Story


def cards_show_the_end(story: Story) -> Iterator[str]:
    """An asking's card is posted once, and when the pods have settled its last edit says how the asking has ended."""
    for number, posts in Counter(each.ask_number for each in story.card_posts).items():
        if posts > 1:
            yield f"the card of asking {number} was posted {posts} times"
    for post in story.card_posts:
        due = _due_words(story, post.ask_number)
        edits = sorted((each for each in story.card_edits if each.card == post.card), key=lambda each: each.at_ns)
        if due is None:
            continue
        if not edits:
            yield f"the card of asking {post.ask_number} has its buttons, and should say {due!r}"
        elif due not in edits[-1].text:
            yield f"the card of asking {post.ask_number} says {edits[-1].text!r}, and should say {due!r}"


def _due_words(story: Story, ask_number: int) -> str | None:
    """What a card has to say by now; None where that is not known, or its question still open."""
    row = story.row
    if row is None or ask_number > row.ask_number:
        return None
    if ask_number < row.ask_number:
        # A pod puts no question anew that was answered or withdrawn.
        return Sentence(words=ENGLISH.card_changed).text()
    if row.withdrawn:
        return Sentence(words=ENGLISH.card_withdrawn).text()
    if row.claimed_at is None:
        return None
    by = row.scope.expected_user_id
    return Sentence(words=ENGLISH.card_answered, by=by, value=row.answer, at=row.claimed_at).text()
