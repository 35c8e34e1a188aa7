"""What the trail says of cards and reminders: what pods have posted and edited, and what the row knows of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...platforms import ENGLISH
from ...trail import Step, TrailEntry
from ..history.history import Outcome
from ..plan.operations import OperationKind
from .one_question import Story
from .trail_order import REMOVALS, TracedRow, name_of_entry


def cards_in_the_trail(story: Story, entries: Sequence[TrailEntry], traced: TracedRow) -> Iterator[str]:
    """A note is of a card that its pod has posted or edited; what the row says of its card is in the trail as well.

    A pod that dies takes its notes with it, and a server that crashes may take those back that nobody waits for, with
    what they say in the row: what was posted and edited need not be in the trail then.
    """
    yield from _attempts(story, entries)
    yield from _notes_of_nothing(story, entries)
    yield from _notes_that_lack(story, entries, traced)
    if story.is_undisturbed:
        yield from _leases_that_lack(story, entries)
        yield from _notes_one_too_many(story, entries)
    if story.is_undisturbed and traced.ending is None:
        yield from _failures_that_lack(story, entries)
    yield from _reminders(story, entries)


def _attempts(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    """Whoever posts a card has begun to; only a put of the same question begins anew with the first attempt."""
    begun = [entry for entry in entries if entry.step is Step.POSTING or (entry.step is Step.ASKED and entry.attempt)]
    attempts = Counter((entry.pod, entry.ask_number) for entry in begun)
    for (pod, number), times in Counter((post.pod, post.ask_number) for post in story.card_posts).items():
        if attempts[pod, number] < times:
            yield f"{pod} has posted the card of asking {number}, and the trail does not say that it was about to"
    put_again = {
        each.pod
        for each in story.operations
        if each.kind is OperationKind.PUT and each.planned.posts and each.outcome in (Outcome.OK, Outcome.UNKNOWN)
    }
    first = set[int | None]()
    for entry in begun:
        if entry.attempt == 1 and entry.ask_number in first and entry.pod not in put_again:
            yield f"{name_of_entry(entry)} is a first attempt, and not the first one"
        if entry.attempt == 1:
            first.add(entry.ask_number)


def _notes_of_nothing(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    posted = {(post.pod, post.ask_number) for post in story.card_posts}
    found = {post.ask_number for post in story.card_posts if post.can_be_found}
    numbers = {post.card: post.ask_number for post in story.card_posts}
    edited = {(edit.pod, numbers.get(edit.card)) for edit in story.card_edits}
    for entry in entries:
        by = (entry.pod, entry.ask_number)
        if entry.step is Step.POSTED and by not in posted and entry.ask_number not in found:
            yield f"{name_of_entry(entry)} is of a card that its pod has not posted"
        if entry.step is Step.EDITED and by not in edited:
            yield f"{name_of_entry(entry)} is of a card that its pod has not edited"


def _notes_that_lack(story: Story, entries: Sequence[TrailEntry], traced: TracedRow) -> Iterator[str]:
    row = story.row
    if row is None or row.ask_number != traced.ask_number:
        return
    noted = {entry.step for entry in entries if entry.ask_number == row.ask_number}
    if row.outcome is not None and row.no_card_known is (Step.POSTED in noted):
        yield f"the row knows {'no' if row.no_card_known else 'its'} card, and the trail says otherwise"
    if (row.not_shown is not None) is not (traced.post is Step.GIVEN_UP):
        yield f"the row says {row.not_shown!r} of its card, and the last step of that is {traced.post}"
    ending = traced.ending
    if row.card_shows_the_end and not any(
        entry.step is Step.EDITED and entry.ask_number == row.ask_number and ending is not None and entry.id > ending.id
        for entry in entries
    ):
        yield f"the card of asking {row.ask_number} shows the end, and the trail has no edit of it since then"
    if row.has_cards_to_retire:
        return
    edited = {entry.ask_number for entry in entries if entry.step is Step.EDITED}
    for number in dict.fromkeys(each.ask_number for each in _since_the_row(entries) if each.step is Step.POSTED):
        if number != row.ask_number and number not in edited:
            yield f"the card of asking {number} has lost its buttons, and the trail has no edit of it"


def _leases_that_lack(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    """The pod that has won edits the card at once, every other one by a lease; a crash of the server may take that."""
    may_edit = {entry.pod for entry in entries if entry.step in (Step.EDITING, Step.ANSWERED)}
    for pod in dict.fromkeys(edit.pod for edit in story.card_edits if edit.pod not in may_edit):
        yield f"{pod} has edited a card, and the trail does not say that it was about to"


def _since_the_row(entries: Sequence[TrailEntry]) -> Sequence[TrailEntry]:
    """Return what has happened since the present row was made."""
    removed = [place for place, entry in enumerate(entries, start=1) if entry.step in REMOVALS]
    return entries[removed[-1] :] if removed else entries


def _notes_one_too_many(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    """Only a pod that has lost its connection makes the same note again."""
    numbers = {post.card: post.ask_number for post in story.card_posts}
    posts = Counter(post.ask_number for post in story.card_posts if post.can_be_found or not post.is_lost)
    edits = Counter[tuple[str | None, int | None]]()
    for edit in story.card_edits:
        # One that may have landed over the words of the next asking is noted for both.
        edits[edit.pod, numbers.get(edit.card)] += 2 if edit.text.endswith(ENGLISH.card_stale) else 1
    noted = Counter((entry.step, entry.pod, entry.ask_number, entry.attempt) for entry in entries)
    for number, times in Counter(each.ask_number for each in entries if each.step is Step.POSTED).items():
        if times > posts[number or 0]:
            yield f"the card of asking {number} was posted {posts[number or 0]} times, and the trail says {times}"
    for (step, pod, number, _), times in noted.items():
        if step is Step.EDITED and times > edits[pod, number]:
            yield f"{pod} has edited the cards of asking {number} less often than {times} times, as the trail says"
        if step is Step.NOT_POSTED and times > 1:
            yield f"{pod} has failed once to post the card of asking {number}, and the trail says so {times} times"


def _failures_that_lack(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    failed = {(entry.pod, entry.ask_number) for entry in entries if entry.step is Step.NOT_POSTED}
    for number, put in story.askings.items():
        if put.planned.trouble is not None and (put.pod, number) not in failed:
            yield f"{put.pod} has failed to post the card of asking {number}, and the trail does not say so"


def _reminders(story: Story, entries: Sequence[TrailEntry]) -> Iterator[str]:
    """Each was consumed by its lease before it was posted; whoever died in between has posted none."""
    schedule = story.question.schedule
    posted = Counter(
        (each.pod, each.ask_number, Step.ESCALATED if each.is_escalation else Step.REMINDED) for each in story.reminders
    )
    consumed = Counter((each.pod, each.ask_number, each.step) for each in entries)
    for (pod, number, step), times in posted.items():
        if consumed[pod, number, step] < times:
            yield f"{pod} has {step} {times} times in asking {number}, and the trail says {consumed[pod, number, step]}"
    in_all = Counter((each.ask_number, each.step) for each in entries)
    for step, most in (
        (Step.REMINDED, schedule.remind_at_most or 0),
        (Step.ESCALATED, 0 if schedule.escalate_to is None else 1),
    ):
        for (asking, each), times in in_all.items():
            if each is step and times > most:
                yield f"asking {asking} was {step} {times} times, and {most} are due at most"
