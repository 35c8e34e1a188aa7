"""A configuration that is right, and its environment: each test changes one thing of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

import pendingctl.serve
from pendingctl.errors import InvalidInput
from pendingctl.serve.configuration import load, problems

EXAMPLE = Path(pendingctl.serve.__file__).with_name("example.toml")

PASSWORD, SECRET, TOKEN = "planted-password", "planted-signing-secret", "xoxb-planted-token"
WORKER_KEY = "whsec_" + base64.b64encode(b"planted worker key of 32 bytes..").decode()
WORKER_PASSWORD = "planted-worker-password"
STREAM_KEY = "planted-stream-key-of-33-letters."
PLANTED = (PASSWORD, SECRET, TOKEN, WORKER_KEY, WORKER_PASSWORD)
ENVIRON = {
    "PENDINGCTL_DSN": f"postgresql://bot:{PASSWORD}@db.example.com/bot",
    "WORKER_SECRET": WORKER_KEY,
    "SLACK_SIGNING_SECRET": SECRET,
    "SLACK_BOT_TOKEN": TOKEN,
    "STREAM_KEY": STREAM_KEY,
}

RIGHT = """
[public]
listen = "0.0.0.0:3000"
[internal]
listen = "127.0.0.1:3001"
[slack.apps.A1]
signing_secrets = [{ env = "SLACK_SIGNING_SECRET" }]
[organizations.acme.connections.slack]
app = "A1"
team = "T1"
token = { env = "SLACK_BOT_TOKEN" }
"""


# A connection of another organization, of which the workspace is left out.
OTHER = "[organizations.other.connections.two]\ntoken = 'xoxb-2'\napp = 'A1'\n"


def configured(folder: Path, change: tuple[str, str] = ("", ""), *, more: str = "", first: str = "") -> Path:
    """Write the configuration with one text replaced by another, with more below it, or with keys above all tables."""
    old, new = change
    assert old in RIGHT
    path = folder / "serve.toml"
    path.write_text(f"{first}\n{RIGHT.replace(old, new, 1) if old else RIGHT}\n{more}\n")
    return path


def problem(path: Path, environ: Mapping[str, str] = ENVIRON) -> str:
    """Return the only problem of a file, without the file's name, which `load` gives as well."""
    found = problems(path, environ)
    assert len(found) == 1, found
    with pytest.raises(InvalidInput) as raised:
        load(path, environ)
    assert str(raised.value) == found[0]
    assert found[0].startswith(f"{path}: ")
    return found[0].removeprefix(f"{path}: ")
