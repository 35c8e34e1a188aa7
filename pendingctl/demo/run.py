"""`serve --demo`: a database, a Slack, a worker and two pods on loopback, from nothing; nothing is left behind."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web

from ..embedded import throwaway_server
from ..errors import DatabaseFailed
from ..payload import JsonObject
from ..schema import migrations
from .balancer import balanced
from .page import Page
from .pods import Pod, running
from .slack_server import FakeSlack
from .workspaces import acme_and_others

CHANNEL = "C2"
_CONFIGURATION = """
[public]
listen = "127.0.0.1:0"

[internal]
listen = "127.0.0.1:0"

[worker]
url = "{worker_url}"

[shutdown]
delay = "1s"
within = "5s"

[slack]
base_url = "{slack_url}"
reply_base = "{slack_origin}"

[slack.apps.A1]
signing_secrets = [{{ env = "SLACK_SIGNING_SECRET" }}]

[organizations.acme]
token_sha256 = ["{token_sha256}"]

[organizations.acme.connections.slack]
app = "A1"
team = "T1"
token = "xoxb-acme"
"""


async def run_demo(say: Callable[[str], None], log: Callable[[str], None]) -> None:
    """Run it until it is cancelled; `say` is given what happens, line by line, and `log` what the pods log.

    A question is asked through pod A, the next one, when that is answered, through pod B, and so on. Raises
    ExtraMissing without a Postgres to start, and DatabaseFailed where a pod does not start.
    """
    token = secrets.token_urlsafe(32)
    answered = asyncio.Queue[JsonObject]()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(throwaway_server())
        await asyncio.to_thread(migrations.apply, server.dsn)
        slack = FakeSlack(acme_and_others())
        page = Page(slack, channel=CHANNEL)
        await stack.enter_async_context(slack)
        configuration = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pendingctl-demo-"))) / "serve.toml"
        configuration.write_text(
            _CONFIGURATION.format(
                worker_url=await stack.enter_async_context(_worker(answered)),
                slack_url=slack.url,
                slack_origin=slack.origin,
                token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            ),
            encoding="utf-8",
        )
        environment = {"PENDINGCTL_DSN": server.dsn, "SLACK_SIGNING_SECRET": slack.apps["A1"].signing_secret}
        pods = {
            name: await stack.enter_async_context(
                running(configuration, environment, lambda line, name=name: log(f"{name}: {line}"))  # type: ignore[misc]
            )
            for name in ("A", "B")
        }
        stack.push_async_callback(_stop, pods.values())
        await asyncio.gather(*(pod.ready() for pod in pods.values()))
        balancer = await stack.enter_async_context(balanced(*(pod.target for pod in pods.values())))
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=f"{balancer.origin}/slack")
        say(f"Slack:  {page.url()}")
        say(f"pods:   A {pods['A'].url}, B {pods['B'].url}")
        say("Open the first address, and press a button of the card. Ctrl-C ends all of it.")
        client = await stack.enter_async_context(aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}))
        number = 0
        while True:
            number += 1
            name = "B" if number % 2 == 0 else "A"
            await _ask(client, pods[name], number)
            say(f"asked deploy-{number} through pod {name}")
            answer = await answered.get()
            say(f"{answer['question_id']} was answered {answer['value']!r} by {answer['answered_by']}")


async def _ask(client: aiohttp.ClientSession, pod: Pod, number: int) -> None:
    question = {
        "id": f"deploy-{number}",
        "connection_id": "slack",
        "user_id": "U1",
        "conversation_id": CHANNEL,
        "text": f"Deploy build {number} to production?",
        "options": ["yes", "no"],
    }
    async with client.post(f"{pod.url}/questions", json=question) as reply:
        if reply.status != 201:
            raise DatabaseFailed(f"a pod has not asked: {await reply.text()}")


@asynccontextmanager
async def _worker(answered: asyncio.Queue[JsonObject]) -> AsyncIterator[str]:
    """What answers are delivered to, at this URL: each key counts once."""
    seen = set[str]()

    async def take(request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        if key not in seen:
            seen.add(key)
            answered.put_nowait(await request.json())
        return web.Response()

    application = web.Application()
    application.router.add_post("/answers", take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/answers"
    finally:
        await runner.cleanup()


async def _stop(pods: Iterable[Pod]) -> None:
    await asyncio.gather(*(pod.stop() for pod in pods), return_exceptions=True)
