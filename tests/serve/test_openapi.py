"""Requests made from the served OpenAPI document: what it says of them and of their responses holds."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from pendingctl.demo.slack_server import FakeSlack
from tests.processes import printed

from .pods import TOKEN, configuration, served
from .test_streams import STREAMS

pytestmark = pytest.mark.once

EXAMPLES = 20
# Of the minutes that a busy machine takes.
WITHIN = 400.0
# Of an open question's end nobody waits for here.
PARAMETERS = "[parameters]\nwait = 0\n"


@pytest.mark.early
async def test_what_the_document_says_holds(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    """With requests that it allows, such that it does not, and sequences of them.

    Of schemathesis' checks one is left out, that each allowed question is taken: a schema knows no rules of schedules.
    """
    (tmp_path / "schemathesis.toml").write_text(PARAMETERS, encoding="utf-8")
    async with served(configuration(slack_url=slack.url, worker_url=None, more=STREAMS), dsn, tmp_path) as pod:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{pod.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {TOKEN}", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--exclude-checks", "positive_data_acceptance", "--max-examples", str(EXAMPLES)),
            *("--generation-deterministic", "--continue-on-failure", "--no-color"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        said, _ = await printed(process, within=WITHIN)

        assert process.returncode == 0, said.decode()
        assert not [line for line in pod.lines if "exception" in line or "is_no_json" in line]
