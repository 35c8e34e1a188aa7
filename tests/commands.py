"""Commands as tests run them: in this process, with what they print and their exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any, TypeAlias

import psycopg
from typer.testing import CliRunner, Result

from pendingctl.cli.app import app
from tests.processes import ending

Cli: TypeAlias = Callable[..., Result]

SCOPE = ("--org", "acme", "--connection", "slack", "--user", "U1")
QUESTION = (*SCOPE, "--question", "Deploy?", "--option", "yes", "--option", "no")


def run(*arguments: str, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=input)


def signalled(module: str, name: str, method: str) -> str:
    """For `running`: SIGTERM comes when this method has returned, before the event loop has its next turn."""
    return f"""
import os, signal
from {module} import {name}
work = {name}.{method}
async def method(*given, **named):
    done = await work(*given, **named)
    os.kill(os.getpid(), signal.SIGTERM)
    return done
{name}.{method} = method
"""


@contextmanager
def running(
    dsn: str, *arguments: str, stdout: int | IO[Any] = subprocess.PIPE, before: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """A command in a process of its own, killed at the end if it still runs; `before` may change something of it."""
    program = ["-c", f"{before}\nfrom pendingctl.__main__ import main\nmain()"] if before else ["-m", "pendingctl"]
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        env={**os.environ, "PENDINGCTL_DSN": dsn},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ending(process):
        yield process


def document(result: Result) -> dict[str, Any]:
    """The one JSON document on stdout, with nothing beside it."""
    assert result.stderr == "", result.stderr
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def complaint(result: Result, exit_code: int) -> str:
    """The one line on stderr, with nothing on stdout."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def make_older(connection: psycopg.Connection, hours: int) -> None:
    connection.execute(
        "update pending_interactions set created_at = created_at - %(age)s, claimed_at = claimed_at - %(age)s",
        {"age": timedelta(hours=hours)},
    )


def count(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from pending_interactions").fetchone()
    assert row is not None
    return int(row[0])
