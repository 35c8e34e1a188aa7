"""The command line as a process: signals, closed pipes, terminals, and what it costs to start."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from array import array
from io import FileIO
from subprocess import PIPE
from typing import TextIO

import psycopg
import pytest

from tests.cli.terminals import written
from tests.commands import running, signalled
from tests.events.writers import append
from tests.locks import until_one_waits_for_a_lock
from tests.processes import ending

COMMAND = [sys.executable, "-m", "pendingctl"]
ENQUEUE = [*COMMAND, "enqueue", "--org", "acme", "--connection", "slack", "--user", "U1", "--question", "Deploy?"]
LINE = b"""{"organization_id": "acme", "connection_id": "slack", "expected_user_id": "U1", "question": "Deploy?"}
"""


@pytest.fixture
def environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "PENDINGCTL_DSN": dsn}


def until_taken(lines: TextIO) -> None:
    """Until nothing is left in a pipe."""
    left = array("i", [0])
    for _ in range(6_000):
        fcntl.ioctl(lines, termios.FIONREAD, left)
        if not left[0]:
            return
        time.sleep(0.01)
    raise AssertionError("nobody has read the lines")


def until_no_session_works(connection: psycopg.Connection) -> None:
    """The server finds a moment later that a client is gone."""
    working = (
        "select from pg_stat_activity where application_name like 'pendingctl%' "
        "and datname = current_database() and state <> 'idle'"
    )
    for _ in range(3_000):
        if connection.execute(working).fetchone() is None:
            return
        time.sleep(0.01)
    raise TimeoutError("a session still works for a command that has ended")


@pytest.mark.parametrize(("sent", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_and_leaves_nothing_half_done(
    dsn: str, environment: dict[str, str], connection: psycopg.Connection, sent: signal.Signals, exit_code: int
) -> None:
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)"
        " values ('q-2000', 'acme', 'slack', 'U1', '{}')"
    )
    with psycopg.connect(dsn) as blocking:
        blocking.execute("select from pending_interactions for update")
        command = subprocess.Popen(
            [*ENQUEUE, "--id", "q", "--count", "3000"], env=environment, stderr=subprocess.PIPE, text=True
        )
        with ending(command):
            until_one_waits_for_a_lock(connection)

            command.send_signal(sent)
            _, stderr = command.communicate(timeout=60)

    assert command.returncode == exit_code
    assert stderr == ""
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (1,)
    until_no_session_works(connection)


@pytest.mark.parametrize(("sent", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_that_waits_for_lines_and_leaves_nothing_half_done(
    environment: dict[str, str], connection: psycopg.Connection, sent: signal.Signals, exit_code: int
) -> None:
    read_end, write_end = os.pipe()
    with (
        os.fdopen(read_end) as lines,
        FileIO(write_end, "wb") as writing,
        subprocess.Popen([*COMMAND, "enqueue", "--file", "-"], env=environment, stdin=lines, stderr=PIPE) as command,
    ):
        writing.write(LINE)
        until_taken(lines)

        command.send_signal(sent)
        try:
            _, stderr = command.communicate(timeout=60)
        finally:
            command.kill()
    assert (command.returncode, stderr) == (exit_code, b"")
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)


@pytest.mark.parametrize(
    ("command", "before"),
    [
        (("list", "--all"), signalled("pendingctl.store.inspection", "Inspection", "page")),
        (
            ("stream", "follow", "chat", "--org", "acme"),
            signalled("pendingctl.events.clients", "Subscription", "__anext__"),
        ),
    ],
    ids=["list", "follow"],
)
def test_a_signal_right_before_a_write_ends_a_command_whose_reader_takes_nothing(
    dsn: str, connection: psycopg.Connection, command: tuple[str, ...], before: str
) -> None:
    append(connection, "x" * 10_000)
    connection.execute(
        "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)"
        " select 'q' || n, 'acme', 'slack', 'U1', '{}' from generate_series(1, 100) as n"
    )
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    arguments = (*command, "-o", "jsonl")
    with os.fdopen(reader), os.fdopen(writer, "w") as full, running(dsn, *arguments, stdout=full, before=before) as it:
        _, stderr = it.communicate(timeout=60)

    assert (it.returncode, stderr) == (143, "")


def test_a_closed_pipe_ends_quietly_with_the_commands_own_code(environment: dict[str, str]) -> None:
    subprocess.run([*ENQUEUE, "--count", "2000"], env=environment, stdout=subprocess.DEVNULL, check=True)
    for arguments, exit_code in ((["list", "--limit", "5000"], 0), (["show", "nowhere"], 1)):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as closed:
            ended = subprocess.run(
                [*COMMAND, *arguments], env=environment, stdout=closed, stderr=subprocess.PIPE, text=True, check=False
            )
        assert ended.returncode == exit_code
        assert "Traceback" not in ended.stderr
        assert "BrokenPipe" not in ended.stderr


@pytest.mark.parametrize(("answer", "exit_code", "left"), [("y\n", 0, 0), ("n\n", 2, 1), ("\n", 2, 1), ("\x04", 2, 1)])
def test_on_a_terminal_a_destructive_command_asks(
    environment: dict[str, str], connection: psycopg.Connection, answer: str, exit_code: int, left: int
) -> None:
    subprocess.run([*ENQUEUE, "--id", "q"], env=environment, stdout=subprocess.DEVNULL, check=True)
    ours, theirs = pty.openpty()
    command = subprocess.Popen(
        [*COMMAND, "delete", "q", "--org", "acme", "--connection", "slack", "--user", "U1"],
        env=environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        close_fds=True,
    )
    with ending(command):
        os.close(theirs)
        shown = written(ours, b"[y/N]")
        os.write(ours, answer.encode())
        command.communicate(timeout=60)
    os.close(ours)

    assert b"Delete question q of organization acme on host=" in shown
    assert command.returncode == exit_code
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (left,)


def test_off_a_terminal_a_sweep_runs(environment: dict[str, str], connection: psycopg.Connection) -> None:
    subprocess.run([*ENQUEUE, "--count", "3"], env=environment, stdout=subprocess.DEVNULL, check=True)
    connection.execute("update pending_interactions set created_at = now() - interval '2 days'")

    swept = subprocess.run(
        [*COMMAND, "sweep"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )

    assert (swept.stdout, swept.stderr) == ("deleted 3 rows in 1 batch; 0 remain\n", "")


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--version"], {"typer", "rich", "psycopg", "yoyo", "asyncio", "pglast"}),
        (["--help"], {"rich", "psycopg", "yoyo", "asyncio", "pglast"}),
        (
            ["list", "-o", "json"],
            {"rich", "psycopg_pool", "yoyo", "pglast", "pendingctl.cli.sweep", "pendingctl.store.store"},
        ),
        (["stats", "-o", "json"], {"rich", "psycopg_pool", "yoyo", "pglast"}),
        (["doctor", "-o", "json"], {"rich", "psycopg_pool", "aiohttp", "slack_sdk", "tomllib", "pendingctl.serve"}),
    ],
)
def test_a_start_imports_only_what_it_uses(
    environment: dict[str, str], arguments: list[str], forbidden: set[str]
) -> None:
    program = (
        "import sys\n"
        "from pendingctl.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print(*({forbidden} & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=True
    )

    assert ended.stderr.split() == []
