"""stream follow: as tail -f, over restarts, until the stream's end."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

import psycopg
import pytest

from pendingctl.embedded import throwaway_server
from pendingctl.schema import migrations
from tests.commands import Cli, complaint, running
from tests.events.writers import append, append_numbers, close, turn

FOLLOW = ("stream", "follow", "chat", "--org", "acme")


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def next_record(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found = json.loads(process.stdout.readline())
    assert isinstance(found, dict)
    return found


def test_it_prints_events_and_what_is_gone_and_ends_with_the_stream(cli: Cli, connection: psycopg.Connection) -> None:
    append(connection, "one", "two")
    turn(connection, 1)
    cursor = append(connection, "three\nlines [red]")
    connection.execute("truncate pending_stream_event_0")
    close(connection)

    result = cli(*FOLLOW)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert f"{cursor}  " in result.stdout
    assert "three lines [red]" in result.stdout
    assert "events 1 to 2 are gone" in result.stderr
    assert "ended with event 3" in result.stderr

    result = cli(*FOLLOW, "-o", "jsonl")
    assert [record["kind"] for record in records(result.stdout)] == ["gap", "event", "end"]
    assert records(result.stdout)[1]["data"] == "three\nlines [red]"
    assert result.stderr == ""

    result = cli(*FOLLOW, "-o", "jsonl", "--after", str(cursor))
    assert [record["kind"] for record in records(result.stdout)] == ["end"]

    result = cli(*FOLLOW, "-o", "jsonl", "--after", "1-5")
    assert [record["kind"] for record in records(result.stdout)] == ["reset", "gap", "event", "end"]
    assert "read from its beginning" in cli(*FOLLOW, "--after", "1-5").stderr


@pytest.mark.parametrize(
    "arguments", [("--after", "x"), ("--after", "1-5-7"), ("-o", "csv"), ("-o", "json")], ids=" ".join
)
def test_what_cannot_be_followed_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    complaint(cli(*FOLLOW, *arguments), 2)
    complaint(cli("stream", "follow", "no name", "--org", "acme"), 2)


def test_a_database_without_the_tables_or_that_is_down_is_said_at_once(cli: Cli, empty_dsn: str) -> None:
    assert "migrate" in complaint(cli(*FOLLOW, "--dsn", empty_dsn), 3)
    assert "cannot be reached" in complaint(cli(*FOLLOW, "--dsn", "host=127.0.0.1 port=1"), 3)


def test_it_outlives_a_restart_and_ctrl_c_ends_it() -> None:
    with throwaway_server() as server:
        migrations.apply(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("insert into organization (id) values ('acme')")
            append_numbers(connection, 1, 2)
        with running(server.dsn, *FOLLOW, "-o", "jsonl") as following:
            assert [next_record(following)["seq"] for _ in range(2)] == [1, 2]
            server.restart()
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                append(connection, "three")
                assert next_record(following)["data"] == "three"
                following.send_signal(signal.SIGINT)
                stdout, stderr = following.communicate(timeout=60)
    assert (following.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    assert stderr.count("\n") <= 3


def test_a_reader_of_the_pipe_that_is_gone_ends_it(dsn: str, connection: psycopg.Connection) -> None:
    append(connection, "one")
    with running(dsn, *FOLLOW) as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        following.stdout.close()
        append(connection, "two")
        append(connection, "three")
        assert following.wait(60) == 0
