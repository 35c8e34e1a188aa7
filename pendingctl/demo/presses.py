"""Presses of buttons as Slack sends them: the payload of its documentation, form-encoded and signed. Pure.

docs.slack.dev, "block_actions payload", "Handling user interaction" and "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

from ..payload import JsonObject, JsonValue
from .messages import Button, Message
from .workspaces import App, Channel, Installation, Person, Workspaces

SIGNATURE = "X-Slack-Signature"
TIMESTAMP = "X-Slack-Request-Timestamp"
# An app that has not replied then has failed for whoever has pressed.
ACKNOWLEDGE_SECONDS = 3.0
_HEADERS = {
    "Accept": "application/json,*/*",
    "Accept-Encoding": "gzip,deflate",
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request to an app, as it is sent. `user` is `TEAM:USER`.

    `replies_before` is how many replies Slack had shown when the button was pressed.
    """

    url: str
    body: bytes
    headers: Mapping[str, str]
    user: str
    channel: str
    ts: str
    response_url: str
    replies_before: int


class Seen(StrEnum):
    """What whoever has pressed sees of it at once: nothing, or a warning beside the button."""

    ACKNOWLEDGED = "acknowledged"
    TIMED_OUT = "operation_timeout"
    FAILED = "failed"


WARNINGS = {
    Seen.TIMED_OUT: "operation_timeout: the app has not replied within three seconds",
    Seen.FAILED: "the app has not taken the press",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """What came of a delivery: the reply's HTTP status, None where none came, its body, and after how many seconds."""

    delivery: Delivery
    seen: Seen
    status: int | None
    body: bytes
    seconds: float


def payload(
    known: Workspaces,
    *,
    person: Person,
    channel: Channel,
    message: Message,
    button: Button,
    response_url: str,
    now: float,
) -> JsonObject:
    """Return the payload of one press; `now` is in seconds since 1970, and is when the button was pressed."""
    by = known.installation_of(message.bot or "")
    container: dict[str, JsonValue] = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": False,
    }
    if message.thread_ts is not None:
        container["thread_ts"] = message.thread_ts
    action = {key: value for key, value in button.element.items() if key != "confirm"}
    return {
        "type": "block_actions",
        "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team},
        "api_app_id": by.app,
        "token": known.apps[by.app].verification_token,
        "container": container,
        "trigger_id": f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(16)}",
        **_where(known, by),
        "channel": {"id": channel.id, "name": channel.name},
        "message": message.as_json(),
        "state": {"values": {}},
        "response_url": response_url,
        "actions": [{**action, "block_id": button.block_id, "action_ts": f"{now:.6f}"}],
    }


def form(given: JsonObject) -> bytes:
    """Return the body that a payload is sent in."""
    return urlencode({"payload": json.dumps(given, separators=(",", ":"))}).encode()


def signed(body: bytes, app: App, *, now: float) -> dict[str, str]:
    """Return the headers of a request of Slack's with this body."""
    timestamp = str(int(now))
    digest = hmac.new(app.signing_secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {**_HEADERS, TIMESTAMP: timestamp, SIGNATURE: f"v0={digest}"}


def _where(known: Workspaces, by: Installation) -> JsonObject:
    """Return in which workspace an app was installed, and in which organization of Slack."""
    workspace = known.workspaces[by.team] if by.team is not None else None
    id = workspace.organization if workspace is not None else by.organization
    organization: JsonValue = {"id": id, "name": f"organization {id}"} if id is not None else None
    team: dict[str, JsonValue] | None = None
    if workspace is not None:
        team = {"id": workspace.id, "domain": workspace.name}
        if id is not None:
            team |= {"enterprise_id": id, "enterprise_name": f"organization {id}"}
    return {"team": team, "enterprise": organization, "is_enterprise_install": workspace is None}
