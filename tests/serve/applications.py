"""A pod's two applications without their listeners, wired as pendingctl.serve.process wires them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pendingctl import PendingStore, open_pool
from pendingctl.leased import LeasedAnswer
from pendingctl.limits import RateLimiter
from pendingctl.model import ANSWERS, Claim, Click, Refusal
from pendingctl.platforms.slack import SlackPlatform
from pendingctl.pod.bridge import InteractionBridge
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.shares import Share
from pendingctl.postgres.time_limits import BORROW_SECONDS
from pendingctl.serve.configuration import load
from pendingctl.serve.limits import ServedLimits, connections_of_limits
from pendingctl.serve.metrics import Metrics
from pendingctl.serve.process import REPLY_WITHIN
from pendingctl.serve.questions_app import QuestionsApp, connections_of_reads
from pendingctl.serve.readiness import Readiness
from pendingctl.serve.settings import Configuration
from pendingctl.serve.slack_app import SlackApp
from pendingctl.serve.waiting import Waiting
from pendingctl.sinks import Marks
from pendingctl.store.inspection import Inspection

from .pods import SIGNING_SECRET, TOKEN, configuration

ORIGIN = "http://pod.test"
QUESTION = {
    "connection_id": "slack",
    "user_id": "U1",
    "conversation_id": "C2",
    "text": "Deploy?",
    "options": ["yes", "no"],
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def written(folder: Path, text: str) -> Configuration:
    """The configuration that a text of TOML is."""
    file = folder / "serve.toml"
    file.write_text(text, encoding="utf-8")
    return load(file, {"SERVE_DSN": "host=unused.invalid", "SLACK_SIGNING_SECRET": SIGNING_SECRET})


@dataclass
class Kept:
    """Where answers go: a list."""

    answers: list[LeasedAnswer] = field(default_factory=list)
    outcomes = ANSWERS

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        self.answers.append(leased)
        return await marks.mark_delivered(leased)


@dataclass(frozen=True)
class AssembledPod:
    """One pod: its applications, and what they stand on. `internal` has acme's token."""

    given: Configuration
    questions_app: QuestionsApp
    slack_app: SlackApp
    store: PendingStore
    bridge: InteractionBridge
    waiting: Waiting
    limits: ServedLimits
    readiness: Readiness
    metrics: Metrics
    pool: Pool
    sink: Kept
    internal: httpx.AsyncClient
    public: httpx.AsyncClient

    async def ask(
        self, id: str | None = None, *, key: str | None = None, token: str = TOKEN, **changes: Any
    ) -> httpx.Response:
        """Ask the usual question with other fields, those that are None left out."""
        fields = {**QUESTION, "id": id, **changes}
        headers = bearer(token) | ({} if key is None else {"Idempotency-Key": key})
        body = {name: value for name, value in fields.items() if value is not None}
        return await self.internal.post("/questions", json=body, headers=headers)

    async def answer(self, id: str, option: int = 0, *, user_id: str = "U1", key: str = "press") -> Claim | Refusal:
        """Answer the question's present asking, as a press on this pod does."""
        asked = await self.internal.get(f"/questions/{id}")
        click = Click(
            question_id=id,
            organization_id="acme",
            connection_id="slack",
            user_id=user_id,
            delivery_key=key,
            option=option,
            ask_number=asked.json()["ask_number"],
        )
        return await self.store.claim(click)


@asynccontextmanager
async def assembled(
    given: Configuration, dsn: str, *, borrow_seconds: float = BORROW_SECONDS
) -> AsyncIterator[AssembledPod]:
    """A pod that works on a database, whatever database its configuration names."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(dsn, max_size=given.connections, timeout=borrow_seconds))
        connections = [each for of in given.organizations.values() for each in of.connections]
        tokens = {(each.organization_id, each.connection_id): each.token for each in connections}
        platform = await stack.enter_async_context(SlackPlatform(tokens, base_url=given.slack.base_url))
        store = PendingStore(pool, application=given.application, pod=given.pod)
        inspection = Inspection(Share(pool, connections_of_reads(given.connections)))
        sink = Kept()
        bridge = InteractionBridge(store, platform, sink, max_age=given.max_age, reply_within=REPLY_WITHIN)
        for each in connections:
            bridge.register(each.organization_id, each.connection_id)
        waiting, readiness, metrics = Waiting(inspection), Readiness(pool, dsn), Metrics()
        metrics.watch_state(readiness.state)
        limiter = RateLimiter(Share(pool, connections_of_limits(given.connections)), if_unreachable="allow")
        limits = ServedLimits(given.limits, given.application, limiter, metrics)
        slack_app = SlackApp(given.slack, connections, bridge, platform, limits, metrics)
        questions_app = QuestionsApp(
            *(given, bridge, store, inspection), waiting=waiting, limits=limits, readiness=readiness, metrics=metrics
        )
        internal, public = [
            await stack.enter_async_context(
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN, headers=headers, timeout=90)
            )
            for app, headers in ((questions_app.asgi, bearer(TOKEN)), (slack_app.asgi, {}))
        ]
        await stack.enter_async_context(bridge)
        await stack.enter_async_context(running(waiting.look()))
        yield AssembledPod(
            *(given, questions_app, slack_app, store, bridge, waiting, limits),
            *(readiness, metrics, pool, sink, internal, public),
        )
        await slack_app.drain(time.monotonic() + 5)


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def usual(folder: Path, slack_url: str, **more: str) -> Configuration:
    """The configuration of a pod for acme and globex, without a worker's URL."""
    return written(folder, configuration(slack_url=slack_url, worker_url=None, **more))  # type: ignore[arg-type]
