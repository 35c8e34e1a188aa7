"""Remedies for all rows that a list shows: what is shown and asked first, and what becomes of each row."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from typing import Any

import psycopg
import pytest

from pendingctl.cli import bulk
from pendingctl.cli.filters import page_of
from tests.cli.terminals import written
from tests.cli.test_delivery import answer
from tests.commands import QUESTION, SCOPE, Cli, complaint, document, make_older, running
from tests.locks import until_one_waits_for_a_lock
from tests.processes import ending

REMEDIES = {
    "redeliver": (),
    "withdraw": (),
    "extend": ("--by", "1h"),
    "repair-cards": (),
}


def ids(cli: Cli, *options: str) -> list[str]:
    return [row["id"] for row in document(cli("list", "-o", "json", *options))["rows"]]


def remedied(cli: Cli, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    """The JSON of a remedy that was confirmed."""
    result = cli(*arguments, "--yes", "-o", "json")
    assert result.exit_code == exit_code, result.output
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def outcomes(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["outcome"] for row in result["rows"]}


def rows(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("select pending_interactions::text from pending_interactions order by id").fetchall()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH_SIZE", 3)


# Which rows


@pytest.mark.parametrize("command", REMEDIES)
def test_without_ids_and_filters_nothing_is_touched(cli: Cli, connection: psycopg.Connection, command: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--expires-in", "1h")
    before = rows(connection)

    for further in ((), ("--yes",), ("--dry-run",), ("--max-age", "1h", "--yes")):
        assert "needs ids, or filters" in complaint(cli(command, *REMEDIES[command], *further), 2)
    assert rows(connection) == before


@pytest.mark.parametrize("command", ["withdraw", "extend"])
def test_a_scope_whose_id_a_script_has_lost_is_no_filter(
    cli: Cli, connection: psycopg.Connection, command: str
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--expires-in", "1h")
    before = rows(connection)

    assert "the id is missing" in complaint(cli(command, *SCOPE, *REMEDIES[command], "--yes"), 2)
    assert rows(connection) == before
    assert remedied(cli, command, *SCOPE, "--state", "pending", *REMEDIES[command])["done"] == 1


@pytest.mark.parametrize("command", ["withdraw", "extend"])
def test_an_id_needs_its_whole_scope_and_takes_no_other_filter(cli: Cli, command: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--expires-in", "1h")

    assert "whole scope" in complaint(cli(command, "q", "--org", "acme", *REMEDIES[command]), 2)
    assert "no other filter" in complaint(cli(command, "q", *SCOPE, "--state", "pending", *REMEDIES[command]), 2)


def test_ids_take_no_filters(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert "no other filter" in complaint(cli("redeliver", "q", "--org", "acme", "--yes"), 2)
    assert "no other filter" in complaint(cli("redeliver", "q", "--all-stuck", "--yes"), 2)
    assert "exclude each other" in complaint(cli("redeliver", "--all-stuck", "--state", "claimed", "--yes"), 2)
    assert "take no filter" in complaint(cli("repair-cards", "q", "--org", "acme"), 2)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    "filters",
    [
        ("--org", "acme"),
        ("--state", "stuck"),
        ("--state", "stale"),
        ("--state", "stale", "--max-age", "1h"),
        ("--application", "billing"),
        ("--older-than", "2h"),
        ("--since", "2h"),
        ("--until", "2h"),
        ("--answered-by", "U1"),
        ("--error", "400"),
        ("--conversation", "C7"),
        ("--card", "never-posted"),
        ("--due-before", "2h"),
        ("--user", "U1"),
        ("--connection", "slack"),
    ],
    ids=" ".join,
)
def test_exactly_the_rows_are_taken_that_a_list_shows(
    cli: Cli, connection: psycopg.Connection, filters: tuple[str, ...]
) -> None:
    cli("enqueue", *QUESTION, "--id", "old", "--count", "5")
    make_older(connection, 30)
    cli("enqueue", *QUESTION, "--id", "hours", "--count", "5", "--expires-in", "1h")
    make_older(connection, 3)
    cli("enqueue", *QUESTION, "--id", "bill", "--count", "4", "--application", "billing")
    cli("enqueue", *QUESTION, "--id", "shown", "--count", "4", "--conversation", "C7", "--show")
    cli("enqueue", *QUESTION, "--user", "U2", "--id", "other", "--count", "4", "--connection", "teams")
    answer(connection, "old-1", "infinity")
    answer(connection, "bill-1", "2026-01-01")
    shown = ids(cli, *filters)
    assert shown

    result = cli("repair-cards", *filters, "--yes", "-o", "json")

    assert [row["id"] for row in json.loads(result.stdout)["rows"]] == shown


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("output", ["json", "jsonl", "csv"])
def test_rows_that_leave_the_filter_are_each_taken_once(cli: Cli, connection: psycopg.Connection, output: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "10")
    connection.execute("update pending_interactions set created_at = now() - interval '1 h'")
    shown = ids(cli, "--state", "pending")

    result = cli("withdraw", "--state", "pending", "--yes", "-o", output)

    assert result.exit_code == 0
    match output:
        case "json":
            parsed = json.loads(result.stdout)["rows"]
        case "jsonl":
            parsed = [json.loads(line) for line in result.stdout.splitlines()]
        case _:
            parsed = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["id"] for row in parsed] == shown
    assert {row["outcome"] for row in parsed} == {"withdrawn"}
    assert ids(cli, "--state", "withdrawn") == shown


@pytest.mark.usefixtures("small_batches")
def test_a_question_that_is_asked_while_the_others_are_withdrawn_stays(
    cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "7")

    async def reading_while_others_ask(*arguments: Any, **named: Any) -> Any:
        page = await page_of(*arguments, **named)
        connection.execute(
            "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
            "values (gen_random_uuid()::text, 'acme', 'slack', 'U1', '{}')"
        )
        return page

    monkeypatch.setattr("pendingctl.cli.bulk.page_of", reading_while_others_ask)

    result = remedied(cli, "withdraw", "--state", "pending")

    assert sorted(outcomes(result)) == [f"q-{number}" for number in range(1, 8)]
    assert len(ids(cli, "--state", "pending")) == 4


def test_unknown_names_are_reported_as_a_list_does(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    for command, further in REMEDIES.items():
        assert "no organization 'acmee'" in complaint(cli(command, "--org", "acmee", *further, "--yes"), 1)


# What is shown, and asked


@pytest.mark.parametrize("command", REMEDIES)
def test_off_a_terminal_nothing_is_touched_without_yes(cli: Cli, connection: psycopg.Connection, command: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--expires-in", "1h")
    before = rows(connection)

    assert "repeat with --yes" in complaint(cli(command, "--org", "acme", *REMEDIES[command]), 2)
    assert rows(connection) == before


def test_number_and_first_rows_are_shown_before_anything_is_done(cli: Cli) -> None:
    cli("enqueue", *SCOPE, "--question", "Deploy " + "x" * 200, "--id", "q", "--count", "7")

    withdrawn = cli("withdraw", "--org", "acme", "--yes")

    assert withdrawn.stdout == "7 questions withdrawn\n"
    first, headings, rule, *shown = withdrawn.stderr.splitlines()
    assert first == "7 questions, the first 5:"
    assert headings.split() == ["id", "state", "question"]
    assert [line.split()[:3] for line in shown] == [[f"q-{number}", "pending", "Deploy"] for number in range(1, 6)]
    assert max(map(len, withdrawn.stderr.splitlines())) == len(rule) == 80


@pytest.mark.parametrize("command", REMEDIES)
def test_a_dry_run_shows_the_number_and_the_first_rows_and_does_nothing(
    cli: Cli, connection: psycopg.Connection, command: str
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "7", "--expires-in", "1h")
    before = rows(connection)
    dry = (command, "--org", "acme", *REMEDIES[command], "--dry-run")

    foreseen = document(cli(*dry, "-o", "json"))
    assert (foreseen["total"], foreseen["total_is_estimate"]) == (7, False)
    assert [row["id"] for row in foreseen["rows"]] == [f"q-{number}" for number in range(1, 6)]
    assert cli(*dry).stdout.startswith("7 questions, the first 5:\n")
    assert rows(connection) == before


@pytest.mark.parametrize(("reply", "exit_code", "withdrawn"), [("y\n", 0, 7), ("n\n", 2, 0)])
def test_on_a_terminal_it_asks_below_the_number_and_the_first_rows(
    cli: Cli, dsn: str, reply: str, exit_code: int, withdrawn: int
) -> None:
    cli("enqueue", *SCOPE, "--question", "Deploy " + "x" * 200, "--id", "q", "--count", "7")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = subprocess.Popen(
        [sys.executable, "-m", "pendingctl", "withdraw", "--state", "pending"],
        env={**os.environ, "PENDINGCTL_DSN": dsn, "NO_COLOR": "1", "TERM": "xterm"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    with ending(command):
        os.close(theirs)
        shown = written(ours, b"[y/N]")
        os.write(ours, reply.encode())
        command.communicate(timeout=60)
    os.close(ours)

    *lines, question = re.sub(r"\x1b\[\d*m", "", shown.decode()).split("\r\n")
    assert lines[0] == "7 questions, the first 5:"
    assert max(map(len, lines)) <= 80
    assert question.startswith("Withdraw 7 questions on host=")
    assert command.returncode == exit_code
    assert len(ids(cli, "--state", "withdrawn")) == withdrawn


def test_no_rows_are_nothing_to_ask_about(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert cli("withdraw", "--state", "stuck", "--dry-run").stdout == "no questions\n"
    withdrawn = cli("withdraw", "--state", "stuck", "--yes")
    assert (withdrawn.stdout, withdrawn.stderr, withdrawn.exit_code) == ("0 questions withdrawn\n", "", 0)
    assert remedied(cli, "withdraw", "--state", "stuck") == {
        "rows": [],
        "done": 0,
        "not_done": 0,
        "interrupted": False,
    }


# What becomes of them


def test_what_was_left_is_said_with_its_reason(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "4")
    cli("claim", "q-2", *SCOPE, "--value", "yes")
    cli("withdraw", "q-3", *SCOPE, "--yes")

    result = remedied(cli, "withdraw", "--org", "acme", exit_code=1)

    assert outcomes(result) == {"q-1": "withdrawn", "q-2": "answered", "q-3": "withdrawn", "q-4": "withdrawn"}
    assert [row["done"] for row in result["rows"]] == [True, False, False, True]
    assert (result["done"], result["not_done"]) == (2, 2)
    again = cli("withdraw", "--org", "acme", "--yes")
    assert again.stdout == "0 questions withdrawn; 4 not: 3 withdrawn already, 1 answered already\n"
    assert again.exit_code == 1
    assert cli("withdraw", "--state", "withdrawn", "--yes").exit_code == 0


def test_stuck_endings_of_every_application_are_delivered_again(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "ours")
    cli("enqueue", *QUESTION, "--id", "theirs", "--application", "billing")
    for id in ("ours", "theirs"):
        answer(connection, id, "infinity")

    assert outcomes(remedied(cli, "redeliver", "--all-stuck")) == {"ours": "redelivered"}
    assert outcomes(remedied(cli, "redeliver", "--state", "stuck")) == {"theirs": "redelivered"}
    assert ids(cli, "--state", "undelivered") == ["ours", "theirs"]


def test_deadlines_are_moved_and_reported(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "2", "--expires-in", "1h")
    cli("enqueue", *QUESTION, "--id", "endless")

    result = remedied(cli, "extend", "--org", "acme", "--by", "1d", exit_code=1)

    assert outcomes(result) == {"q-1": "extended", "q-2": "extended", "endless": "no_deadline"}
    expires = {row["id"]: row["expires_at"] for row in result["rows"]}
    assert expires["q-1"] == document(cli("show", "q-1", "-o", "json"))["expires_at"]
    assert expires["endless"] is None
    assert ids(cli, "--due-before", "2h") == []


def test_cards_are_repaired_by_id_and_by_filter(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--conversation", "C7", "--show", "--id", "q", "--count", "3")
    connection.execute("update pending_interactions set post_due_at = 'infinity', post_attempts = 20")
    connection.execute(
        "update pending_interactions set posted_at = now(), card = '1', post_due_at = null, claimed_at = now(), "
        "answer = 'yes', delivered_at = now() where id = 'q-3'"
    )

    repaired = remedied(cli, "repair-cards", "--card", "never-posted")
    assert outcomes(repaired) == {"q-1": "repaired", "q-2": "repaired"}
    assert document(cli("show", "q-1", "-o", "json"))["unposted"] == "to_be_posted"
    assert outcomes(remedied(cli, "repair-cards", "--state", "claimed")) == {"q-3": "nothing_to_repair"}
    assert ids(cli, "--card", "behind") == []
    assert cli("repair-cards", "q-3").stdout == "1 question with a card to be posted or edited now\n"
    assert ids(cli, "--card", "behind") == ["q-3"]
    assert "no question nowhere; nothing was done" in complaint(cli("repair-cards", "q-1", "nowhere"), 1)


@pytest.mark.law(10)
def test_a_dry_run_by_ids_shows_them(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "2")

    assert [row["id"] for row in document(cli("repair-cards", "q-2", "--dry-run", "-o", "json"))["rows"]] == ["q-2"]


# Interruptions


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_lets_the_batch_end_and_reports_what_was_done(
    cli: Cli, dsn: str, connection: psycopg.Connection, signum: signal.Signals, exit_code: int
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "250")
    with psycopg.connect(dsn) as locking:
        locking.execute("lock table pending_interactions in exclusive mode")
        with running(dsn, "withdraw", "--org", "acme", "--yes", "-o", "json") as remedy:
            until_one_waits_for_a_lock(connection)
            remedy.send_signal(signum)
            locking.rollback()
            out, err = remedy.communicate(timeout=60)

    assert remedy.returncode == exit_code, err
    result = json.loads(out)
    assert (result["done"], result["not_done"], result["interrupted"]) == (100, 0, True)
    assert "100 questions withdrawn; interrupted, the others are as they were" in err
    assert "Traceback" not in err
    assert len(ids(cli, "--state", "withdrawn", "--limit", "1000")) == 100


def test_where_the_reader_of_a_pipe_is_gone_the_rest_is_done(cli: Cli, dsn: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "1000")

    with running(dsn, "withdraw", "--org", "acme", "--yes", "-o", "jsonl") as remedy:
        assert remedy.stdout is not None
        remedy.stdout.readline()
        remedy.stdout.close()
        assert remedy.wait(timeout=60) == 0

    assert len(ids(cli, "--state", "withdrawn", "--limit", "1000")) == 1000


@pytest.mark.usefixtures("small_batches")
def test_what_was_done_before_the_database_failed_is_reported(
    cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "7")

    async def reading_until_it_fails(*arguments: Any, after: Any = None, **named: Any) -> Any:
        if after is not None:
            connection.execute("alter table pending_interactions rename to elsewhere")
        return await page_of(*arguments, after=after, **named)

    monkeypatch.setattr("pendingctl.cli.bulk.page_of", reading_until_it_fails)

    failed = cli("withdraw", "--org", "acme", "--yes", "-o", "json")

    assert failed.exit_code == 3
    assert json.loads(failed.stdout)["done"] == 3
    assert "note: 3 questions withdrawn\nerror: " in failed.stderr
