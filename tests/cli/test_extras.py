"""Only `serve` pays for what the extras `server`, `slack` and `http` install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pendingctl.cli.app import COMMANDS

OF_THE_EXTRAS = {"starlette", "uvicorn", "h11", "aiohttp", "slack_sdk", "prometheus_client", "httpx"}
SCOPE = ["--org", "acme", "--connection", "slack", "--user", "U1"]
# Runs each command in one process, and stops at the first after which one of the modules is there.
PROGRAM = f"""
import sys
from pendingctl.__main__ import main

for line in sys.stdin:
    sys.argv = ["pendingctl", *line.rstrip("\\n").split("\\t")]
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
    print(sys.argv[1], code, *sorted({OF_THE_EXTRAS} & set(sys.modules)), file=sys.stderr)
"""


def test_no_other_command_imports_what_serve_needs(dsn: str, tmp_path: Path) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text("create table t (id bigint primary key);", encoding="utf-8")
    asked = [*SCOPE, "--question", "Deploy?", "--option", "yes"]
    commands = [
        ["migrate"],
        ["enqueue", *asked, "--id", "q"],
        ["enqueue", *asked, "--id", "r"],
        ["list"],
        ["show", "q"],
        ["why", "q"],
        # It has no end of its own.
        ["watch", "--help"],
        ["stats"],
        ["doctor"],
        ["extend", "q", *SCOPE, "--by", "1h"],
        ["claim", "q", *SCOPE, "--value", "yes"],
        ["answer", "r", "--value", "yes", "--reason", "U1 is away"],
        ["redeliver", "q", "--yes"],
        ["repair-cards", "--card", "never-posted", "--yes"],
        ["withdraw", "q", *SCOPE, "--yes"],
        ["delete", "q", *SCOPE, "--include-undelivered", "--yes"],
        ["ask", *asked, "--timeout", "1s"],
        ["sweep"],
        ["stream", "append", "talk", "--org", "acme", "hello"],
        ["limit", "take", "k", "--org", "acme", "--rate", "1", "--per", "1h"],
        ["simulate-race", "--pods", "1", "--questions", "1", "--clicks", "2", "--history", str(tmp_path / "history")],
        ["check-history", str(tmp_path / "history")],
        ["diff-schema", "--schema", str(schema)],
        # A position in a stream that is gone: it has ended.
        ["stream", "follow", "chat", "--org", "acme", "--after", "1-5"],
    ]

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="".join("\t".join(command) + "\n" for command in commands),
        env={**os.environ, "PENDINGCTL_DSN": dsn},
        capture_output=True,
        text=True,
        check=True,
    )

    ran = [line.split() for line in ended.stderr.splitlines() if line.split(" ")[0] in COMMANDS]
    assert {name for name, *_ in ran} == COMMANDS.keys() - {"serve"}
    # 2 is for what cannot be run at all: nothing would have been imported for its work.
    assert [each for each in ran if each[1] == "2" or each[2:]] == []


def test_serve_imports_all_of_it() -> None:
    program = f"import sys, pendingctl.serve.process\nprint(*({OF_THE_EXTRAS} - set(sys.modules)))"

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout.split() == []
