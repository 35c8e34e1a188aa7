"""What list shows in a terminal: ids, states and ages whole at every width, and the question in what is left."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest
from rich.cells import cell_len

from tests.commands import SCOPE, Cli, make_older

SHORT = SCOPE
LONG = (
    *("--org", "organization-of-acme-europe"),
    *("--connection", "slack-workspace-T024BE7LD"),
    *("--user", "U024BE7LH-of-the-person-on-call"),
)
IDS = [str(UUID(int=2**127 + number)) for number in range(3)]
TEXT = "Deploy version 4.2 to production? The migration takes four minutes, and the shop is read-only meanwhile."


def listed(dsn: str, columns: int, *options: str, **environment: str) -> list[str]:
    """The lines of `list` in a terminal of so many columns, without colours."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "pendingctl", "list", *options],
        env={**inherited, "TERM": "xterm-256color", "PENDINGCTL_DSN": dsn, **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    ) as command:
        os.close(theirs)
        printed = b""
        while chunk := _read(ours):
            printed += chunk
        os.close(ours)
    assert command.returncode == 0
    return re.sub(r"\x1b\[[\d;]*m", "", printed.decode()).splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux: the other end is closed
        return b""


def enqueue(cli: Cli, scope: Sequence[str], question: str = TEXT, ids: Sequence[str] = IDS) -> None:
    for id in ids:
        stored = cli("enqueue", *scope, "--create-org", "--question", question, "--id", id)
        assert stored.exit_code == 0, stored.output


def make_undelivered_and_nearly_a_day_old(connection: psycopg.Connection) -> None:
    """The longest words that state and age have: undelivered, and 23 h 59 min."""
    make_older(connection, 24)
    connection.execute(
        "update pending_interactions set created_at = created_at + interval '10 seconds', claimed_at = now(), "
        "delivery_due_at = now()"
    )


@pytest.mark.parametrize("scope", [SHORT, LONG], ids=["short scope", "long scope"])
@pytest.mark.parametrize("columns", [80, 100, 120])
def test_list_shows_id_state_and_age_whole_and_cuts_the_question(
    cli: Cli, dsn: str, connection: psycopg.Connection, columns: int, scope: tuple[str, ...]
) -> None:
    enqueue(cli, scope)
    make_undelivered_and_nearly_a_day_old(connection)

    lines = listed(dsn, columns)

    for id in IDS:
        (line,) = [line for line in lines if id in line]
        assert line.startswith(f"{id}   undelivered   23 h 59 min   ")
        assert "Deploy versi" in line
        assert line.endswith("…")
    for name in scope[1::2]:
        assert sum(name in line.split() for line in lines) == len(IDS)
    # The question takes all that is left.
    assert max(map(cell_len, lines)) == columns


def test_list_puts_short_rows_on_one_line_each(cli: Cli, dsn: str) -> None:
    enqueue(cli, SHORT, "Deploy?", ["deploy-1", "deploy-2"])

    heading, _, *rows = listed(dsn, 80)

    assert heading.split() == ["id", "state", "age", "organization", "connection", "user", "question"]
    assert [row.split()[0] for row in rows] == ["deploy-1", "deploy-2"]
    assert [row.split()[-4:] for row in rows] == [["acme", "slack", "U1", "Deploy?"]] * 2


@pytest.mark.parametrize("columns", [30, 80])
def test_an_id_that_is_longer_than_its_column_has_a_line_of_its_own(cli: Cli, dsn: str, columns: int) -> None:
    enqueue(cli, SHORT, TEXT, ["i" * 255, "deploy-1"])

    lines = listed(dsn, columns)

    at = lines.index("i" * 255)
    assert "pending" in lines[at + 1]
    assert any(line.split()[:1] == ["deploy-1"] for line in lines)


def test_wide_characters_keep_the_columns_in_line(cli: Cli, dsn: str) -> None:
    enqueue(cli, SHORT, "本番環境にデプロイしますか？" * 10, ["部署-1", "deploy-2"])

    rows = [line for line in listed(dsn, 80) if "pending" in line]

    assert len({cell_len(row.partition("pending")[0]) for row in rows}) == 1
    assert len({cell_len(row.partition("本番")[0]) for row in rows}) == 1
    assert all(79 <= cell_len(row) <= 80 and row.endswith("…") for row in rows)


def test_a_terminal_without_colours_shows_the_same(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    enqueue(cli, LONG)
    make_older(connection, 1)  # so that the ages, in minutes, stay the same meanwhile

    assert listed(dsn, 80, NO_COLOR="1") == listed(dsn, 80, TERM="dumb") == listed(dsn, 80)


def test_in_a_pipe_nothing_is_cut_even_where_colours_are_forced(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue(cli, LONG, "x" * 150_000, IDS[:1])

    plain = cli("list").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = cli("list").stdout

    for printed in (plain, re.sub(r"\x1b\[[\d;]*m", "", coloured)):
        (line,) = [line for line in printed.splitlines() if IDS[0] in line]
        assert all(name in line for name in (*LONG[1::2], "x" * 150_000))


REASON = "the platform does not know the channel C1; invite the bot to it"


def give_up(connection: psycopg.Connection, id: str) -> None:
    connection.execute(
        "update pending_interactions set post_due_at = 'infinity', post_attempts = 1, post_error = %s where id = %s",
        [REASON, id],
    )


def test_what_was_never_posted_is_listed_with_the_whole_reason(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    for id, shown in (("deploy-1", ()), ("deploy-2", ("--show",)), ("deploy-3", ("--show",))):
        cli("enqueue", *SHORT, "--question", TEXT, "--conversation", "C1", "--id", id, *shown)
    give_up(connection, "deploy-3")
    make_older(connection, 1)

    lines = listed(dsn, 80, "--card", "never-posted")

    assert lines[:3] == ["id         state     age   question", "  organization · connection · user", "  card"]
    assert max(map(cell_len, lines)) == 80
    for id, card in (
        ("deploy-1", "  shown by its caller"),
        ("deploy-2", "  to be posted"),
        ("deploy-3", f"  given up: {REASON}"),
    ):
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{id}   pending   1 h   ")]
        assert lines[at + 1 : at + 3] == ["  acme · slack · U1", card]


def test_reasons_that_fit_stand_on_the_line_of_their_question(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    cli("enqueue", *SHORT, "--question", "Deploy?", "--conversation", "C1", "--id", "deploy-1", "--show")
    give_up(connection, "deploy-1")

    for lines in (
        listed(dsn, 160, "--card", "never-posted"),
        cli("list", "--card", "never-posted").stdout.splitlines(),
    ):
        heading, _, row = lines
        assert heading.split() == ["id", "state", "age", "organization", "connection", "user", "card", "question"]
        assert row.endswith(f"   given up: {REASON}   Deploy?")
