"""`serve --demo`: a database, a Slack, an agent and two pods on loopback, from nothing; nothing is left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web

from ..embedded import throwaway_server
from ..payload import JsonObject
from ..postgres.connections import CommandConnection
from ..schema import migrations
from ..store.inspection import Inspection
from .agent import STREAM, Agent
from .balancer import balanced
from .kept_pods import KeptPod, kept
from .leases import LeftLeases
from .page import Page
from .slack_server import FakeSlack
from .two_windows import TwoWindows
from .workspaces import acme_and_others

CHANNEL = "C2"
_CONFIGURATION = """
[streams]
keys = [{{ env = "STREAM_KEY" }}]
origins = ["{slack_origin}"]

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
        client = await stack.enter_async_context(aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}))
        slack = FakeSlack(acme_and_others())
        pods: dict[str, KeptPod] = {}
        page = Page(slack, channel=CHANNEL)
        leases = LeftLeases(lambda name: pods[name].is_serving)
        windows = TwoWindows(slack, pods, leases, client, stream=STREAM, channel=CHANNEL)
        await stack.enter_async_context(slack)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pendingctl-demo-")))
        configuration = _CONFIGURATION.format(
            worker_url=await stack.enter_async_context(running_worker(answered)),
            slack_url=slack.url,
            slack_origin=slack.origin,
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
        )
        environment = {
            # Those of a company's network lead elsewhere, and not back to this machine.
            **{name: "" for name in os.environ if name.lower().endswith("_proxy")},
            "PENDINGCTL_DSN": server.dsn,
            "SLACK_SIGNING_SECRET": slack.apps["A1"].signing_secret,
            "STREAM_KEY": secrets.token_hex(32),
        }
        for name in ("A", "B"):
            pods[name] = await stack.enter_async_context(kept(name, folder, configuration, environment, log))
        await asyncio.gather(*(pod.ready() for pod in pods.values()))
        balancer = await stack.enter_async_context(balanced(*(pod.pod.target for pod in pods.values())))
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=f"{balancer.origin}/slack")
        source = CommandConnection(server.dsn, application="pendingctl serve --demo")
        stack.push_async_callback(source.close)
        looking = asyncio.create_task(leases.look(Inspection(source)), name="leases that killed pods have left")
        stack.push_async_callback(_end, looking)
        say(f"page:   {windows.url}")
        say(f"Slack:  {page.url()}")
        say(f"pods:   A {pods['A'].pod.url}, B {pods['B'].pod.url}")
        say("Open the first address, press a button, and kill a pod. Ctrl-C ends all of it.")
        await Agent(list(pods.values()), client, answered, channel=CHANNEL, say=say).work()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running_worker(answered: asyncio.Queue[JsonObject]) -> AsyncIterator[str]:
    """What answers are delivered to, at this URL, which nobody can guess: each key counts once."""
    path = f"/answers/{secrets.token_urlsafe(18)}"
    seen = set[str]()

    async def take(request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        if key not in seen:
            seen.add(key)
            answered.put_nowait(await request.json())
        return web.Response()

    application = web.Application()
    application.router.add_post(path, take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    finally:
        await runner.cleanup()
