"""A strict Slack on loopback, and the adapter that talks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pendingctl.platforms.slack import SlackPlatform

from .fake import FakeSlack, running_slack

TOKENS = {("acme", "slack"): "xoxb-acme", ("globex", "slack"): "xoxb-globex"}


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with running_slack() as running:
        yield running


@pytest.fixture
async def platform(slack: FakeSlack) -> AsyncIterator[SlackPlatform]:
    async with SlackPlatform(TOKENS, base_url=slack.url) as opened:
        yield opened
