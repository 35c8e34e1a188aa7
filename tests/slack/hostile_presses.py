"""Requests to an app that Slack never sends, or not for a press: made from one that it does send."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from pendingctl.demo import presses
from pendingctl.demo.presses import SIGNATURE, TIMESTAMP, Delivery
from pendingctl.demo.workspaces import App

JUNK_TIMESTAMPS = ("", "now", "-1", "1e9", "1531420618.0", "9" * 400, "0x5b3a")
JUNK_BODIES = (
    b"",
    b"payload",
    b"payload=",
    b"payload=%ff%fe",
    b"payload=\xff\xfe",
    b"payload=%7B",
    b"payload=null",
    b"payload=[]",
    b"payload=" + b"[" * 5_000,
    b"{}",
    b"a=1&" * 30 + b"payload=%7B%7D",
)


def payload_of(delivery: Delivery) -> dict[str, Any]:
    """The payload that a press holds."""
    (payload,) = parse_qs(delivery.body.decode())["payload"]
    given: dict[str, Any] = json.loads(payload)
    return given


def with_body(delivery: Delivery, app: App, body: bytes) -> Delivery:
    """Another body, signed as Slack would."""
    return replace(delivery, body=body, headers=presses.signed(body, app, now=time.time()))


def changed(delivery: Delivery, app: App, **changes: Any) -> Delivery:
    """A press with other fields in its payload, such as another workspace's `team`, signed as Slack would."""
    return with_body(delivery, app, presses.form(payload_of(delivery) | changes))


def forged(delivery: Delivery) -> Delivery:
    """A press signed by somebody who does not know the secret."""
    forger = App(id="A1", signing_secret="a guess")
    return replace(delivery, headers=presses.signed(delivery.body, forger, now=time.time()))


def signed_ago(delivery: Delivery, app: App, seconds: float) -> Delivery:
    """A press that was signed so many seconds ago, or in the future if it is less than none."""
    return replace(delivery, headers=presses.signed(delivery.body, app, now=time.time() - seconds))


def unsigned(delivery: Delivery) -> Delivery:
    """A press without the headers of a signature."""
    headers = {name: value for name, value in delivery.headers.items() if name not in (SIGNATURE, TIMESTAMP)}
    return replace(delivery, headers=headers)


def with_timestamp(delivery: Delivery, timestamp: str) -> Delivery:
    """A press whose timestamp was exchanged."""
    return replace(delivery, headers={**delivery.headers, TIMESTAMP: timestamp})


def ssl_check(delivery: Delivery, app: App) -> Delivery:
    """What Slack sends now and then to see whether a certificate is valid."""
    return with_body(delivery, app, urlencode({"ssl_check": "1", "token": app.verification_token}).encode())


def of_kind(delivery: Delivery, app: App, kind: str) -> Delivery:
    """Another kind of interaction, such as view_submission or shortcut."""
    kept = {"user", "api_app_id", "token", "trigger_id", "team", "enterprise", "is_enterprise_install"}
    about = {name: value for name, value in payload_of(delivery).items() if name in kept}
    specific: dict[str, Any] = {
        "callback_id": "c",
        "action_ts": "1712345699.123456",
        "view": {"id": "V1", "callback_id": "c"},
    }
    return with_body(delivery, app, presses.form({**about, "type": kind, **specific}))
