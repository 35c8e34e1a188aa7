"""stats: what the person on call reads first, and what programs read of it."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
from fcntl import ioctl
from termios import TIOCSWINSZ

import psycopg
import pytest

from pendingctl.store import statistics
from tests.cli.terminals import written
from tests.commands import QUESTION, SCOPE, Cli, complaint, document, make_older
from tests.processes import ending


def give_up_on(connection: psycopg.Connection, id: str, error: str) -> None:
    connection.execute(
        "update pending_interactions set delivery_due_at = 'infinity', delivered_at = null, delivery_error = %s "
        "where id = %s",
        [error, id],
    )


def note_pod(connection: psycopg.Connection, name: str, *, seconds_ago: float = 0, version: str = "0.1.0") -> None:
    connection.execute(
        "insert into pending_pods (instance, pod, application, version, seen_at, connections, claims, cards, answers) "
        "values (gen_random_uuid(), %s, '', %s, now() - %s * interval '1 s', 2, 0, 1, 3)",
        [name, version, seconds_ago],
    )


def on_a_terminal(dsn: str, *arguments: str, **environment: str) -> list[str]:
    """The lines that a terminal of 80 columns and 24 lines gets."""
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = subprocess.Popen(
        [sys.executable, "-m", "pendingctl", *arguments],
        env={**os.environ, "PENDINGCTL_DSN": dsn, "TERM": "xterm-256color", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    with ending(command):
        os.close(theirs)
        said = written(ours)
        command.wait(timeout=60)
    os.close(ours)
    return said.decode().splitlines()


def arrange_trouble(cli: Cli, connection: psycopg.Connection) -> None:
    """Of everything that an overview has something."""
    cli("enqueue", *QUESTION, "--count", "120")
    make_older(connection, 25)
    cli("enqueue", *QUESTION, "--id", "q", "--count", "3")
    cli("enqueue", *QUESTION, "--id", "globex", "--org", "globex", "--expires-in", "30m")
    for id in ("q-1", "q-2"):
        cli("claim", id, *SCOPE, "--value", "yes")
    give_up_on(connection, "q-1", "timeout after 3.1 s")
    cli("enqueue", *QUESTION, "--id", "card", "--conversation", "C1", "--show")
    connection.execute("update pending_interactions set post_due_at = 'infinity' where id = 'card'")
    note_pod(connection, "bot-1")
    note_pod(connection, "bot-2", seconds_ago=240, version="0.0.9")


def test_the_overview_says_what_is_wrong(cli: Cli, connection: psycopg.Connection) -> None:
    arrange_trouble(cli, connection)

    said = cli("stats").stdout

    assert re.search(r"^open +123 questions, the oldest 1 d 1 h old, 120 stale, 1 due within the hour$", said, re.M)
    assert re.search(r"^ +older +120 #{40}$", said, re.M)
    assert re.search(r"^ +under 5 min +3 #$", said, re.M)
    assert re.search(r"^cards +1 given up \(pendingctl list --card never-posted\)$", said, re.M)
    assert re.search(r"^deliveries +1 answer to deliver, 1 stuck \(pendingctl list --state stuck\), the", said, re.M)
    assert re.search(r"^last hour +2 answered$", said, re.M)
    assert re.search(r"^answers in +\d.* \(p50\), .* \(p95\), of the last 2$", said, re.M)
    assert re.search(r"^pods +1 alive: bot-1; it holds 1 card, 3 answers$", said, re.M)
    assert re.search(r"^ +1 died: bot-2, 4 min( \d+ s)? ago, with 1 card, 3 answers$", said, re.M)


def test_an_overview_of_nothing_is_short(cli: Cli) -> None:
    said = cli("stats").stdout

    assert "no question" in said
    assert "none alive" in said
    assert "#" not in said


@pytest.mark.parametrize(("environment", "bar", "has_colours"), [({}, "█", True), ({"NO_COLOR": "1"}, "#", False)])
def test_the_overview_fits_a_terminal(
    cli: Cli,
    connection: psycopg.Connection,
    dsn: str,
    environment: dict[str, str],
    bar: str,
    has_colours: bool,
) -> None:
    arrange_trouble(cli, connection)

    lines = on_a_terminal(dsn, "stats", **environment)

    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert len(plain) <= 24
    assert max(map(len, plain)) <= 80
    assert any(bar * 40 in line for line in plain)
    assert any("\x1b[1;31m" in line for line in lines) is has_colours


@pytest.mark.parametrize("by", ["organization", "connection", "user", "application", "error", "pod"])
def test_a_list_by_anything_cuts_nothing_on_a_terminal(
    cli: Cli, connection: psycopg.Connection, dsn: str, by: str
) -> None:
    arrange_trouble(cli, connection)

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in on_a_terminal(dsn, "stats", "--by", by)]

    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]


def test_names_that_leave_no_room_for_numbers_have_a_line_of_their_own(cli: Cli, dsn: str) -> None:
    organization, connection = "o" * 40, "c" * 30
    scope = ("--org", organization, "--connection", connection, "--user", "U1")
    cli("enqueue", "--create-org", *scope, "--question", "Deploy?")

    lines = on_a_terminal(dsn, "stats", "--by", "connection", NO_COLOR="1")

    assert f"{organization}   {connection}" in lines
    assert re.fullmatch(r" +1 +0 +0 +0 +0", lines[lines.index(f"{organization}   {connection}") + 1])


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("organization", [{"organization_id": "acme"}, {"organization_id": "globex"}]),
        (
            "connection",
            [
                {"organization_id": "acme", "connection_id": "slack"},
                {"organization_id": "globex", "connection_id": "slack"},
            ],
        ),
        (
            "user",
            [
                {"organization_id": "acme", "expected_user_id": "U1"},
                {"organization_id": "globex", "expected_user_id": "U1"},
            ],
        ),
        ("application", [{"application": ""}]),
    ],
)
def test_every_format_lists_the_same_groups_the_worst_first(
    cli: Cli, connection: psycopg.Connection, by: str, keys: list[dict[str, str]]
) -> None:
    arrange_trouble(cli, connection)

    found = document(cli("stats", "--by", by, "-o", "json"))

    assert found["by"] == by
    assert [each | key for each, key in zip(found["groups"], keys, strict=True)] == found["groups"]
    first = found["groups"][0]
    assert (first["stuck"], first["last_hour"]["answered"], first["times"]["answers"]) == (1, 2, 2)
    lines = [json.loads(line) for line in cli("stats", "--by", by, "-o", "jsonl").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(cli("stats", "--by", by, "-o", "csv").stdout)))
    for row in (lines, rows):
        assert [{name: each[name] for name in key} for each, key in zip(row, keys, strict=True)] == keys
        assert [int(each["stale"]) for each in row] == [each["stale"] for each in found["groups"]]
    said = cli("stats", "--by", by).stdout
    for key in keys:
        assert any(all((value or "''") in line for value in key.values()) for line in said.splitlines())
    assert re.search(r"^all +3 +120 +1 +1 +2 ", said, re.M)


def test_errors_are_listed_with_an_example(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "2")
    for number in (1, 2):
        cli("claim", f"q-{number}", *SCOPE, "--value", "yes")
        give_up_on(connection, f"q-{number}", f"timeout after {number}.5 s\nerror: forged \x1b[2J")

    said = cli("stats", "--by", "error").stdout
    (group,) = document(cli("stats", "--by", "error", "-o", "json"))["groups"]

    assert re.search(r"^2 deliveries, 2 given up, the oldest \d+ s old; one is q-1$", said, re.M)
    assert "\n  timeout after # s error: forged \\x1b[#\n" in said
    assert (group["trouble"], group["rows"], group["given_up"], group["example"]) == ("delivery", 2, 2, "q-1")
    assert group["next_attempt_seconds"] is None
    cli("enqueue", *QUESTION, "--id", "other", "--application", "other")
    assert cli("stats", "--by", "error", "--application", "other").stdout == "nothing that waits has failed\n"


def test_pods_are_listed_with_what_they_hold(cli: Cli, connection: psycopg.Connection) -> None:
    assert cli("stats", "--by", "pod").stdout == "no pod has noted within the last hour that it lives\n"
    note_pod(connection, "bot-1")
    note_pod(connection, "bot-2", seconds_ago=240)

    said = cli("stats", "--by", "pod").stdout
    pods = document(cli("stats", "--by", "pod", "-o", "json"))["groups"]

    assert re.search(r"^bot-2 +'' +0\.1\.0 .*4 min ago +2 +1 card, 3 answers$", said, re.M)
    assert [(each["pod"], each["is_alive"], each["answers"]) for each in pods] == [
        ("bot-1", True, 3),
        ("bot-2", False, 3),
    ]


def test_estimates_are_marked(cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    arrange_trouble(cli, connection)
    monkeypatch.setattr(statistics, "MOST_COUNTED", 100)

    assert document(cli("stats", "-o", "json"))["estimated"] == ["open"]
    assert re.search(r"^open +~123 questions, the oldest ~1 d 1 h old, ~120 stale", cli("stats").stdout, re.M)
    said = cli("stats", "--by", "organization").stdout
    assert re.search(r"^globex +~1 +~0 +0 +0 +0", said, re.M)
    assert "~ by a sample" in said


def test_an_application_that_nobody_has_is_no_quiet_one(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--application", "shop")

    assert document(cli("stats", "--application", "shop", "-o", "json"))["pending"] == 1
    assert "application 'shpo' has no question" in complaint(cli("stats", "--application", "shpo"), 1)
