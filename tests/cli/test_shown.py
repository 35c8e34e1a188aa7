"""Questions that a pod shows, reminds of and escalates: enqueue, and what the person on call sees of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, count, document

SHOWN = (*QUESTION, "--conversation", "C1", "--show")
SCHEDULE = (
    *("--expires-in", "2h", "--default", "no"),
    *("--remind-every", "30m", "--escalate-after", "1h", "--escalate-to", "U2"),
)


def shown(cli: Cli, id: str = "q") -> dict[str, object]:
    return document(cli("show", id, "-o", "json"))


def give_up(connection: psycopg.Connection, id: str = "q") -> None:
    connection.execute(
        "update pending_interactions set post_due_at = 'infinity', post_attempts = 20, post_doubts = 2, "
        "post_error = 'no such channel' where id = %s",
        [id],
    )


def test_show_has_what_is_to_be_posted_of_a_question_and_when(cli: Cli) -> None:
    cli("enqueue", *SHOWN, *SCHEDULE, "--id", "q")

    row = shown(cli)

    asked, escalated, expires = (
        datetime.fromisoformat(str(row[name])) for name in ("created_at", "escalate_at", "expires_at")
    )
    assert (escalated - asked, expires - asked) == (timedelta(hours=1), timedelta(hours=2))
    assert (
        row.items()
        >= {
            "unposted": "to_be_posted",
            "post_due_at": row["created_at"],
            "post_attempts": 0,
            "post_error": None,
            "remind_every": "30m",
            "reminders_left": 10,
            "escalate_to": "U2",
            "escalated_at": None,
            "default_answer": "no",
        }.items()
    )
    table = cli("show", "q").stdout
    assert "remind_every       30m\n" in table
    assert "escalate_to        U2\n" in table


def test_a_question_that_its_caller_shows_has_nothing_to_post(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert {"unposted": "by_caller", "post_due_at": None, "remind_every": None}.items() <= shown(cli).items()


def test_of_a_question_that_has_ended_nothing_is_to_be_posted(cli: Cli) -> None:
    cli("enqueue", *SHOWN, "--id", "q")
    cli("claim", "q", *SCOPE, "--value", "yes", "--take")

    assert {"unposted": None, "post_due_at": None}.items() <= shown(cli).items()
    assert document(cli("stats", "-o", "json"))["cards_to_post"] == 0


def test_show_has_the_stream_and_what_is_to_be_appended_to_it(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--stream", "talk-42")
    assert {"stream": "talk-42", "stream_due_at": None, "stream_error": None}.items() <= shown(cli).items()

    cli("claim", "q", *SCOPE, "--value", "yes", "--take")

    assert shown(cli)["stream_due_at"] is not None
    assert "what became of it is to be appended to its stream now; 0 attempts so far" in cli("show", "q").stdout


def test_what_cannot_be_appended_for_now_is_counted_listed_and_explained(
    cli: Cli, connection: psycopg.Connection
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--stream", "talk-42")
    cli("claim", "q", *SCOPE, "--value", "yes", "--take")
    connection.execute(
        "update pending_interactions set stream_attempts = 3, stream_due_at = now() + interval '90 min', "
        "stream_error = 'the stream is locked'"
    )

    numbers = document(cli("stats", "-o", "json"))
    assert {
        "events_to_append": 1,
        "overdue_events": 0,
        "undelivered": 0,
        "endings_to_tell": 0,
    }.items() <= numbers.items()
    assert "1 question waits for its stream" in cli("stats").stdout
    (group,) = document(cli("stats", "--by", "error", "-o", "json"))["groups"]
    assert {"trouble": "append", "error": "the stream is locked", "example": "q"}.items() <= group.items()
    (row,) = document(cli("list", "--error", "locked", "-o", "json"))["rows"]
    assert {"stream": "talk-42", "stream_attempts": 3, "stream_error": "the stream is locked"}.items() <= row.items()
    assert (
        "talk-42, to be appended to in 1 h 29 min: the stream is locked" in cli("list", "--columns", "id,stream").stdout
    )
    assert "3 attempts so far\n  last error: the stream is locked" in cli("show", "q").stdout
    assert "that is not on its stream talk-42 yet" in document(cli("why", "q", "-o", "json"))["finding"]


def test_all_questions_of_a_file_are_shown_and_have_the_schedule(cli: Cli) -> None:
    lines = [
        {
            "id": id,
            "organization_id": "acme",
            "connection_id": "slack",
            "expected_user_id": "U1",
            "question": "Deploy?",
            "options": ["yes", "no"],
            "conversation_id": "C1",
        }
        for id in ("a", "b")
    ]
    stored = cli("enqueue", "--file", "-", "--show", *SCHEDULE, input="\n".join(map(json.dumps, lines)))

    assert stored.exit_code == 0, stored.output
    for id in ("a", "b"):
        row = shown(cli, id)
        assert (row["unposted"], row["default_answer"], row["remind_every"]) == ("to_be_posted", "no", "30m")
        assert row["escalate_to"] == "U2"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"options": ["go", "stop"]}, "the default 'no' is none of the options: go, stop"),
        ({"expected_user_id": "U2"}, "escalated to 'U2', whom it asks anyway"),
        ({"conversation_id": ""}, "no conversation"),
    ],
)
def test_a_line_that_the_schedule_does_not_fit_is_named_and_nothing_is_stored(
    cli: Cli, connection: psycopg.Connection, changed: dict[str, object], reason: str
) -> None:
    line = {
        "organization_id": "acme",
        "connection_id": "slack",
        "expected_user_id": "U1",
        "question": "Deploy?",
        "options": ["yes", "no"],
        "conversation_id": "C1",
    }
    lines = "\n".join(map(json.dumps, (line, {**line, **changed})))

    error = complaint(cli("enqueue", "--file", "-", "--show", *SCHEDULE, input=lines), 2)

    assert "stdin:2: " in error
    assert reason in error
    assert count(connection) == 0


CONVERSATION = ("--conversation", "C1")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--default", "maybe", "--expires-in", "1h"), "the default 'maybe' is none of the options: yes, no"),
        (("--default", "no"), "the default 'no' needs a deadline"),
        (("--expires-in", "0s"), "above zero"),
        (("--expires-in", "3654d"), "at most 10 years"),
        ((*CONVERSATION, "--show", "--remind-every", "0m"), "above zero"),
        ((*CONVERSATION, "--show", "--escalate-after", "0h", "--escalate-to", "U2"), "above zero"),
        (
            (*CONVERSATION, "--show", "--escalate-after", "1h", "--escalate-to", "U2", "--expires-in", "1h"),
            "escalate sooner",
        ),
        ((*CONVERSATION, "--show", "--escalate-after", "1h", "--escalate-to", "U1"), "name another user"),
        ((*CONVERSATION, "--show", "--escalate-after", "1h"), "both a time and a user"),
        ((*CONVERSATION, "--show", "--escalate-to", "U2"), "both a time and a user"),
        ((*CONVERSATION, "--show", "--escalate-after", "1h", "--escalate-to", ""), "the user to escalate to is empty"),
        ((*CONVERSATION, "--remind-every", "30m"), "have it shown"),
        ((*CONVERSATION, "--escalate-after", "1h", "--escalate-to", "U2"), "have it shown"),
        (("--show",), "the question has no conversation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_kept_is_refused(
    cli: Cli, connection: psycopg.Connection, options: tuple[str, ...], reason: str
) -> None:
    assert reason in complaint(cli("enqueue", *QUESTION, *options), 2)
    assert count(connection) == 0


def test_cards_that_nobody_knows_to_be_posted_are_listed_with_the_reason(
    cli: Cli, connection: psycopg.Connection
) -> None:
    cli("enqueue", *QUESTION, "--id", "by its caller")
    for id in ("waiting", "tried", "given up", "posted"):
        cli("enqueue", *SHOWN, "--id", id)
    give_up(connection, "given up")
    connection.execute(
        "update pending_interactions set post_due_at = now() + interval '1 minute', post_attempts = 1, "
        "post_error = 'the platform is down' where id = 'tried'"
    )
    connection.execute("update pending_interactions set posted_at = now() where id = 'posted'")

    rows = document(cli("list", "--card", "never-posted", "-o", "json"))["rows"]

    assert [(row["id"], row["unposted"], row["post_error"]) for row in rows] == [
        ("by its caller", "by_caller", None),
        ("waiting", "to_be_posted", None),
        ("tried", "to_be_posted", "the platform is down"),
        ("given up", "given_up", "no such channel"),
    ]
    assert [row["post_due_at"] is None for row in rows] == [True, False, False, True]
    stats = document(cli("stats", "-o", "json"))
    assert (stats["cards_to_post"], stats["cards_never_posted"]) == (2, 1)
    assert "2 to post, 1 given up (pendingctl list --card never-posted)" in cli("stats").stdout


def test_a_card_that_was_given_up_is_posted_when_its_question_is_stored_again(
    cli: Cli, connection: psycopg.Connection
) -> None:
    cli("enqueue", *SHOWN, *SCHEDULE, "--id", "q")
    asked = shown(cli)
    give_up(connection)
    assert cli("enqueue", *QUESTION, "--conversation", "C1", "--id", "q").exit_code == 0
    assert shown(cli)["unposted"] == "given_up"  # without --show it stays so

    again = document(cli("enqueue", *SHOWN, "--id", "q", "-o", "json"))

    row = shown(cli)
    assert again["refreshed"] == 1
    assert (row["unposted"], row["post_attempts"]) == ("to_be_posted", 0)
    assert row["post_due_at"] is not None
    kept = ("ask_number", "created_at", "expires_at", "default_answer", "remind_every", "escalate_at", "escalate_to")
    assert {name: row[name] for name in kept} == {name: asked[name] for name in kept}
