"""ask: what it prints, how it ends, and whose the answer is then."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import termios
import time
from pathlib import Path

import psycopg
import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, document, running, signalled

ASK = ("ask", *QUESTION, "--id", "q")
CLAIM = ("claim", "q", *SCOPE)


def until(connection: psycopg.Connection, condition: str) -> None:
    for _ in range(3_000):
        found = connection.execute(f"select from pending_interactions where id = 'q' and {condition}")
        if found.fetchone() is not None:
            return
        time.sleep(0.02)
    raise TimeoutError(condition)


def state(cli: Cli) -> str:
    return str(document(cli("show", "q", "-o", "json"))["state"])


@pytest.mark.parametrize(
    ("value", "options", "exit_code"),
    [("yes", (), 0), ("no", (), 0), ("yes", ("--expect", "yes"), 0), ("no", ("--expect", "yes"), 1)],
)
def test_ask_waits_and_prints_the_answer(
    cli: Cli, dsn: str, connection: psycopg.Connection, value: str, options: tuple[str, ...], exit_code: int
) -> None:
    with running(dsn, *ASK, *options) as asking:
        until(connection, "true")
        cli(*CLAIM, "--value", value)
        out, _ = asking.communicate(timeout=60)

    assert (out, asking.returncode, state(cli)) == (f"{value}\n", exit_code, "claimed")


def test_ask_ends_when_nobody_answers_in_time(cli: Cli) -> None:
    result = cli(*ASK, "--timeout", "1s")

    assert (result.stdout, result.exit_code) == ("", 4)
    assert "note: nobody answered q in time; it has expired\n" in result.stderr
    assert state(cli) == "expired"


def test_ask_ends_when_its_question_is_withdrawn(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    with running(dsn, *ASK, "-o", "json") as asking:
        until(connection, "true")
        cli("withdraw", "q", *SCOPE, "--yes")
        out, errors = asking.communicate(timeout=60)

    assert asking.returncode == 5
    assert '"reason": "withdrawn"' in out
    assert "q was withdrawn" in errors


def test_ask_refuses_at_once_what_can_never_be_answered(cli: Cli) -> None:
    assert "yes, no" in complaint(cli(*ASK, "--expect", "maybe"), 2)
    missing = cli(*ASK, "--org", "initech")
    assert (missing.stdout, missing.exit_code) == ("", 2)
    assert "initech" in missing.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--default", "maybe"), "the default 'maybe' is none of the options: yes, no"),
        (("--conversation", "C1", "--escalate-after", "10m", "--escalate-to", "U2"), "escalate sooner"),
        (("--conversation", "C1", "--escalate-after", "1m", "--escalate-to", "U1"), "name another user"),
        (("--conversation", "C1", "--escalate-to", "U2"), "both a time and a user"),
        (("--remind-every", "1m"), "have it shown in a conversation"),
    ],
)
def test_ask_refuses_what_cannot_be_kept(cli: Cli, options: tuple[str, ...], reason: str) -> None:
    assert reason in complaint(cli(*ASK, "--timeout", "10m", *options), 2)


def test_ask_names_whoever_answered_once_the_question_was_escalated(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    escalated = ("--conversation", "C1", "--remind-every", "30m", "--escalate-after", "1m", "--escalate-to", "U2")
    with running(dsn, *ASK, *escalated, "-o", "json") as asking:
        until(connection, "post_due_at is not null and remind_every = '30 min'")
        connection.execute("update pending_interactions set escalate_at = now()")
        assert cli(*CLAIM, "--user", "U2", "--value", "yes").exit_code == 0
        out, _ = asking.communicate(timeout=60)

    answer = json.loads(out)
    assert (answer["answer"], answer["outcome"], answer["answered_by"]) == ("yes", "answered", "U2")


@pytest.mark.parametrize("before", [("claim", "--value", "yes"), ("withdraw", "--yes")])
def test_ask_does_not_ask_what_has_ended(cli: Cli, before: tuple[str, ...]) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    command, *options = before
    cli(command, "q", *SCOPE, *options)

    result = cli(*ASK)

    assert (result.stdout, result.exit_code) == ("", 2)
    assert "before; ask under another id" in result.stderr


def test_whoever_asks_an_id_that_somebody_waits_for_is_refused(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    with running(dsn, *ASK) as asking:
        until(connection, "true")
        second = cli(*ASK)
        cli(*CLAIM, "--value", "yes")
        out, _ = asking.communicate(timeout=60)

    assert second.exit_code == 2
    assert "somebody waits for the answer" in second.stderr
    assert (out, asking.returncode) == ("yes\n", 0)


@pytest.mark.parametrize(("sent", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ask_withdraws_its_question_when_it_is_interrupted(
    cli: Cli, dsn: str, connection: psycopg.Connection, sent: signal.Signals, exit_code: int
) -> None:
    with running(dsn, *ASK) as asking:
        until(connection, "true")
        asking.send_signal(sent)
        _, errors = asking.communicate(timeout=60)

    assert asking.returncode == exit_code, errors
    assert state(cli) == "withdrawn"


@pytest.mark.law(6)
def test_an_answer_that_cannot_be_printed_is_the_pods(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    with Path("/dev/full").open("w") as full, running(dsn, *ASK, stdout=full) as asking:
        until(connection, "true")
        cli(*CLAIM, "--value", "yes")
        _, errors = asking.communicate(timeout=60)

    assert (asking.returncode, state(cli)) == (3, "undelivered")
    assert "error: the answer to q cannot be printed (No space left on device); the pods deliver it" in errors
    until(connection, "delivery_due_at <= now()")


@pytest.mark.law(6)
def test_an_answer_that_nobody_reads_is_the_pods(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed, running(dsn, *ASK, stdout=closed) as asking:
        until(connection, "true")
        cli(*CLAIM, "--value", "yes")
        _, errors = asking.communicate(timeout=60)

    assert (asking.returncode, state(cli)) == (3, "undelivered")
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


@pytest.mark.parametrize(("sent", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.law(6)
def test_an_answer_whose_printing_is_interrupted_is_the_pods(
    cli: Cli, dsn: str, connection: psycopg.Connection, sent: signal.Signals, exit_code: int
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    with running(dsn, "ask", *SCOPE, "--question", "Why?", "--id", "q", stdout=writer) as asking:
        until(connection, "true")
        # More than the pipe holds, and nobody reads it.
        cli(*CLAIM, "--value", "x" * 100_000)
        until(connection, "lease_token is not null")
        for _ in range(3_000):
            if _waiting_bytes(reader) == 4_096:
                break
            time.sleep(0.02)
        asking.send_signal(sent)
        _, errors = asking.communicate(timeout=60)
    os.close(reader)
    os.close(writer)

    assert (asking.returncode, state(cli)) == (exit_code, "undelivered")
    assert "Traceback" not in errors


@pytest.mark.law(6)
def test_an_answer_is_the_pods_where_a_signal_comes_right_before_it_is_printed_and_nobody_reads(
    cli: Cli, dsn: str, connection: psycopg.Connection
) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    asked = ("ask", *SCOPE, "--question", "Why?", "--id", "q")
    leased = signalled("pendingctl.store.leases", "Leases", "lease_awaited")
    with os.fdopen(reader), os.fdopen(writer, "w") as full, running(dsn, *asked, stdout=full, before=leased) as asking:
        until(connection, "true")
        cli(*CLAIM, "--value", "x" * 100_000)
        _, errors = asking.communicate(timeout=60)

    assert (asking.returncode, state(cli)) == (143, "undelivered")
    assert "Traceback" not in errors


def _waiting_bytes(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
