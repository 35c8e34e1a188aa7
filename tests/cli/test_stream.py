"""The commands of streams: what they do, print and refuse."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import nullcontext
from io import BytesIO
from typing import TypeVar

import psycopg
import pytest

from pendingctl.cli import stream as stream_module
from pendingctl.events.model import Appended
from tests.commands import Cli, complaint, document, run, running
from tests.processes import ending

Kept = TypeVar("Kept")

ACME = ("--org", "acme")


def append(cli: Cli, *data: str, name: str = "talk", org: str = "acme") -> None:
    assert cli("stream", "append", name, "--org", org, *data).exit_code == 0


def events(connection: psycopg.Connection) -> list[tuple[int, str, str]]:
    return connection.execute("select seq, type, data from pending_stream_event order by stream_id, seq").fetchall()


def test_events_are_appended_from_arguments_and_from_lines(cli: Cli, connection: psycopg.Connection) -> None:
    assert cli("stream", "append", "talk", *ACME, "a").stdout == "appended 1 event to talk: 1\n"
    result = run("stream", "append", "talk", *ACME, "--type", "token", "-o", "json", input="b c\r\n\n  \nd")

    fields = document(result)
    assert (fields["first_seq"], fields["last_seq"], fields["events"], fields["repeated"]) == (2, 3, 2, False)
    assert fields["cursor"].startswith("3-")
    assert events(connection) == [(1, "message", "a"), (2, "token", "b c"), (3, "token", "d")]


def test_an_append_that_expects_a_position_is_repeated_or_refused(cli: Cli, connection: psycopg.Connection) -> None:
    append(cli, "a")
    again = ("stream", "append", "talk", *ACME, "--expected", "1")
    assert run(*again, input="b\nc\n").stdout == "appended 2 events to talk: 2 to 3\n"
    assert run(*again, input="b\nc\n").stdout == "had appended 2 events to talk: 2 to 3\n"

    assert "at event 3, not at 1 as expected" in complaint(run(*again, "x"), 1)
    assert len(events(connection)) == 3


def test_lines_are_appended_while_more_are_to_come(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("listen pendingctl_stream")
    command = [sys.executable, "-m", "pendingctl", "stream", "append", "talk", *ACME, "--dsn", dsn]
    with ending(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdin is not None
        process.stdin.write("a\n")
        process.stdin.flush()
        assert next(connection.notifies(timeout=60)).channel == "pendingctl_stream"
        assert events(connection) == [(1, "message", "a")]
        out, _ = process.communicate("b", timeout=60)

    assert (process.returncode, out) == (0, "appended 2 events to talk: 1 to 2\n")


def test_lines_that_come_in_for_weeks_are_not_remembered(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [b"a\n"] * 20
    others = len(alive(Appended))
    kept: list[Appended] = []

    class Lines(BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002
            if chunks:
                return chunks.pop()
            kept.extend(alive(Appended))
            return b""

    monkeypatch.setattr(stream_module, "standard_input", lambda: nullcontext(Lines()))
    assert cli("stream", "append", "talk", *ACME).stdout == "appended 20 events to talk: 1 to 20\n"
    assert len(kept) - others <= 3


def alive(kind: type[Kept]) -> list[Kept]:
    """All of this kind in this process but those that nobody can reach any more."""
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, kind)]


@pytest.mark.parametrize(
    ("arguments", "input", "said"),
    [
        (("talk/42", "a"), "", "the stream's name is not 1 to 255"),
        (("talk", ""), "", "the event's data is empty"),
        (("talk", "--type", "", "a"), "", "the event's type has 0 characters"),
        (("talk",), "\n\n", "stdin has no line that is not blank"),
        (("talk", "--expected", "0"), "", "there are no events to append"),
        (("talk",), b"good\n\xff\n", "line 2 of stdin: it is not UTF-8"),
        (("talk",), "x" * (1024 * 1024 + 1) + "\n", "line 1 of stdin: the event's data has 1,048,577 bytes"),
        (("talk",), "x" * (1024 * 1024 + 1), "line 1 of stdin has more than 1,048,576 bytes"),
    ],
)
def test_what_cannot_be_appended_is_refused(
    cli: Cli, arguments: tuple[str, ...], input: str | bytes, said: str
) -> None:
    result = run("stream", "append", *ACME, *arguments, input=input)

    assert said in complaint(result, 2)
    assert document(cli("stream", "list", "-o", "json"))["rows"] == []


def test_more_lines_than_one_append_takes_are_appended(cli: Cli, connection: psycopg.Connection) -> None:
    lines = "".join(f"{number}\n" for number in range(1, 20_002))

    assert cli("stream", "append", "talk", *ACME, input=lines).stdout == "appended 20,001 events to talk: 1 to 20001\n"
    out_of_order = "select count(*) from pending_stream_event where data <> seq::text"
    assert connection.execute(out_of_order).fetchone() == (0,)


@pytest.mark.parametrize("command", ["stream append talk --expected 0", "stream append talk"])
def test_stdin_without_an_end_is_not_read_to_its_end(dsn: str, command: str) -> None:
    endless = "yes" if "--expected" in command else "cat /dev/zero"
    shell = f"{endless} | {sys.executable} -m pendingctl {command} --org acme --dsn '{dsn}'"
    process = subprocess.run(shell, shell=True, capture_output=True, text=True, timeout=120, check=False)

    assert process.returncode == 2
    assert "append at most 10,000 at once" in process.stderr or "more than 1,048,576 bytes" in process.stderr


def test_a_closed_stream_and_a_missing_one_are_refused(cli: Cli) -> None:
    append(cli, "a")
    assert cli("stream", "close", "talk", *ACME).stdout == "closed talk after 1 event\n"

    assert "talk is closed" in complaint(cli("stream", "append", "talk", *ACME, "b"), 1)
    for command in (["show"], ["close"], ["delete", "--yes"], ["delete", "--dry-run"]):
        assert "acme has no stream none" in complaint(cli("stream", command[0], "none", *ACME, *command[1:]), 1)
    assert "organization does not exist" in complaint(cli("stream", "append", "talk", "--org", "nobody", "a"), 1)


def test_streams_are_listed_page_by_page(cli: Cli) -> None:
    for org in ("acme", "globex"):
        for name in ("a", "b~1:x"):
            append(cli, "a", name=name, org=org)

    first = document(cli("stream", "list", "--limit", "3", "-o", "json"))
    second = document(cli("stream", "list", "--limit", "3", "--after", first["after"], "-o", "json"))

    named = [(row["organization_id"], row["name"]) for page in (first, second) for row in page["rows"]]
    assert named == [("acme", "a"), ("acme", "b~1:x"), ("globex", "a"), ("globex", "b~1:x")]
    assert second["after"] is None
    lines = cli("stream", "list", "--org", "globex", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["a", "b~1:x"]
    assert "for the next ones add --after a@acme" in cli("stream", "list", "--limit", "1").stderr
    assert "no cursor of stream list" in complaint(cli("stream", "list", "--after", "a"), 2)


def test_a_stream_is_shown(cli: Cli, connection: psycopg.Connection) -> None:
    append(cli, "a", "b")
    connection.execute("delete from pending_stream_event where seq = 1")

    shown = document(cli("stream", "show", "talk", *ACME, "-o", "json"))

    assert (shown["first_seq"], shown["last_seq"], shown["closed_at"], shown["retention_seconds"]) == (
        2,
        2,
        None,
        86400,
    )
    assert "first_seq" in cli("stream", "show", "talk", *ACME).stdout


def test_a_stream_is_shown_although_the_rings_row_is_gone(cli: Cli, connection: psycopg.Connection) -> None:
    append(cli, "a")
    connection.execute("delete from pending_stream_ring")

    shown = document(cli("stream", "show", "talk", *ACME, "-o", "json"))
    assert (shown["first_seq"], shown["retention_seconds"]) == (1, None)


def test_a_deletion_wants_a_confirmation_and_says_what_it_would_do(cli: Cli, connection: psycopg.Connection) -> None:
    append(cli, "a", "b")

    assert cli("stream", "delete", "talk", *ACME, "--dry-run").stdout == "would delete talk with 2 events\n"
    assert "--yes" in complaint(cli("stream", "delete", "talk", *ACME), 2)
    assert len(events(connection)) == 2
    assert cli("stream", "delete", "talk", *ACME, "--yes", "--purge").stdout == "deleted talk with 2 events\n"
    assert events(connection) == []


def test_a_group_of_commands_has_help_and_knows_its_commands(cli: Cli) -> None:
    assert "append" in cli("stream", "--help").stdout
    assert "No such command 'nothing'" in complaint(cli("stream", "nothing"), 2)


def test_a_database_without_streams_says_to_migrate(empty_dsn: str) -> None:
    with running(empty_dsn, "stream", "list") as process:
        _, said = process.communicate(timeout=60)

    assert (process.returncode, "pendingctl migrate" in said) == (3, True)
