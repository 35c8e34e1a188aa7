"""What a deployment of `serve` consists of: Slack, a worker, two pods and a balancer, all on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from pendingctl.demo.balancer import Balancer, balanced
from pendingctl.demo.messages import Message
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import acme_and_others
from tests.http_worker import HttpWorker, working

from .applications import QUESTION, AssembledPod, assembled, usual
from .pods import SIGNING_SECRET, TOKEN, ServedPod, configuration, served


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack(acme_and_others(SIGNING_SECRET)) as running:
        yield running


@pytest.fixture
async def worker() -> AsyncIterator[HttpWorker]:
    async with working() as running:
        yield running


@pytest.fixture
async def pod(dsn: str, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[AssembledPod]:
    """A pod without listeners."""
    async with assembled(usual(tmp_path, slack.url), dsn) as running:
        yield running


@pytest.fixture
async def other_pod(dsn: str, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[AssembledPod]:
    """Another pod of the same configuration."""
    async with assembled(usual(tmp_path, slack.url), dsn) as running:
        yield running


@dataclass
class Deployment:
    """Two pods, A and B, behind a balancer, and what is around them."""

    slack: FakeSlack
    worker: HttpWorker
    a: ServedPod
    b: ServedPod
    balancer: Balancer
    text: str = field(repr=False)

    async def ask(self, pod: ServedPod, id: str, *, token: str = TOKEN, **changes: object) -> httpx.Response:
        """Ask a question through a pod."""
        async with httpx.AsyncClient() as client:
            return await client.post(
                f"{pod.url}/questions",
                json={**QUESTION, "id": id, **changes},
                headers={"Authorization": f"Bearer {token}"},
                timeout=10,
            )

    async def read(self, pod: ServedPod, id: str, *, wait: int = 0, token: str = TOKEN) -> httpx.Response:
        """Read a question from a pod."""
        async with httpx.AsyncClient() as client:
            return await client.get(
                f"{pod.url}/questions/{id}?wait={wait}", headers={"Authorization": f"Bearer {token}"}, timeout=70
            )

    async def card(self, number: int = 0, *, channel: str = "C2") -> Message:
        """The card that was posted as the first, second, … one in a channel, once it is there."""
        await self.slack.until(lambda: len(self.slack.messages(channel)) > number)
        return self.slack.messages(channel)[number]

    async def noted_card(self, id: str, number: int = 0) -> Message:
        """The same once the row has it, so that any pod can edit it."""
        card = await self.card(number)
        async with asyncio.timeout(10):
            while not (await self.read(self.b, id)).json()["is_posted"]:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)
        return card

    def delivered(self) -> list[tuple[str, str]]:
        """The question and the value of each answer that the worker was sent, in order."""
        return [(answer["question_id"], answer["value"]) for answer in map(_body, self.worker.requests)]


def _body(request: object) -> dict[str, str]:
    body = getattr(request, "body", b"{}")
    parsed = json.loads(body)
    assert isinstance(parsed, dict)
    return parsed


@asynccontextmanager
async def deployed(
    dsn: str, slack: FakeSlack, worker: HttpWorker, folder: Path, **more: str
) -> AsyncIterator[Deployment]:
    """Two pods on a database, behind a balancer that is Slack's request URL."""
    text = configuration(slack_url=slack.url, worker_url=worker.url, **more)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(served(text, dsn, folder)) for _ in range(2)]
        balancer = await stack.enter_async_context(balanced(a.target, b.target))
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=f"{balancer.origin}/slack")
        yield Deployment(slack, worker, a, b, balancer, text)


@pytest.fixture
async def deployment(dsn: str, slack: FakeSlack, worker: HttpWorker, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployed(dsn, slack, worker, tmp_path) as running:
        yield running
