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

from tests.cli.terminals import written
from tests.commands import SCOPE, Cli, make_older
from tests.processes import ending

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
    command = subprocess.Popen(
        [sys.executable, "-m", "pendingctl", "list", *options],
        env={**os.environ, "TERM": "xterm-256color", "PENDINGCTL_DSN": dsn, **environment},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
    )
    with ending(command):
        os.close(theirs)
        printed = written(ours)
        command.wait(timeout=60)
    os.close(ours)
    assert command.returncode == 0
    return re.sub(r"\x1b\[[\d;]*m", "", printed.decode()).splitlines()


def enqueue(cli: Cli, scope: Sequence[str], question: str = TEXT, ids: Sequence[str] = IDS) -> None:
    for id in ids:
        stored = cli("enqueue", *scope, "--create-org", "--question", question, "--id", id)
        assert stored.exit_code == 0, stored.output


def make_undelivered_and_nearly_a_day_old(connection: psycopg.Connection) -> None:
    """The longest words that state and age have: undelivered, and 23 h 59 min."""
    make_older(connection, 24)
    connection.execute(
        "update pending_interactions set created_at = created_at + interval '55 seconds', claimed_at = now(), "
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

    assert lines[:4] == [
        "id         state     age   question",
        "  organization · connection · user",
        "  attempts · next-attempt",
        "  card",
    ]
    assert max(map(cell_len, lines)) == 80
    for id, attempts, card in (
        ("deploy-1", "  — · —", "  shown by its caller"),
        ("deploy-2", "  0 · now", "  to be posted"),
        ("deploy-3", "  1 · none", f"  given up: {REASON}"),
    ):
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{id}   pending   1 h   ")]
        assert lines[at + 1 : at + 4] == ["  acme · slack · U1", attempts, card]


def test_reasons_that_fit_stand_on_the_line_of_their_question(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    cli("enqueue", *SHORT, "--question", "Deploy?", "--conversation", "C1", "--id", "deploy-1", "--show")
    give_up(connection, "deploy-1")

    for lines in (
        listed(dsn, 180, "--card", "never-posted"),
        cli("list", "--card", "never-posted").stdout.splitlines(),
    ):
        heading, _, row = lines
        assert heading.split()[3:] == [
            *("attempts", "next-attempt"),
            *("organization", "connection", "user", "card", "question"),
        ]
        assert row.endswith(f"   given up: {REASON}   Deploy?")


ERROR = "the worker answered 500: internal server error"


def make_stuck(cli: Cli, connection: psycopg.Connection, ids: Sequence[str]) -> None:
    enqueue(cli, SHORT, TEXT, ids)
    make_older(connection, 1)
    connection.execute(
        "update pending_interactions set claimed_at = now(), answer = 'yes', answered_by = 'U1', pod = 'pod-7', "
        "delivery_due_at = 'infinity', delivery_attempts = 20, delivery_error = %s",
        [ERROR],
    )


def test_one_list_has_the_attempts_pod_and_error_of_fifteen_stuck_answers(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    ids = [f"deploy-{number}" for number in range(10, 25)]
    make_stuck(cli, connection, ids)

    lines = listed(dsn, 80, "--state", "stuck")

    assert lines[:4] == [
        "id          state   age   question",
        "  organization · connection · user",
        "  attempts · next-attempt · pod",
        "  error",
    ]
    for id in ids:
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{id}   stuck   1 h   Deploy")]
        assert lines[at + 1 : at + 4] == ["  acme · slack · U1", "  20 · none · pod-7", f"  {ERROR}"]
    assert max(map(cell_len, lines)) == 80


def test_an_undelivered_answer_has_its_next_attempt(cli: Cli, connection: psycopg.Connection) -> None:
    make_stuck(cli, connection, ["deploy-1"])
    connection.execute("update pending_interactions set delivery_due_at = now() + interval '5 min 30 s'")

    row = cli("list", "--state", "undelivered").stdout.splitlines()[-1]

    assert "   20         in 5 min" in row
    assert f"pod-7   acme           slack        U1     {ERROR}   {TEXT}" in row


def test_a_card_that_is_behind_has_the_attempts_to_edit_it(cli: Cli, connection: psycopg.Connection) -> None:
    make_stuck(cli, connection, ["deploy-1"])
    connection.execute("update pending_interactions set card_due_at = now() - interval '1 s', card_attempts = 3")

    heading, _, row = cli("list", "--card", "behind").stdout.splitlines()

    assert heading.split()[:5] == ["id", "state", "age", "attempts", "next-attempt"]
    assert row.split()[:6] == ["deploy-1", "stuck", "1", "h", "3", "now"]


def test_columns_are_those_that_are_named_in_their_order(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    make_stuck(cli, connection, IDS)

    lines = listed(dsn, 80, "--columns", "state,question,id,answered_by")
    heading, _, *rows = listed(dsn, 80, "--columns", "state,id,answered-by")

    assert lines[:2] == ["state   id                                     question", "  answered-by"]
    assert all(f"stuck   {id}   Deploy version 4" in "\n".join(lines) for id in IDS)
    assert heading.split() == ["state", "id", "answered-by"]
    assert [row.split() for row in rows] == [["stuck", id, "U1"] for id in IDS]
    assert listed(dsn, 60, "--columns", "question,user")[2:] == [f"{TEXT[:52]}…   U1"] * 3
    assert listed(dsn, 80, "--columns", "error,user")[2:] == [f"{ERROR}   U1"] * 3


def test_wide_has_all_that_there_is_on_one_line(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    make_stuck(cli, connection, IDS)

    heading, _, *rows = listed(dsn, 80, "--wide")

    assert cli("list", "--wide").stdout.splitlines()[2:] == rows
    assert {"attempts", "next-attempt", "pod", "answered-by", "error", "created"} <= {*heading.split()}
    assert {"deadline", "card", "application", "conversation"}.isdisjoint(heading.split())
    for id, row in zip(IDS, rows, strict=True):
        assert row.startswith(f"{id}   stuck   1 h   20         none           pod-7   acme")
        assert row.endswith(f"{ERROR}   {TEXT}")
