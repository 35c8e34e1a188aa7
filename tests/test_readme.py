"""What README.md shows is true: its commands exist, its examples run, its fields are printed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from inspect import signature
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from pendingctl.cli.app import COMMANDS, app
from pendingctl.cli.diff_schema import diff_schema
from pendingctl.postgres.connections import Pool
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.pods.controls import EXPECTED_CHECKS
from pendingctl.race.streams.checker import STREAM_CHECKS
from pendingctl.race.streams.controls import EXPECTED_STREAM_CHECKS
from pendingctl.race.streams.plan import StreamFaultKind
from pendingctl.race.verdict.checker import CHECKS
from pendingctl.schema_diff import SCRATCH_KINDS
from pendingctl.schema_diff.catalog import OLDEST_MAJOR

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"\| `([a-z-]+)` \|[^\n]*\| `(pendingctl [^`]+)` \|", README)

pytestmark = pytest.mark.usefixtures("patient")


def test_every_command_is_shown_with_an_example() -> None:
    assert sorted(name for name, _ in EXAMPLES) == sorted(COMMANDS)


def test_a_release_of_each_major_version_is_named() -> None:
    (releases,) = re.findall(r"Tested on PostgreSQL ([^:]+):", README)

    assert [int(major) for major in re.findall(r"(\d+)\.\d+", releases)] == list(range(OLDEST_MAJOR, 19))


# Tested elsewhere: these need another database, this one an answer, that one a terminal, the next one a Slack, and the
# last one goes on until its stream ends.
ELSEWHERE = ("migrate", "diff-schema", "ask", "watch", "serve", "stream")


@pytest.mark.parametrize("example", [example for name, example in EXAMPLES if name not in ELSEWHERE])
def test_every_example_runs(example: str, dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENDINGCTL_DSN", dsn)
    scope = ["--org", "acme", "--connection", "slack", "--user", "U1"]
    runner = CliRunner()
    deploy = ["--question", "Deploy?", "--id", "deploy-42", "--expires-in", "1h"]
    runner.invoke(app, ["enqueue", *scope, *deploy], catch_exceptions=False)
    if "redeliver" in example:
        runner.invoke(app, ["claim", "deploy-42", *scope, "--value", "yes"], catch_exceptions=False)
    if "history/" in example:
        monkeypatch.chdir(tmp_path)
        runner.invoke(app, ["simulate-race", "--questions", "10", "--dsn", dsn, "--history", "history/"])

    result = runner.invoke(app, shlex.split(example)[1:])

    assert result.exit_code == 0, result.output


def test_the_library_example_is_short_and_runs(dsn: str, connection: psycopg.Connection) -> None:
    example, _in_slack, _streams = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert example.count("\n") <= 30

    ended = subprocess.run(
        [sys.executable, "-c", example],
        env={"PENDINGCTL_DSN": dsn, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "U1 said yes to deploy-42, in C7" in ended.stdout
    assert "U2: This question is for somebody else." in ended.stdout
    assert connection.execute("select answer from pending_interactions").fetchone() == ("yes",)


async def test_the_example_of_streams_runs(pool: Pool, connection: psycopg.Connection) -> None:
    _library, _in_slack, example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = compile(example, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    await eval(code, {"pool": pool})

    row = connection.execute("select last_seq, closed_at is not null from pending_stream").fetchone()
    assert row == (3, True)


def test_every_commands_output_of_streams_is_as_shown(dsn: str, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```console\n(\$ printf.*?)```", README, re.DOTALL)
    (tmp_path / "pendingctl").write_text(f'#!/bin/sh\nexec {sys.executable} -m pendingctl "$@"\n')
    (tmp_path / "pendingctl").chmod(0o755)
    for command, said in re.findall(r"\$ (.*)\n((?:[^$].*\n)*)", shown):
        ended = subprocess.run(
            ["sh", "-c", command],
            env={"PENDINGCTL_DSN": dsn, "PYTHONPATH": str(ROOT), "PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stdout + ended.stderr == said


def test_every_check_fault_and_control_of_a_race_is_explained() -> None:
    explained = README.split("## What simulate-race proves")[1].split("\n## ")[0]
    for name in (*CHECKS, *FaultKind):
        assert f"| `{name}` |" in explained
    for name in EXPECTED_CHECKS:
        assert name in explained


def test_every_check_fault_and_control_of_a_race_on_streams_is_explained() -> None:
    explained = README.split("## What simulate-race --streams proves")[1].split("\n## ")[0]
    for name in (*STREAM_CHECKS, *StreamFaultKind):
        assert f"| `{name}` |" in explained
    for name, check in EXPECTED_STREAM_CHECKS.items():
        assert f"| `{name}` | `{check}` |" in explained


def test_every_option_of_diff_schema_is_explained() -> None:
    explained = README.split("## What diff-schema compares")[1].split("\n## ")[0]
    for name in signature(diff_schema).parameters:
        if name not in ("context", "output"):
            assert f"| `--{name.replace('_', '-')}" in explained
    for kind in SCRATCH_KINDS:
        assert f"| `{kind}` |" in explained


def test_every_check_of_doctor_is_explained(dsn: str) -> None:
    explained = README.split("## What doctor checks")[1].split("\n## ")[0]
    found = json.loads(CliRunner().invoke(app, ["doctor", "--dsn", dsn, "-o", "json"]).stdout)

    for check in found["checks"]:
        assert re.search(rf"^\| .*`{check['check']}`.* \|", explained, re.MULTILINE), check["check"]
        assert f" {check['check']} " in explained
    for field in (*found, *found["checks"][0]):
        assert f"{field}`" in explained or f"`{field}" in explained


def test_the_line_of_a_file_can_be_stored(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENDINGCTL_DSN", dsn)
    (line,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)

    assert CliRunner().invoke(app, ["enqueue", "--file", "-"], input=line).exit_code == 0


def test_the_two_commands_and_the_files_of_the_map_exist() -> None:
    for name in re.findall(r"`(scripts/[a-z]+)`|^\$ (scripts/[a-z]+)", README, re.MULTILINE):
        assert (ROOT / "".join(name)).is_file()
    for cell in re.findall(r"^\| (`[^|]+`) \|", README.split("## Map")[1], re.MULTILINE):
        for path in re.findall(r"`([^`]+)`", cell):
            assert (ROOT / path).exists(), path
