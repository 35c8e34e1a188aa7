"""Questions and what has happened to them, as the tests of `why` arrange them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pendingctl import State
from pendingctl.inspected import Lease, Leased, PendingInteraction, QuestionHistory, Record, Trail
from pendingctl.pods import NotedPod
from pendingctl.trail import Step, TrailEntry

NOW = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
NUMBER = 1 << 30


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def row(**changed: Any) -> PendingInteraction:
    """A question of U1 that was asked ten minutes ago and whose card is there."""
    fields: dict[str, Any] = {
        "id": "q42",
        "organization_id": "acme",
        "connection_id": "slack",
        "expected_user_id": "U1",
        "application": "",
        "state": State.PENDING,
        "created_at": ago(600),
        "claimed_at": None,
        "expires_at": None,
        "age_seconds": 600.0,
        "ask_number": NUMBER,
        "question": "Deploy?",
        "conversation_id": "C7",
        "answered_by": None,
        "pod": None,
        "delivery_attempts": 0,
        "delivery_due_at": None,
        "delivery_error": None,
        "unposted": None,
        "post_attempts": 0,
        "post_due_at": None,
        "post_error": None,
        "card_attempts": 0,
        "card_due_at": None,
        "stream": None,
        "stream_attempts": 0,
        "stream_due_at": None,
        "stream_error": None,
        "payload": {"question": {"text": "Deploy?", "options": ["yes", "no"]}},
        "answer": None,
        "delivery_key": None,
        "delivered_at": None,
        "withdrawn_at": None,
        "outcome": None,
        "default_answer": None,
        "posted_at": ago(590),
        "card": "1",
        "request_key": None,
        "remind_every": None,
        "reminders_left": None,
        "escalate_at": None,
        "escalate_to": None,
        "escalated_at": None,
    }
    return PendingInteraction(**{**fields, **changed})


def entry(step: Step, seconds_ago: float, **changed: Any) -> TrailEntry:
    """A step that was taken so long ago; later ones have greater ids."""
    fields: dict[str, Any] = {
        "id": 1_000_000 - round(seconds_ago * 10),
        "at": ago(seconds_ago),
        "question_id": "q42",
        "ask_number": NUMBER,
        "organization_id": "acme",
        "step": step,
        "pod": "bot-1",
        "user_id": None,
        "connection_id": None,
        "application": None,
        "request_key": None,
        "attempt": None,
        "presses": None,
        "detail": None,
    }
    return TrailEntry(**{**fields, **changed})


def asked(seconds_ago: float = 600, **changed: Any) -> TrailEntry:
    return entry(
        Step.ASKED,
        seconds_ago,
        **{"user_id": "U1", "connection_id": "slack", "application": "", "detail": "created"} | changed,
    )


def pressed(
    detail: str | None, user: str = "U1", seconds_ago: float = 60, *, step: Step = Step.REFUSED, **changed: Any
) -> TrailEntry:
    fields = {"user_id": user, "connection_id": "slack", "application": "", "presses": 1, "detail": detail}
    return entry(step, seconds_ago, **{**fields, **changed})


def leased(what: Leased, seconds_ago: float, seconds_left: float, *, pod: str = "bot-2") -> Lease:
    return Lease(
        question_id="q42",
        what=what,
        pod=pod,
        since=ago(seconds_ago),
        until=ago(-seconds_left),
        seconds_left=seconds_left,
    )


def record(**changed: Any) -> Record:
    fields: dict[str, Any] = {"now": NOW, "since": ago(86_400), "until": NOW, "is_kept": True}
    return Record(**{**fields, **changed})


def history(
    row: PendingInteraction | None,
    *entries: TrailEntry,
    lease: Lease | None = None,
    left_out: int = 0,
    pods: tuple[NotedPod, ...] | None = None,
    **changed: Any,
) -> QuestionHistory:
    return QuestionHistory("q42", row, lease, Trail(entries, left_out), record(**changed), pods)


def noted(pod: str, *, seen: float = 3, up: float = 7_200) -> NotedPod:
    """A pod that was last seen so many seconds ago, of those that it has been up."""
    held = {"connections": 1, "claims": 0, "cards": 0, "answers": 0}
    return NotedPod(pod=pod, application="shop", version="1", up_seconds=up, seen_seconds_ago=seen, **held)
