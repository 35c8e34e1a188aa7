"""A strict Slack on loopback, and the adapter that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import acme_and_others
from pendingctl.platforms.slack import SlackPlatform

from .presses import SECRET

TOKENS = {("acme", "slack"): "xoxb-acme", ("globex", "slack"): "xoxb-globex"}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(acme_and_others(SECRET)) as running:
        yield running


@pytest.fixture
async def platform(slack: FakeSlack) -> AsyncIterator[SlackPlatform]:
    async with SlackPlatform(TOKENS, base_url=slack.url) as opened:
        yield opened
