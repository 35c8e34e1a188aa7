"""doctor as a command: its formats, its width and its exit codes."""

from __future__ import annotations

import csv
import io
import json
import shlex

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import Result

from pendingctl.cli.doctor_report import report
from pendingctl.diagnosis.findings import Finding, fail, ok, unknown, warn
from pendingctl.doctor import Check
from tests.commands import QUESTION, Cli, complaint, document, make_older, run


def test_a_database_as_it_should_be_has_a_line_for_each_check_and_exit_code_0(cli: Cli) -> None:
    result = cli("doctor")

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "ok       primary       the primary, which takes writes" in lines
    assert lines[-1].startswith("27 checks: ")


def test_every_format_holds_the_same_checks(cli: Cli, connection: psycopg.Connection) -> None:
    connection.execute("drop index idx_pending_interactions_age")

    result = cli("doctor", "-o", "json")
    as_lines = [json.loads(line) for line in cli("doctor", "-o", "jsonl").stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(cli("doctor", "-o", "csv").stdout)))

    assert result.exit_code == 1
    whole = document(result)
    assert whole["verdict"] == "fail"
    (indexes,) = [each for each in whole["checks"] if each["check"] == "indexes"]
    assert list(indexes) == ["check", "verdict", "finding", "remedies", "facts"]
    assert "idx_pending_interactions_age is missing" in indexes["finding"]
    names = [(each["check"], each["verdict"]) for each in whole["checks"]]
    assert [(each["check"], each["verdict"]) for each in as_lines] == names
    assert [(each["check"], each["verdict"]) for each in as_csv] == names


def remedy_of(result: Result, check: str) -> list[str]:
    """The first remedy of a check that fails, as arguments of pendingctl."""
    assert result.exit_code == 1, result.output
    (failing,) = [each for each in document(result)["checks"] if each["verdict"] == "fail" and each["check"] == check]
    program, *arguments = shlex.split(failing["remedies"][0])
    assert program == "pendingctl"
    return arguments


def test_a_missing_migration_is_mended_by_the_command_that_is_named(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENDINGCTL_DSN", empty_dsn)

    assert run(*remedy_of(run("doctor", "-o", "json"), "migrations")).exit_code == 0

    assert run("doctor").exit_code == 0


def test_a_sweep_that_does_not_run_is_made_up_for_by_the_command_that_is_named(
    cli: Cli, connection: psycopg.Connection
) -> None:
    cli("enqueue", *QUESTION)
    make_older(connection, 50)

    swept = cli(*remedy_of(cli("doctor", "-o", "json"), "sweep"))

    assert "deleted 1 row" in swept.stdout
    assert cli("doctor").exit_code == 0


def test_a_database_that_cannot_be_reached_is_no_verdict(dsn: str) -> None:
    assert "does not exist" in complaint(run("doctor", "--dsn", make_conninfo(dsn, dbname="nowhere")), 3)
    assert "malformed" in complaint(run("doctor", "--dsn", "postgresql://a@b@c/d"), 2)


LONG = "a sentence of many words that goes on " * 6 + "to its end"
COMMAND = "select pg_terminate_backend(1234); " * 4 + "done"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut_a_command_stays_on_one_line_and_the_worst_is_last(width: int) -> None:
    from rich.console import Console

    findings: list[Finding] = [fail(LONG, COMMAND), ok("fine"), warn(LONG), unknown("x" * 200)]
    console = Console(width=width)
    with console.capture() as captured:
        console.print(report([Check("transactions", each, None) for each in findings], width), crop=False)
    lines = captured.get().splitlines()

    assert [line.split()[0] for line in lines if line[:1].strip()] == ["ok", "unknown", "warn", "fail", "4"]
    words = " ".join(" ".join(lines).split())
    assert words.count("to its end") == 2
    assert "x" * 200 in words
    assert f"         → {COMMAND}" in lines
    assert all(len(line.rstrip()) <= width for line in lines if "x" * 200 not in line and "→" not in line)
    assert lines[-1] == "4 checks: 1 fail, 1 warn, 1 unknown, 1 ok"
