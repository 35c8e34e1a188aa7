"""list and show: what the person on call sees."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime

import psycopg

from tests.commands import QUESTION, SCOPE, Cli, complaint, document, make_older


def test_list_has_the_promised_fields(cli: Cli) -> None:
    assert document(cli("list", "-o", "json")) == {
        "rows": [],
        "truncated": False,
        "total": 0,
        "total_is_estimate": False,
        "after": None,
    }
    cli("enqueue", *QUESTION, "--id", "q")

    (row,) = document(cli("list", "-o", "json"))["rows"]

    assert (
        row.items()
        >= {
            "id": "q",
            "organization_id": "acme",
            "connection_id": "slack",
            "expected_user_id": "U1",
            "application": "",
            "state": "pending",
            "claimed_at": None,
            "question": "Deploy?",
            "conversation_id": None,
            "answered_by": None,
            "pod": None,
            "delivery_attempts": 0,
            "delivery_due_at": None,
            "delivery_error": None,
            "post_attempts": 0,
            "card_attempts": 0,
            "card_due_at": None,
        }.items()
    )
    assert datetime.fromisoformat(row["created_at"]).tzinfo is not None
    assert 0 <= row["age_seconds"] < 60


def test_list_filters_and_reports_when_it_is_truncated(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "old", "--count", "3")
    make_older(connection, 30)
    cli("enqueue", *QUESTION, "--id", "new", "--org", "globex")
    cli("claim", "old-1", *SCOPE, "--value", "yes", "--take")

    def ids(*options: str) -> list[str]:
        return [row["id"] for row in document(cli("list", "-o", "json", *options))["rows"]]

    assert ids("--state", "stale") == ["old-2", "old-3"]
    assert ids("--state", "claimed") == ["old-1"]
    assert ids("--state", "pending") == ["new"]
    assert ids("--state", "pending", "--max-age", "2d") == ["old-2", "old-3", "new"]
    assert ids("--org", "globex") == ["new"]
    assert ids("--older-than", "29h") == ["old-1", "old-2", "old-3"]
    assert ids("--user", "U2") == []
    assert document(cli("list", "--limit", "2", "-o", "json"))["truncated"] is True
    assert document(cli("list", "--limit", "4", "-o", "json"))["truncated"] is False


def test_every_format_holds_the_same_rows(cli: Cli) -> None:
    cli("enqueue", *SCOPE, "--question", 'a, "b"\nc', "--id", "q", "--count", "2")

    as_json = document(cli("list", "-o", "json"))["rows"]
    as_lines = [json.loads(line) for line in cli("list", "-o", "jsonl").stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(cli("list", "-o", "csv").stdout)))

    unaged = [{**row, "age_seconds": 0} for row in as_json]
    assert [{**row, "age_seconds": 0} for row in as_lines] == unaged
    assert [(row["id"], row["question"]) for row in as_csv] == [(row["id"], row["question"]) for row in as_json]


def test_tables_in_a_pipe_are_never_cut(cli: Cli) -> None:
    id, text = "i" * 255, "word " * 60
    cli("enqueue", *SCOPE, "--question", text, "--id", id)

    (line,) = [line for line in cli("list").stdout.splitlines() if id in line]
    assert text.strip() in line


def test_text_from_the_database_is_neither_markup_nor_control(cli: Cli) -> None:
    text = "[red]a[/red] [/] :rocket: \x1b[31mred\x07 \u202egpj.exe"
    cli("enqueue", *SCOPE, "--question", text, "--id", "[bold]q")

    for shown in (cli("list").stdout, cli("show", "[bold]q").stdout):
        assert "[red]a[/red] [/] :rocket: \\x1b[31mred\\x07 \\u202egpj.exe" in shown
        assert "[bold]q" in shown
        assert "\x1b" not in shown


def test_show_has_the_payload(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    cli("claim", "q", *SCOPE, "--value", "yes", "--take")

    shown = document(cli("show", "q", "-o", "json"))

    assert shown["payload"] == {"question": {"text": "Deploy?", "options": ["yes", "no"]}}
    assert (shown["state"], shown["answer"]) == ("claimed", "yes")
    assert "Answered by U1: yes (20" in cli("show", "q").stdout
    assert "nowhere" in complaint(cli("show", "nowhere"), 1)
