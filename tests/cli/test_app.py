"""What holds for every command: what it prints where, and its exit code."""

from __future__ import annotations

import re
import socket
import sys
import tomllib
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import __version__
from pendingctl.schema import migrations
from pendingctl.words import age, in_one_unit
from tests.commands import QUESTION, SCOPE, Cli, complaint, run

# Every command without its database.

COMMANDS: dict[str, tuple[str, ...]] = {
    "migrate": (),
    "enqueue": QUESTION,
    "claim": ("q", *SCOPE),
    "delete": ("q", *SCOPE, "--yes"),
    "list": (),
    "show": ("q",),
    "stats": (),
    "sweep": (),
    "stream": ("list",),
    "limit": ("show", "k", "--org", "acme", "--rate", "1", "--per", "1h"),
    "diff-schema": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_database_the_error_names_the_ways_to_give_one(command: str) -> None:
    assert "PENDINGCTL_DSN" in complaint(run(command, *COMMANDS[command]), 2)


@pytest.mark.parametrize("command", [*COMMANDS, "simulate-race"])
def test_a_malformed_dsn_is_not_quoted(command: str) -> None:
    arguments = COMMANDS.get(command, ())
    result = run(command, *arguments, "--dsn", "postgresql://u:s3cret@h/d?nosuch=1")

    assert "s3cret" not in result.output
    assert result.exit_code == 2
    assert "malformed" in result.stderr


@pytest.mark.parametrize("command", [*COMMANDS, "simulate-race"])
def test_a_database_that_is_down_is_exit_code_3(command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dsn = f"host=127.0.0.1 port={taken.getsockname()[1]} password=s3cret"
        result = run(command, *COMMANDS.get(command, ()), "--dsn", dsn)

    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    assert "s3cret" not in result.output


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("migrate", "diff-schema")])
def test_a_database_that_is_not_migrated_is_reported_with_the_remedy(command: str, empty_dsn: str) -> None:
    assert "run: pendingctl migrate" in complaint(run(command, *COMMANDS[command], "--dsn", empty_dsn), 3)


@pytest.mark.parametrize("command", ["list", "show", "stats"])
@pytest.mark.law(10)
def test_inspection_needs_no_right_to_write(cli: Cli, command: str, connection: psycopg.Connection, dsn: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    role = f"oncall_{connection.info.dbname}"
    connection.execute(f"create role {role} login")
    connection.execute(f"grant select on pending_interactions to {role}")
    try:
        result = run(command, *COMMANDS[command], "--dsn", make_conninfo(dsn, user=role))
        assert (result.exit_code, result.stderr) == (0, "")
        assert "permission denied" in complaint(run("sweep", "--dsn", make_conninfo(dsn, user=role)), 3)
    finally:
        connection.execute(f"drop owned by {role}")
        connection.execute(f"drop role {role}")


# Optional parts.


def test_a_missing_part_is_named_with_the_line_that_installs_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)
    assert "pip install 'pendingctl[schema]'" in complaint(cli("diff-schema"), 2)

    monkeypatch.setattr("pendingctl.embedded.binaries._candidates", lambda: iter(()))
    for arguments in (("simulate-race",), ("list", "--dsn", "embedded")):
        assert "pip install 'pendingctl[embedded]'" in complaint(cli(*arguments), 2)


# The program as a whole.


def test_version_and_help() -> None:
    assert run("--version").stdout == f"pendingctl {__version__}\n"
    project = tomllib.loads((migrations.migrations_directory().parent / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == __version__
    for command in [*COMMANDS, "simulate-race"]:
        help = run(command, "--help").stdout
        assert re.search(rf"Example: pendingctl {command}", help), help


def test_an_unknown_command_or_option_is_a_usage_error() -> None:
    assert "nonsense" in complaint(run("nonsense"), 2)
    assert "Did you mean 'extend'?" in complaint(run("extent"), 2)
    assert "--nonsense" in complaint(run("list", "--nonsense"), 2)
    assert "--org" in complaint(run("claim", "q"), 2)
    assert run("--nonsense").exit_code == 2
    assert "Commands:" in run().output


def test_a_crash_never_reads_as_a_verdict(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object, **__: object) -> None:
        raise RuntimeError("planted [/]")

    monkeypatch.setattr("pendingctl.store.statistics.Statistics.counts", crash)

    assert "internal error: RuntimeError: planted [/]" in complaint(cli("stats"), 70)
    debugged = cli("--debug", "stats")
    assert debugged.exit_code == 70
    assert "Traceback" in debugged.stderr
    assert "internal error: RuntimeError: planted [/]" in debugged.stderr


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3_725, "1 h 2 min"), (86_400, "1 d"), (187_000, "2 d 3 h")],
)
def test_ages_are_written_as_people_write_them(length: float, text: str) -> None:
    assert age(length) == text


@pytest.mark.parametrize(
    ("length", "text"), [(0, "0s"), (0.25, "0.25s"), (90, "90s"), (1_800, "30m"), (7_200, "2h"), (86_400 * 7, "7d")]
)
def test_lengths_of_time_are_written_as_the_options_take_them(length: float, text: str) -> None:
    assert in_one_unit(timedelta(seconds=length)) == text
