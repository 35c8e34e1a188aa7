"""Streams as server-sent events: a plain ASGI application, which any server of ASGI can serve.

A browser's EventSource comes back by itself after a response of 200 has ended, with the id of the event that it got
last. Any other status ends it for good, and so 404 and 204 are for what will not change, and all trouble is a 200 that
ends at once and says when to come back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from ..errors import CursorInvalid
from ..events.clients import Subscription
from ..events.model import START, Cursor, End, Event, Gap, Reset, StreamItem
from ..events.streams import Streams
from ..postgres.outages import Outage
from .access import Authorize, Authorized, Receive, Scope, Send, header_of
from .clients import CLIENTS, PIECE_BYTES, Client, Clients, Part
from .encoding import encode, encode_event, encode_id, encode_in_pieces, encode_retry
from .origins import Headers, Origins
from .presence import Presence

# After how long a client comes back whose connection was lost: apart from each other, as a pod that dies loses all.
RETRY_MS = (1_000, 3_000)
# The same where this pod serves it no more, as it ends.
DRAINED_RETRY_MS = (200, 2_000)
# And where it cannot serve it, which another pod may.
REFUSED_RETRY_MS = (3_000, 10_000)
# How long whoever says what a client may read has for that.
AUTHORIZE_SECONDS = 5.0
# How long a client waits for the head of its response, which may be that nothing follows; the database may be away.
LOOK_SECONDS = 0.5
# What is at hand is sent together, up to this and one event.
TOGETHER_BYTES = 32 * 1024
# Of an event that is sent in pieces: with its id and its type the first one is a piece as well.
PIECE_CHARACTERS = PIECE_BYTES - 2 * 1024
# Encoded events that are kept for other clients of their stream.
KEPT_EVENTS = 512
KEPT_BYTES = 4 << 20

_HEAD: Headers = [
    (b"content-type", b"text/event-stream"),
    # no-transform: a proxy that compresses would hold events back (RFC 9111, section 5.2.2.6).
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sent:
    """What an application has sent so far: items by their kind, and clients that it had to send away."""

    events: int = 0
    gaps: int = 0
    resets: int = 0
    refused: int = 0


class StreamApp:
    """Serves streams to clients: see `stream_app`. `sent` counts."""

    def __init__(self, streams: Streams, authorize: Authorize, origins: Sequence[str], clients: int) -> None:
        self._streams = streams
        self._authorize = authorize
        self._origins = Origins(origins)
        self._most_clients = clients
        self._clients = Clients()
        self._encoded = _Encoded()
        self._outage = Outage(_log)
        self.sent = Sent()

    @property
    def clients(self) -> int:
        """How many clients read now."""
        return len(self._clients)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        # All in one coroutine: each that waits for another one is kept for as long as a client reads.
        if scope["type"] == "websocket":
            # Refused rather than an error in the log, which anybody could fill.
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise ValueError(f"streams are served over HTTP, not as {scope['type']}")
        if scope["method"] == "OPTIONS" and self._origins:
            await _respond(send, 204, self._origins.preflight(scope))
            return
        if scope["method"] != "GET":
            allow = b"GET, OPTIONS" if self._origins else b"GET"
            await _respond(send, 405, [(b"allow", allow), *self._origins.headers(scope)])
            return
        headers = self._origins.headers(scope)
        # Servers may raise it where the client is gone (ASGI, "Disconnected Client - send exception").
        with suppress(OSError):
            authorized = await self._authorized(scope, send, headers)
            if authorized is None:
                return
            given = _position(scope)
            position = given if isinstance(given, Cursor) else START
            subscription = self._streams.subscribe(authorized.stream, position)
            client = Client(send)
            # Before anything is waited for, since many may come at once.
            self._clients.add(client)
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await subscription.looked_for()
                first = subscription.at_hand()
                if isinstance(first, End) and isinstance(given, Cursor):
                    await _respond(send, 204, headers)
                    return
                await send({"type": "http.response.start", "status": 200, "headers": [*_HEAD, *headers]})
                start = self._start(given, subscription.position if first is None else position)
                last: list[Part] = [_retry(RETRY_MS)]
                async with Presence(receive, authorized.until) as presence:
                    last = await self._deliver(client, subscription, start, first)
                if not presence.is_gone:
                    await client.end(last)
            finally:
                self._clients.remove(client)
                await subscription.aclose()

    async def _authorized(self, scope: Scope, send: Send, headers: Headers) -> Authorized | None:
        """Return what a client may read now; None where that was answered."""
        try:
            async with asyncio.timeout(AUTHORIZE_SECONDS):
                authorized = await self._authorize(scope)
        except (Exception, asyncio.CancelledError) as error:
            # The application's own: it may have met an outage, or waited for a task that was cancelled.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            # All of a pod's readers come back every few seconds.
            self._outage.report("what clients may read cannot be found out for now", exc_info=True)
        else:
            self._outage.over()
            if authorized is None or (authorized.until is not None and authorized.until <= datetime.now(UTC)):
                await _respond(send, 404, headers)
                return None
            if len(self._clients) < self._most_clients:
                return authorized
        self.sent.refused += 1
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEAD, *headers]})
        await send({"type": "http.response.body", "body": _retry(REFUSED_RETRY_MS)})
        return None

    def _start(self, given: Cursor | Reset | None, position: Cursor) -> bytes:
        if isinstance(given, Reset):
            # No position without it: whoever lost the connection in between would not be given it again.
            self.sent.resets += 1
            return _retry(RETRY_MS) + encode(given, START)
        return _retry(RETRY_MS) + encode_id(position)

    async def _deliver(
        self, client: Client, subscription: Subscription, start: bytes, item: StreamItem | None
    ) -> list[Part]:
        """Send what comes, for as long as it comes, and return what to end the response with."""
        parts: list[Part] = [start]
        size = 0
        while True:
            while item is not None:
                parts.append(part := self._encode(item, subscription.position))
                size += len(part) if isinstance(part, bytes) else TOGETHER_BYTES
                if isinstance(item, End):
                    return parts
                item = subscription.at_hand() if size < TOGETHER_BYTES else None
            await client.send(parts)
            item = subscription.at_hand() if size >= TOGETHER_BYTES else None
            # Whoever waits keeps no event.
            parts, size, part = [], 0, b""
            if item is not None:
                # As between two pieces.
                await asyncio.sleep(0)
            elif (item := await anext(subscription, None)) is None:
                return [_retry(DRAINED_RETRY_MS)]

    def _encode(self, item: StreamItem, position: Cursor) -> Part:
        match item:
            case Event():
                self.sent.events += 1
                if len(item.data) > PIECE_CHARACTERS:
                    return encode_in_pieces(item, PIECE_CHARACTERS)
                return self._encoded.of(item)
            case Gap():
                self.sent.gaps += 1
            case Reset():
                self.sent.resets += 1
        return encode(item, position)


def stream_app(
    streams: Streams, authorize: Authorize, *, origins: Sequence[str] = (), clients: int = CLIENTS
) -> StreamApp:
    """Return an ASGI application that serves the streams which `authorize` names, as server-sent events.

    `authorize` is given the scope of a request and returns the stream that its client may read, and until when; None,
    for a stream that is unknown as for one that is forbidden, is answered with 404, and so is a time that is over.
    Where it raises or says nothing for 5 s, or where so many `clients` are there, a client is sent away for some
    seconds. Pages of `origins` may read as well, with cookies.

    A client begins at the start; behind the event of the Last-Event-ID header where it has one, else of the parameter
    `last_event_id`. What is no position is taken for one of another history. At a closed stream that was read to its
    end a client gets 204, which keeps EventSource from coming back. A stream that does not exist is open and empty.

    Call `streams.drain()` before the server ends; each client then comes back after some time, to another pod.
    Raises InvalidInput for an origin that is none.
    """
    return StreamApp(streams, authorize, origins, clients)


class _Encoded:
    """The bytes of the last events: the clients of a stream are given the same ones, one after the other."""

    def __init__(self) -> None:
        # By identity, which lasts for as long as the event is kept here.
        self._encoded: dict[int, tuple[Event, bytes]] = {}
        self._bytes = 0

    def of(self, event: Event) -> bytes:
        """Return the bytes of an event."""
        if (kept := self._encoded.get(id(event))) is not None:
            return kept[1]
        data = encode_event(event)
        self._encoded[id(event)] = event, data
        self._bytes += len(data)
        while len(self._encoded) > KEPT_EVENTS or self._bytes > KEPT_BYTES:
            _, oldest = self._encoded.pop(next(iter(self._encoded)))
            self._bytes -= len(oldest)
        return data


def _position(scope: Scope) -> Cursor | Reset | None:
    """Return where a client is; a Reset where it says what is no position, None where it says nothing."""
    text = header_of(scope, b"last-event-id")
    if not text:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        text = query.get("last_event_id", [""])[0]
    if not text:
        return None
    try:
        return Cursor.parse(text)
    except CursorInvalid:
        return Reset(0)


def _retry(between: tuple[int, int]) -> bytes:
    return encode_retry(random.randint(*between))


async def _respond(send: Send, status: int, headers: Headers) -> None:
    """Answer without a body."""
    length = [] if status == 204 else [(b"content-length", b"0")]
    head = [(b"cache-control", b"no-store"), *length, *headers]
    with suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b""})
