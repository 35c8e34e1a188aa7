"""What `show` says of a question: what it waits for, its card as it stands, and its fields in groups."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ..inspected import PendingInteraction, State, Unposted
from ..payload import question_options
from ..platforms import ENGLISH, Card
from ..pod.card_content import card_of
from ..words import age, counted, until
from .question_columns import now_of

# The fields of each group; those in none of them follow.
_GROUPS = {
    "question": (
        *("organization_id", "connection_id", "expected_user_id", "application", "conversation_id"),
        *("ask_number", "request_key"),
    ),
    "times": ("created_at", "expires_at", "claimed_at", "withdrawn_at"),
    "ending": ("outcome", "answer", "answered_by", "default_answer", "delivery_key"),
    "delivery": ("pod", "delivery_attempts", "delivery_due_at", "delivery_error", "delivered_at"),
    "card": (
        *("unposted", "posted_at", "post_attempts", "post_due_at", "post_error"),
        *("card_attempts", "card_due_at", "card"),
    ),
    "reminders": ("remind_every", "reminders_left", "escalate_at", "escalate_to", "escalated_at"),
    "stream": ("stream", "stream_attempts", "stream_due_at", "stream_error"),
}
# These stand above the groups.
_ABOVE = ("id", "state", "age_seconds", "question")


def headline(row: PendingInteraction) -> str:
    """Return id, state and age."""
    return f"{row.id}   {row.state}   asked {age(row.age_seconds)} ago"


def grouped(fields: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Return the fields that have something, by the group they belong to."""
    filled = {name: value for name, value in fields.items() if value is not None and name not in _ABOVE}
    if filled.keys().isdisjoint({"stream", "stream_due_at", "stream_error"}):
        filled.pop("stream_attempts", None)
    groups = {group: {name: filled.pop(name) for name in names if name in filled} for group, names in _GROUPS.items()}
    return {group: fields for group, fields in {**groups, "further": filled}.items() if fields}


def card_as_it_stands(row: PendingInteraction) -> Card | None:
    """Return what the question's card shows now, as far as is known; None if no card is known to be there.

    A card that is still to be edited after the question's end has its buttons.
    """
    if row.question is None or row.posted_at is None:
        return None
    card = _card(row, has_ended=row.outcome is not None and row.card_due_at is None)
    # Its text can be read even where the payload as a whole cannot.
    return replace(card, text=row.question)


def sentences(row: PendingInteraction) -> Iterator[str]:
    """Say what the question, its ending and its card wait for, with the last error; and, without a card, the text."""
    now = now_of(row)
    if row.posted_at is None and row.question is not None:
        yield row.question
        if row.outcome is None and (options := question_options(row.payload)):
            yield f"options: {', '.join(options)}"
    if row.outcome is None and row.expires_at is not None:
        yield f"its deadline {'is ' + until(row.expires_at - now) if row.expires_at > now else 'has passed'}"
    if (row.posted_at is None or row.card_due_at is not None) and (said := _card(row, has_ended=True).said):
        yield said.text()
    if row.state is State.STUCK:
        yield f"its ending is stuck: {_tries(row.delivery_attempts)}, and no other before:"
        yield f"  pendingctl redeliver {shlex.quote(row.id)}"
    elif row.delivery_due_at is not None:
        yield f"its ending is to be delivered {until(row.delivery_due_at - now)}; {_tries(row.delivery_attempts)}"
    if row.delivery_error is not None and row.delivered_at is None:
        yield f"  last error: {row.delivery_error}"
    yield from _of_its_card(row, now)
    if row.stream_due_at is not None:
        yield (
            f"what became of it is to be appended to its stream {until(row.stream_due_at - now)}; "
            f"{_tries(row.stream_attempts)}"
        )
    if row.stream_error is not None:
        why = "its stream lacks an event" if row.stream_due_at is None else "  last error"
        yield f"{why}: {row.stream_error}"


def _of_its_card(row: PendingInteraction, now: datetime) -> Iterator[str]:
    match row.unposted:
        case Unposted.TO_BE_POSTED if row.post_due_at is not None:
            yield f"its card is to be posted {until(row.post_due_at - now)}; {_tries(row.post_attempts)}"
        case Unposted.GIVEN_UP:
            yield f"its card could not be posted: {_tries(row.post_attempts)}, and no other before:"
            yield f"  pendingctl repair-cards {shlex.quote(row.id)}"
        case Unposted.BY_CALLER:
            yield "whoever stored it shows it; no card of it is known"
    if row.post_error is not None and row.unposted is not None:
        yield f"  last error: {row.post_error}"
    if row.post_error is not None and row.posted_at is not None:
        yield f"its card stays as it is, and is not edited again: {row.post_error}"
    if row.card_due_at is not None:
        yield (
            f"its card is to be edited {until(row.card_due_at - now)}; {_tries(row.card_attempts)}; "
            "it shows what was so before"
        )


def _card(row: PendingInteraction, *, has_ended: bool) -> Card:
    return card_of(
        row.id,
        row.ask_number,
        row.payload,
        row.expected_user_id,
        wording=ENGLISH,
        outcome=row.outcome if has_ended else None,
        is_stale=row.state is State.STALE,
        answered_by=row.answered_by,
        answer=row.answer,
        ended_at=row.claimed_at,
    )


def _tries(number: int) -> str:
    return f"{counted(number, 'attempt', 'attempts')} so far"
