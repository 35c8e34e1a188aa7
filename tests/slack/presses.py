"""Presses as Slack delivers them: the payload of its documentation, in a signed form."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


def payload(value: str = '["q",1073741824,0]', **changes: Any) -> dict[str, Any]:
    """A press of a button by U1 of the workspace T1 (docs.slack.dev, "block_actions payload")."""
    given: dict[str, Any] = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "alice", "name": "alice", "team_id": "T1"},
        "api_app_id": "A1",
        "token": "deprecated",
        "container": {"type": "message", "message_ts": "1712345678.000100", "channel_id": "C1", "is_ephemeral": False},
        "trigger_id": "12466734323.1395872398.0",
        "team": {"id": "T1", "domain": "acme"},
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": "C1", "name": "deploys"},
        "message": {"bot_id": "B1", "type": "message", "text": "Deploy?", "ts": "1712345678.000100"},
        "state": {"values": {}},
        "response_url": "https://hooks.slack.com/actions/T1/1/abc",
        "actions": [
            {
                "action_id": "pendingctl:0",
                "block_id": "K2f",
                "text": {"type": "plain_text", "text": "yes", "emoji": False},
                "value": value,
                "type": "button",
                "action_ts": "1712345699.123456",
            }
        ],
    }
    return given | changes


def form(given: dict[str, Any]) -> bytes:
    return urlencode({"payload": json.dumps(given)}).encode()


def signed(body: bytes, *, secret: str = SECRET, at: float | None = None) -> dict[str, bytes]:
    """The headers of a request, signed by Slack's own library."""
    timestamp = str(int(time.time() if at is None else at))
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
    assert signature is not None
    return {"timestamp": timestamp.encode(), "signature": signature.encode()}
