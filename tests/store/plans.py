"""The statements of the store with parameters for each, and how the server runs them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import psycopg

from pendingctl.store import (
    card_statements,
    count_statements,
    ending_statements,
    event_statements,
    lease_statements,
    pod_statements,
    post_statements,
    put_statements,
    read_statements,
    remedy_statements,
    statements,
    trail_reads,
    trail_statements,
)

PARAMETERS: dict[str, object] = {
    "id": "q42",
    "organization_id": "acme",
    "connection_id": "slack",
    "expected_user_id": "U1",
    "user_id": "U1",
    "reason": None,
    "payload": "{}",
    "answer": "yes",
    "option": None,
    "delivery_key": "key",
    "ask_number": 1,
    "row_version": "1",
    "max_age": timedelta(hours=24),
    "batch_size": 100,
    "cap": 100,
    "limit": 100,
    "state": None,
    "older_than": None,
    "since": None,
    "since_ago": None,
    "until": None,
    "until_ago": None,
    "answered_by": None,
    "conversation_id": None,
    "after_key": None,
    "after_id": None,
    "with_deadline": False,
    "prefix": "q4",
    "most_read": 10_000,
    "card": None,
    "question_ids": ["q42"],
    "ask_numbers": [1],
    "user_ids": ["U1"],
    "steps": ["refused"],
    "details": ["not_yours"],
    "presses": [1],
    "ages": [0.5],
    "most_an_hour": 20,
    "include_undelivered": False,
    "awaited_by": UUID(int=2),
    "awaited_for": None,
    "expires_in": None,
    "by": timedelta(hours=1),
    "due_within": None,
    "default": None,
    "show": True,
    "remind_every": None,
    "reminders_left": None,
    "escalate_after": None,
    "escalate_to": None,
    "attempt": 1,
    "is_sure": True,
    "most_doubts": 2,
    "endings_kept": timedelta(days=7),
    "outcomes": ["answered"],
    "posting": None,
    "application": "",
    "request_key": None,
    "request_digest": None,
    "tokens": [UUID(int=1)],
    "begun": [True],
    "attempts": [1],
    "reopens": True,
    "most_displaced_keys": 10,
    "lock_timeout": "1s",
    "after": "",
    "busy": [],
    "most_tenants": 20,
    "retired": ["1"],
    "retired_numbers": [1],
    "lease": timedelta(seconds=30),
    "lease_token": UUID(int=1),
    "pod": "pod-1",
    "instance": UUID(int=3),
    "version": "0.1.0",
    "connections": 1,
    "claims": 0,
    "cards": 0,
    "answers": 0,
    "kept": timedelta(hours=1),
    "grouping": None,
    "most_entries": 100,
    "every": timedelta(minutes=5),
    "most_attempts": 20,
    "retry_in": timedelta(seconds=1),
    "permanent": False,
    "error": "worker is down",
    "ids": ["new"],
    "notes": '[{"ask_number": 1, "card": "\\"slack-1\\"", "claimed_at": "2026-01-01T00:00:00+00:00", "attempts": 0}]',
    "organization_ids": ["acme"],
    "connection_ids": ["slack"],
    "expected_user_ids": ["U1"],
    "edit_again": True,
    "payloads": ["{}"],
    "stream": "talk",
    "longest": timedelta(minutes=5),
    "asking": "{}",
}
# What statements share.
PARTS = (
    *("LIMITS", "OUTCOME", "ENDED", "MAY_ANSWER", "IS_BEFORE_ITS_DEADLINE", "REMIND_EVERY"),
    *("EVENTS_WAIT", "ENDING_IS_TO_BE_APPENDED"),
    *("STATE", "UNPOSTED", "OF_PART", "AGES", "IS_KEPT"),
    *("WITHDRAWN", "EXTENDED", "MAY_BE_EXTENDED", "EXPIRES_AS_ISO", "REDELIVERED"),
)
STATEMENTS = {
    name: cast("str", statement)
    for module in (
        statements,
        put_statements,
        ending_statements,
        lease_statements,
        event_statements,
        card_statements,
        post_statements,
        pod_statements,
        read_statements,
        count_statements,
        remedy_statements,
        trail_reads,
        trail_statements,
    )
    for name, statement in vars(module).items()
    if name.isupper() and name[0] != "_" and name not in PARTS
}


def plan_nodes(connection: psycopg.Connection, statement: str, **changed: object) -> list[dict[str, Any]]:
    """The nodes of a statement's plan, from the top."""
    row = connection.execute(f"explain (format json) {statement}", {**PARAMETERS, **changed}).fetchone()
    assert row is not None
    waiting = [row[0][0]["Plan"]]
    nodes = []
    while waiting:
        node = waiting.pop(0)
        nodes.append(node)
        waiting += node.get("Plans", [])
    return nodes


def buffers(connection: psycopg.Connection, statement: str, **changed: object) -> int:
    """How many pages a statement reads, in memory or from the disk, also those that it changes."""
    with connection.transaction(force_rollback=True):
        row = connection.execute(
            f"explain (analyze, buffers, format json) {statement}", {**PARAMETERS, **changed}
        ).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def scans_of_rows(connection: psycopg.Connection, statement: str, **changed: object) -> list[dict[str, Any]]:
    """The nodes of a plan that read rows of the table."""
    return [
        node
        for node in plan_nodes(connection, statement, **changed)
        if node.get("Relation Name") == "pending_interactions" and "Scan" in node["Node Type"]
    ]
