"""The pod in Slack that README.md shows runs as it stands."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import psycopg
import pytest

from pendingctl.demo import presses
from pendingctl.demo.slack_server import FakeSlack
from tests.deliveries import until
from tests.ports import free_port
from tests.posts import row

from .hostile_presses import unsigned
from .presses import SECRET
from .shown import messages
from .test_platform import buttons

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"### In Slack\n(.*?)\n### ", README, re.DOTALL)
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


async def test_the_pod_asks_and_takes_the_answer(
    slack: FakeSlack, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Slack waits for as long as a busy machine takes.
    monkeypatch.setattr(presses, "ACKNOWLEDGE_SECONDS", 20.0)
    port = free_port()
    # The one thing that differs: where Slack is.
    program = EXAMPLE.replace("SlackPlatform({", f"SlackPlatform(base_url={slack.url!r}, tokens={{")
    assert program != EXAMPLE
    environment = {
        "PENDINGCTL_DSN": dsn,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "PORT": str(port),
        "SLACK_BOT_TOKEN": "xoxb-acme",
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_TEAM": "T1",
        "SLACK_USER": "U1",
        "SLACK_CHANNEL": "C1",
    }
    pod = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert pod.stdout is not None
    try:
        async with asyncio.timeout(90):
            assert await pod.stdout.readline() == b"posted\n"
            url = f"http://127.0.0.1:{port}/slack"
            press = slack.delivery("U1", slack.messages()[0], "yes")
            assert (await slack.deliver(unsigned(press), to=url)).status == 401
            pressed = await slack.deliver(press, to=url)
            assert (pressed.status, pressed.body) == (200, b"")
            assert await pod.stdout.readline() == b"U1 said yes to deploy-42\n"
            await until(lambda: "edited" in messages(slack)[0] and len(slack.replies) == 1)
    finally:
        pod.kill()
        await pod.wait()

    assert buttons(messages(slack)[0]) == []
    assert slack.replies[0].text == "You answered: yes"
    assert row(connection, "answer", "deploy-42") == ("yes",)
