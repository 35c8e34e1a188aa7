"""A command whose stdin, stdout or stderr is closed or full ends quietly, or with one line and a true exit code."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.commands import QUESTION, count, make_older

COMMAND = [sys.executable, "-m", "pendingctl"]

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")  # noqa: PTH110


def shell(redirection: str, *arguments: str, dsn: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command as a shell runs it with this redirection, which closes what `subprocess` cannot."""
    environment = {**os.environ, "PENDINGCTL_DSN": dsn or ""}
    line = f"{shlex.join([*COMMAND, *arguments])} {redirection}"
    return subprocess.run(
        ["/bin/sh", "-c", line],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("redirection", "reason"), [(">/dev/full", "No space left"), (">&-", "Bad file descriptor")])
@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["list"], ["list", "-o", "json"], ["stats"], ["migrate", "--check"]]
)
def test_a_result_that_nobody_gets_is_an_error(dsn: str, redirection: str, reason: str, arguments: list[str]) -> None:
    ended = shell(redirection, *arguments, dsn=dsn)

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: the result could not be written to stdout: {reason}")
    assert ended.stderr.count("\n") == 1


def test_what_a_command_did_stays_done_though_its_result_is_lost(dsn: str, connection: psycopg.Connection) -> None:
    assert shell(">&-", "enqueue", *QUESTION, "--count", "200", dsn=dsn).returncode == 2
    assert count(connection) == 200

    make_older(connection, hours=48)
    assert shell(">/dev/full", "sweep", "--yes", dsn=dsn).returncode == 2
    assert count(connection) == 0


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>&- <&-"])
def test_without_stderr_the_exit_code_alone_speaks(dsn: str, redirection: str) -> None:
    refused = shell(redirection, "show", "nowhere", dsn=dsn)
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", "")

    assert shell(redirection, "list", "--nonsense", dsn=dsn).returncode == 2
    assert shell(redirection, "stats", dsn="host=/nowhere").returncode == 3
    assert shell(redirection, "stats", dsn=dsn).returncode == 0


def test_without_stdin_a_command_that_reads_none_works(dsn: str) -> None:
    assert (shell("<&-", "stats", dsn=dsn).returncode, shell("<&-", "--version").stderr) == (0, "")


def test_a_closed_stdin_is_no_empty_file_and_no_confirmation(dsn: str) -> None:
    read = shell("<&-", "enqueue", "--file", "-", dsn=dsn)
    assert (read.returncode, read.stdout) == (2, "")
    assert read.stderr == "error: cannot read stdin: Bad file descriptor\n"

    confirmed = shell("<&-", "migrate", "--rollback", "1", dsn=dsn)
    assert confirmed.returncode == 2
    assert "there is no terminal to ask on" in confirmed.stderr


def test_with_all_three_closed_no_connection_gets_their_numbers(dsn: str, connection: psycopg.Connection) -> None:
    """What is printed would go to the server as a message of the protocol."""
    ended = shell("<&- >&- 2>&-", "enqueue", *QUESTION, "--id", "q", dsn=dsn)

    assert ended.returncode == 2
    assert count(connection) == 1


@pytest.mark.parametrize(
    ("arguments", "dsn", "exit_code"),
    [
        (["list", "--nonsense"], None, 2),
        (["list"], None, 2),
        (["list"], "host=/nowhere", 3),
        (["list"], "postgresql://u:s3cret@h/d?nosuch=1", 2),
        (["migrate", "--check"], "host=/nowhere", 3),
    ],
)
def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    arguments: list[str], dsn: str | None, exit_code: int
) -> None:
    plain, debugged = shell("", *arguments, dsn=dsn), shell("", "--debug", *arguments, dsn=dsn)

    assert (plain.returncode, debugged.returncode) == (exit_code, exit_code)
    assert debugged.stderr.startswith("Traceback (most recent call last):")
    assert debugged.stderr.endswith(plain.stderr)
    assert "s3cret" not in debugged.stderr


def test_debug_does_not_make_a_refusal_of_the_server_a_finding(dsn: str) -> None:
    ended = shell("", "--debug", "migrate", "--check", dsn=make_conninfo(dsn, user="nobody_of_that_name"))

    assert ended.returncode == 3
    assert "Traceback" in ended.stderr


def test_debug_keeps_a_finding_a_finding(dsn: str) -> None:
    assert shell("", "--debug", "show", "nowhere", dsn=dsn).returncode == 1
