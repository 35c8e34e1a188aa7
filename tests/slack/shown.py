"""What the tests' Slack shows, as the Web API gives it."""

from __future__ import annotations

from typing import Any

from pendingctl.demo.slack_server import FakeSlack


def messages(slack: FakeSlack, channel: str = "C1") -> list[dict[str, Any]]:
    """What people see in a channel now, threads included, the oldest first."""
    return [dict(message.as_json()) for message in slack.messages(channel)]
