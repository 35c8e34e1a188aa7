"""The JSON fields of a question, as README.md lists them."""

from __future__ import annotations

from ..inspected import Lease, PendingInteraction, PendingSummary
from ..words import in_one_unit


def summary_fields(row: PendingSummary) -> dict[str, object]:
    """Return the fields of one row of `list`."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "connection_id": row.connection_id,
        "expected_user_id": row.expected_user_id,
        "application": row.application,
        "state": row.state.value,
        "created_at": row.created_at,
        "claimed_at": row.claimed_at,
        "age_seconds": round(row.age_seconds, 3),
        "expires_at": row.expires_at,
        "question": row.question,
        "ask_number": row.ask_number,
        "conversation_id": row.conversation_id,
        "answered_by": row.answered_by,
        "pod": row.pod,
        "delivery_attempts": row.delivery_attempts,
        "delivery_due_at": row.delivery_due_at,
        "delivery_error": row.delivery_error,
        "unposted": row.unposted,
        "post_attempts": row.post_attempts,
        "post_due_at": row.post_due_at,
        "post_error": row.post_error,
        "card_attempts": row.card_attempts,
        "card_due_at": row.card_due_at,
        "stream": row.stream,
        "stream_attempts": row.stream_attempts,
        "stream_due_at": row.stream_due_at,
        "stream_error": row.stream_error,
    }


def lease_fields(lease: Lease) -> dict[str, object]:
    """Return the fields of a lease of `why`."""
    return {
        "what": lease.what,
        "pod": lease.pod,
        "since": lease.since,
        "until": lease.until,
        "seconds_left": round(lease.seconds_left, 3),
    }


def interaction_fields(row: PendingInteraction) -> dict[str, object]:
    """Return the fields of `show`."""
    return {
        **summary_fields(row),
        "request_key": row.request_key,
        "answer": row.answer,
        "delivery_key": row.delivery_key,
        "delivered_at": row.delivered_at,
        "withdrawn_at": row.withdrawn_at,
        "outcome": row.outcome,
        "default_answer": row.default_answer,
        "posted_at": row.posted_at,
        "remind_every": None if row.remind_every is None else in_one_unit(row.remind_every),
        "reminders_left": row.reminders_left,
        "escalate_at": row.escalate_at,
        "escalate_to": row.escalate_to,
        "escalated_at": row.escalated_at,
        "card": row.card,
        "payload": row.payload,
    }
