"""An endpoint for Slack's presses that claims with one UPDATE, and does nothing else: bare Starlette, or slack_bolt.

Run by `presses.py` with `starlette` or `bolt`; it reads a JSON object with the `dsn`, the `secret` and the `slack_url`,
prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import parse_qs

import uvicorn
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Pool: TypeAlias = AsyncConnectionPool[AsyncConnection[TupleRow]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

# One click wins, only the right person's: what everybody needs, and nothing that makes an answer sure to arrive.
_CLAIM = """
    update pending_interactions
    set claimed_at = now(), answer = %(answer)s, answered_by = %(user_id)s, delivery_key = %(delivery_key)s
    where id = %(id)s
      and organization_id = 'bench'
      and connection_id = 'slack'
      and expected_user_id = %(user_id)s
      and ask_number = %(ask_number)s
      and claimed_at is null
    returning entry_payload
"""
_CONNECTIONS = 10
_WITHIN_SECONDS = 300
# Slack's objects as they are parsed.
Payload: TypeAlias = Mapping[str, object]


async def claim(pool: Pool, payload: Payload) -> bool:
    """Claim the question whose button was pressed, and return whether this press has won."""
    actions, user = payload["actions"], payload["user"]
    assert isinstance(actions, list)
    assert isinstance(user, dict)
    action = actions[0]
    id, ask_number, _ = json.loads(action["value"])
    parameters = {
        "id": id,
        "ask_number": ask_number,
        "user_id": user["id"],
        "answer": action["text"]["text"],
        "delivery_key": action["action_ts"],
    }
    async with pool.connection() as connection:
        return await (await connection.execute(_CLAIM, parameters)).fetchone() is not None


def by_starlette(pool: Pool, secret: bytes) -> Endpoint:
    """Verify, parse, claim."""

    async def pressed(request: Request) -> Response:
        body = await request.body()
        timestamp = request.headers["x-slack-request-timestamp"]
        expected = hmac.new(secret, b"v0:%s:%s" % (timestamp.encode(), body), hashlib.sha256).hexdigest()
        is_signed = hmac.compare_digest(f"v0={expected}", request.headers["x-slack-signature"])
        if not is_signed or abs(time.time() - int(timestamp)) > _WITHIN_SECONDS:
            return Response(status_code=401)
        await claim(pool, json.loads(parse_qs(body.decode())["payload"][0]))
        return Response()

    return pressed


def by_bolt(pool: Pool, secret: bytes, slack_url: str) -> Endpoint:
    """The same as a listener of slack_bolt's, which verifies and parses, and acknowledges what is claimed."""
    from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
    from slack_bolt.async_app import AsyncAck, AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    client = AsyncWebClient(token="xoxb-bench", base_url=slack_url)
    app = AsyncApp(signing_secret=secret.decode(), client=client, logger=logging.getLogger("bolt"))

    @app.action(re.compile("^pendingctl:"))
    async def pressed(ack: AsyncAck, body: dict[str, object]) -> None:
        await claim(pool, body)
        await ack()

    handler = AsyncSlackRequestHandler(app)

    async def endpoint(request: Request) -> Response:
        return await handler.handle(request)

    return endpoint


async def _main(kind: str) -> None:
    order = json.loads(sys.stdin.readline())
    secret = order["secret"].encode()
    pool: Pool = AsyncConnectionPool(
        order["dsn"], min_size=_CONNECTIONS, max_size=_CONNECTIONS, open=False, kwargs={"autocommit": True}
    )
    async with pool:
        await pool.wait()
        endpoint = by_starlette(pool, secret) if kind == "starlette" else by_bolt(pool, secret, order["slack_url"])
        app = Starlette(routes=[Route("/slack", endpoint, methods=["POST"])])
        # Listening by itself: of a socket that is handed to it each response may wait for the client's ACK.
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
        serving = asyncio.create_task(server.serve())
        while not server.started and not serving.done():  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
