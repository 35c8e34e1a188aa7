"""The clients of one application: what is sent to each, and the comments that keep quiet connections open."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

from .access import Send
from .encoding import COMMENT

# As many as a pod has room for beside its other work.
CLIENTS = 5_000
# Proxies and balancers close what is silent for 60 s, mobile networks sooner.
COMMENT_SECONDS = 15.0
LOOK_SECONDS = 1.0
# Clients that are sent a comment before other work has its turn.
_AT_ONCE = 100


class Client:
    """The response to one client, once its head is sent. One message is under way at a time."""

    __slots__ = ("_comment", "_is_sending", "_send", "_sent_at")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._comment: asyncio.Task[None] | None = None
        self._is_sending = False
        # Never before the head.
        self._sent_at = math.inf

    async def send(self, data: bytes, *, is_last: bool = False) -> None:
        """Send a part of the body, once the client takes it."""
        if self._comment is not None:
            await self._comment
        self._is_sending = True
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})
        finally:
            self._is_sending = False
        self._sent_at = asyncio.get_running_loop().time()

    def comment(self, now: float) -> None:
        """Begin to send a comment, unless anything was sent lately or is under way."""
        if now - self._sent_at >= COMMENT_SECONDS and not self._is_sending and self._comment is None:
            self._comment = asyncio.create_task(self._send_comment(), name="comment to a client")

    def close(self) -> None:
        """Give up what is under way."""
        if self._comment is not None:
            self._comment.cancel()

    async def _send_comment(self) -> None:
        try:
            # Servers raise it where the client is gone (ASGI, "Disconnected Client - send exception").
            with suppress(OSError):
                await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        finally:
            self._comment = None
            self._sent_at = asyncio.get_running_loop().time()


class Clients:
    """The clients that are there, for which one task looks after the comments while there are any."""

    def __init__(self) -> None:
        self._clients: set[Client] = set()
        self._commenting: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: Client) -> None:
        """Look after a client."""
        self._clients.add(client)
        if self._commenting is None or self._commenting.done():
            self._commenting = asyncio.create_task(self._comment(), name="comments to clients")

    def remove(self, client: Client) -> None:
        """Forget a client."""
        client.close()
        self._clients.discard(client)
        if not self._clients and self._commenting is not None:
            self._commenting.cancel()
            self._commenting = None

    async def _comment(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for place, client in enumerate(list(self._clients), start=1):
                if client in self._clients:
                    client.comment(loop.time())
                if place % _AT_ONCE == 0:
                    await asyncio.sleep(0)
