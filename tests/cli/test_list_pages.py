"""Long lists: pages, how many there are, all of them as a stream, and names that nothing has."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.cli import list as list_command
from pendingctl.store import inspection
from tests.commands import QUESTION, SCOPE, Cli, complaint, document, make_older, running


def store_seven(cli: Cli, connection: psycopg.Connection) -> list[str]:
    """Seven questions, a minute apart: their ids, the oldest first."""
    cli("enqueue", *QUESTION, "--id", "q", "--count", "7")
    connection.execute(
        "update pending_interactions set created_at = now() - (10 - right(id, 1)::int) * interval '1 minute'"
    )
    return [f"q-{number}" for number in range(1, 8)]


def test_a_list_that_is_cut_says_how_many_there_are_and_how_to_go_on(cli: Cli, connection: psycopg.Connection) -> None:
    ids = store_seven(cli, connection)

    first = cli("list", "--limit", "3", "-o", "jsonl")
    said = re.fullmatch(
        r"note: 3 of 7 shown; for the next ones add --after (\S+), for all of them --all -o jsonl\n", first.stderr
    )
    assert said
    second = document(cli("list", "--limit", "3", "--after", said[1], "-o", "json"))
    third = cli("list", "--limit", "3", "--after", second["after"], "-o", "csv")

    assert (second["truncated"], second["total"], second["total_is_estimate"]) == (True, 7, False)
    assert third.stderr == ""
    shown = [json.loads(line) for line in first.stdout.splitlines()] + second["rows"]
    assert [row["id"] for row in [*shown, *csv.DictReader(io.StringIO(third.stdout))]] == ids
    assert "note: the next 2 of 7 shown" in cli("list", "--limit", "2", "--after", said[1]).stderr


def test_large_numbers_are_marked_as_estimates(
    cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_seven(cli, connection)
    monkeypatch.setattr(inspection, "REMAINING_CAP", 5)

    assert "note: 2 of about 7 shown" in cli("list", "--limit", "2").stderr
    assert document(cli("list", "--limit", "2", "-o", "json"))["total_is_estimate"] is True


def test_lists_are_sorted_as_told(cli: Cli, connection: psycopg.Connection) -> None:
    ids = store_seven(cli, connection)
    connection.execute("update pending_interactions set expires_at = now() + '1 h' where id = 'q-2'")
    connection.execute("update pending_interactions set expires_at = now() + '2 h' where id = 'q-1'")

    def sorted_by(sort: str) -> list[str]:
        return [row["id"] for row in document(cli("list", "--sort", sort, "-o", "json"))["rows"]]

    assert sorted_by("oldest") == ids
    assert sorted_by("newest") == ids[::-1]
    assert sorted_by("due") == ["q-2", "q-1"]


def test_filters_take_a_time_ago_or_a_time(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "old")
    make_older(connection, 30)
    cli("enqueue", *QUESTION, "--id", "new", "--conversation", "C7")
    cli("claim", "new", *SCOPE, "--value", "yes")
    connection.execute("update pending_interactions set delivery_error = 'HTTP 500' where id = 'new'")
    row = connection.execute("select (now() - interval '1 hour')::text").fetchone()
    assert row is not None

    def ids(*options: str) -> list[str]:
        return [row["id"] for row in document(cli("list", "-o", "json", *options))["rows"]]

    for time in ("1h", row[0], row[0].replace(" ", "T")):
        assert (ids("--since", time), ids("--until", time)) == (["new"], ["old"])
    assert ids("--since", "2d", "--until", "1d") == ["old"]
    assert ids("--since", "2020-01-01") == ["old", "new"]
    assert ids("--answered-by", "U1") == ids("--error", "http 5") == ids("--conversation", "C7") == ["new"]


@pytest.mark.parametrize("output", ["jsonl", "csv"])
def test_all_rows_are_written_one_by_one(
    cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    ids = store_seven(cli, connection)
    monkeypatch.setattr(list_command, "_ROWS_AT_A_TIME", 3)

    written = cli("list", "--all", "--limit", "1", "-o", output)

    assert (written.exit_code, written.stderr) == (0, "")
    lines = written.stdout.splitlines()
    rows = list(csv.DictReader(lines)) if output == "csv" else [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == ids
    assert rows[0].keys() == document(cli("list", "-o", "json"))["rows"][0].keys()


def test_a_stream_ends_with_its_reader(cli: Cli, dsn: str) -> None:
    cli("enqueue", *SCOPE, "--question", "x" * 2_000, "--id", "q", "--count", "1000")

    with running(dsn, "list", "--all", "-o", "jsonl") as streaming:
        assert streaming.stdout is not None
        assert streaming.stdout.readline().startswith('{"id": "q-')
        streaming.stdout.close()
        assert streaming.wait(timeout=60) == 0
        assert streaming.stderr is not None
        assert streaming.stderr.read() == ""


def test_a_slow_reader_holds_no_transaction(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    cli("enqueue", *SCOPE, "--question", "x" * 2_000, "--id", "q", "--count", "1000")

    with running(dsn, "list", "--all", "-o", "jsonl", stdout=subprocess.PIPE) as streaming:
        assert streaming.stdout is not None
        streaming.stdout.readline()
        # The pipe holds 64 kB of two megabytes.
        sessions = connection.execute(
            "select state from pg_stat_activity"
            " where application_name = 'pendingctl list' and datname = current_database()"
        ).fetchall()
        for _ in range(999):
            streaming.stdout.readline()
        assert streaming.wait(timeout=60) == 0
    assert sessions == [("idle",)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--columns", "id,stat"), "there is no column 'stat'; the columns are: id, state, age, "),
        (("--columns", ""), "there is no column ''"),
        (("--columns", "id", "-o", "json"), "--columns and --wide are the table's; -o json has all fields"),
        (("--wide", "-o", "csv"), "--columns and --wide are the table's"),
        (("--all",), "add -o jsonl or -o csv"),
        (("--all", "-o", "json"), "add -o jsonl or -o csv"),
        (("--after", "q-1"), "'q-1' is no cursor"),
        (("--since", "yesterday"), "--since: 'yesterday' is no time; write 90s, 30m, 24h or 7d for so long ago"),
        (("--until", "99999999d"), "--until: '99999999d' is out of range"),
        (("--sort", "id"), "'id' is not one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_list_cannot_do_is_refused(cli: Cli, options: tuple[str, ...], reason: str) -> None:
    assert reason in complaint(cli("list", *options), 2)


def test_a_list_that_no_index_serves_is_refused_with_what_to_add(
    cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_seven(cli, connection)
    connection.execute("analyze pending_interactions")
    monkeypatch.setattr(inspection, "MOST_READ", 5)

    refused = complaint(cli("list", "--conversation", "C7"), 2)
    assert "about 7 rows would be looked at; add --org and --since" in refused
    assert cli("list", "--conversation", "C7", "--org", "acme", "--since", "1m").exit_code == 0
    # A name that nothing has is the nearer reason.
    assert "there is no organization 'acmee'" in complaint(cli("list", "--conversation", "C7", "--org", "acmee"), 1)


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_a_name_that_nothing_has_is_reported(cli: Cli, connection: psycopg.Connection, output: str) -> None:
    store_seven(cli, connection)

    for options, reason in (
        (("--org", "acmee"), "there is no organization 'acmee'; look for a mistake in --org"),
        (("--application", "shpo"), "application 'shpo' has no question, and no pod has delivered for it"),
        (("--connection", "slak"), "connection 'slak' has no question; look for a mistake in --connection"),
        (("--connection", "slack", "--org", "globex"), "'slack' has no question in organization 'globex'"),
    ):
        assert reason in complaint(cli("list", *options, "-o", output), 1)
    for options in (("--org", "globex"), ("--user", "U2"), ("--connection", "slack", "--state", "stuck")):
        assert cli("list", *options, "-o", output).exit_code == 0
    assert "'acmee'" in complaint(cli("list", "--all", "--org", "acmee", "-o", "jsonl"), 1)


def test_what_a_role_may_not_read_counts_as_known(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    role = f"oncall_{connection.info.dbname}"
    connection.execute(f"create role {role} login")
    connection.execute(f"grant select on pending_interactions to {role}")
    try:
        listed = cli("list", "--org", "acmee", "--dsn", make_conninfo(dsn, user=role))
        assert (listed.exit_code, listed.stdout, listed.stderr) == (0, "no questions\n", "")
    finally:
        connection.execute(f"drop owned by {role}")
        connection.execute(f"drop role {role}")
