"""The clients of one application: what is sent to each, and the comments that keep quiet connections open."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import TypeAlias

from .access import Send
from .encoding import COMMENT

# As many as a pod has room for beside its other work.
CLIENTS = 5_000
# Proxies and balancers close what is silent for 60 s, mobile networks sooner.
COMMENT_SECONDS = 15.0
LOOK_SECONDS = 1.0
# Of an event that is larger each client holds a piece; the event itself is all clients' of its stream together.
PIECE_BYTES = 32 * 1024
Part: TypeAlias = bytes | Iterator[bytes]
"""What is sent: at once, or in pieces, each of which is made when the one before it is taken."""
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

    async def send(self, parts: Sequence[Part]) -> None:
        """Send parts of the body, as the client takes them."""
        if self._comment is not None:
            await self._comment
        self._is_sending = True
        for place, piece in enumerate(_pieces(parts)):
            if place > 0:
                # Servers find in turns of their own that a client is gone, and those that take all at once give none.
                await asyncio.sleep(0)
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        # Not where it was broken off: whatever followed would be read as a part of the event that was under way.
        self._is_sending = False
        self._sent_at = monotonic()

    async def end(self, parts: Sequence[Part]) -> None:
        """Send the last parts, unless an event was broken off, of which a client takes no notice without its end."""
        if not self._is_sending:
            await self.send(parts)
        # Nor does a comment follow the end.
        self._is_sending = True
        await self._send({"type": "http.response.body", "body": b""})

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
            self._sent_at = monotonic()


def _pieces(parts: Sequence[Part]) -> Iterable[bytes]:
    """Join what is small, and cut what is large: servers copy what they are given, and hold it until it is taken."""
    match parts:
        case [bytes() as part] if len(part) < PIECE_BYTES:
            # As most events come, one by one.
            return (part,)
    return _joined_and_cut(parts)


def _joined_and_cut(parts: Sequence[Part]) -> Iterator[bytes]:
    small: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes) and len(part) < PIECE_BYTES:
            small.append(part)
            continue
        if small:
            yield b"".join(small)
            small = []
        for large in (part,) if isinstance(part, bytes) else part:
            for start in range(0, len(large), PIECE_BYTES):
                yield large[start : start + PIECE_BYTES]
    if small:
        yield b"".join(small)


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
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for place, client in enumerate(list(self._clients), start=1):
                if client in self._clients:
                    client.comment(monotonic())
                if place % _AT_ONCE == 0:
                    await asyncio.sleep(0)
