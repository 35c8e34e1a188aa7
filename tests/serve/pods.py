"""Pods of `pendingctl serve` for the organizations acme and globex, whose log the tests read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pendingctl.demo.pods import Pod, running

ROOT = Path(__file__).parents[2]
TOKEN = "acme-token-of-32-random-characters"
OTHER_TOKEN = "globex-token-of-32-random-charact"
SIGNING_SECRET = "acme-signing-secret-of-32-characters"


def configuration(
    *,
    slack_url: str,
    worker_url: str | None,
    delay: str = "1s",
    within: str = "8s",
    public_port: int = 0,
    internal_port: int = 0,
    sweep: str = "",
    slack: str = "",
    more: str = "",
) -> str:
    """The configuration of a pod for the organizations acme (T1) and globex (T2)."""
    worker = (
        f'[worker]\nurl = "{worker_url}"\nsecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\n' if worker_url else ""
    )
    return f"""
application = "deploys"
{sweep}

[database]
dsn = {{ env = "SERVE_DSN" }}
connections = 10

[public]
listen = "127.0.0.1:{public_port}"

[internal]
listen = "127.0.0.1:{internal_port}"

{worker}
[shutdown]
delay = "{delay}"
within = "{within}"

[logs]
format = "json"

[slack]
base_url = "{slack_url}"
reply_base = "{slack_url.removesuffix("/api/")}"
{slack}

[slack.apps.A1]
signing_secrets = [{{ env = "SLACK_SIGNING_SECRET" }}]

[organizations.acme]
token_sha256 = ["{hashlib.sha256(TOKEN.encode()).hexdigest()}"]

[organizations.acme.connections.slack]
app = "A1"
team = "T1"
token = "xoxb-acme"

[organizations.globex]
token_sha256 = ["{hashlib.sha256(OTHER_TOKEN.encode()).hexdigest()}"]

[organizations.globex.connections.slack]
app = "A1"
team = "T2"
token = "xoxb-globex"
{more}
"""


@dataclass(frozen=True)
class ServedPod(Pod):
    """One process. `lines` are what it has logged, each parsed."""

    lines: list[dict[str, object]] = field(default_factory=list)


@asynccontextmanager
async def served(text: str, dsn: str, folder: Path, *, wait: bool = True) -> AsyncIterator[ServedPod]:
    """A pod with this configuration; ready, unless it is not waited for."""
    file = folder / f"serve-{os.urandom(4).hex()}.toml"
    file.write_text(text, encoding="utf-8")
    environment = {"SERVE_DSN": dsn, "SLACK_SIGNING_SECRET": SIGNING_SECRET, "PYTHONPATH": str(ROOT)}
    lines: list[dict[str, object]] = []
    async with running(file, environment, lambda line: lines.append(_parsed(line))) as pod:
        if wait:
            await pod.ready()
        yield ServedPod(pod.process, pod.public_port, pod.internal_port, lines)


def _parsed(line: str) -> dict[str, object]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {"message": line, "is_no_json": True}
    return parsed if isinstance(parsed, dict) else {"message": parsed}
