"""One connection of a client: uvicorn's protocol on h11, with the limits that uvicorn leaves out.

uvicorn has a time-out for idle connections alone. A head that never ends, the rest of a body that nobody reads, and a
client that does not take its response in would each hold a connection for good.
"""

from __future__ import annotations

import asyncio
import http
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import h11
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .transports import Flow, LingeringTransport

_CLOSE = (b"connection", b"close")
# So many are read and parsed before others have their turn: a body in chunks of a byte takes a third of a second for
# each 256 KB, which is what asyncio reads at once. And h11 looks at the size of a head only between such pieces.
_PIECE_BYTES = 4 * 1024
# What is kept of the requests that a client sends before it has the response to an earlier one; if it sends more, that
# response is its last.
_PIPELINED_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a listener's connections, times in seconds.

    `head`: from the first byte of a request's head to its end, and from a connection's start to the end of its first.
    `head_bytes`: the size of a head. `handshake`: how long TLS may take. `idle`: how long a connection without a
    request is kept. `write`: how long a client may leave a full buffer, or the end of its response, unread. `linger`:
    how long the rest of a request is read and dropped, after the response to it. `connections`: how many are open.

    `idle` is above the time after which balancers close their side: 60 s at AWS, 300 s at Oracle, 600 s at Google. If
    this side closes first, a request that is on its way is lost, and Slack sends no press twice.
    """

    head: float = 10.0
    head_bytes: int = 16 * 1024
    handshake: float = 10.0
    idle: int = 620
    write: float = 30.0
    linger: float = 2.0
    connections: int = 2_000


@dataclass(slots=True)
class Connections:
    """The open connections of one listener; while it is closing, each response is its connection's last.

    `idle` are those that have been answered in full and sent nothing since, the one that was idle for longest first.
    """

    limits: Limits
    open: set[Connection] = field(default_factory=set)
    idle: dict[Connection, None] = field(default_factory=dict)
    closing: bool = False
    # What is read goes on before anybody else reads.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_PIECE_BYTES)))
    _second: int = 0
    _dated: list[tuple[bytes, bytes]] = field(default_factory=list)

    def dated(self) -> list[tuple[bytes, bytes]]:
        """Return the header that says when a response was made, one for all responses of a second."""
        if (now := int(time.time())) != self._second:
            self._second, self._dated = now, [(b"date", formatdate(now, usegmt=True).encode("ascii"))]
        return self._dated


class Connection(H11Protocol, asyncio.BufferedProtocol):
    """Serves the requests of one connection, within limits."""

    # Beyond 30 attributes CPython keeps a dictionary for each object, without sharing its keys: 1 KB more a connection.
    __slots__ = ("_connections", "_limits", "_lingering", "_sends_on", "_served", "_slow_head", "_slow_reader", "lost")

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        self._limits = connections.limits
        self._served = self.app
        self.app = self._serve
        self._slow_head: asyncio.TimerHandle | None = None
        self._slow_reader: asyncio.TimerHandle | None = None
        self._sends_on = False
        self.lost: asyncio.Future[None] = self.loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._lingering = LingeringTransport(
            transport, linger=self._limits.linger, write=self._limits.write, has_rest=self._has_rest
        )
        super().connection_made(self._lingering)
        self.flow = Flow(self._lingering)
        # Of what the kernel does not take one message of an application is held here. (At 0 asyncio's TLS would take an
        # empty buffer for a full one.)
        transport.set_write_buffer_limits(high=1)
        self._connections.open.add(self)
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lingering.lost()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._end_head()
        self.resume_writing()
        self._connections.open.discard(self)
        self._connections.idle.pop(self, None)
        if not self.lost.done():
            self.lost.set_result(None)
        # With no cycle of references it is freed now: for those of thousands of clients that have gone the garbage
        # collector stopped the pod for half a second.
        self.app = self._served

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (asyncio's)
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connections.idle.pop(self, None)
        if self.transport.is_closing():
            return
        if self._is_last_request():
            self._sends_on = True
            return
        self.data_received(bytes(self._connections.buffer[:nbytes]))

    def handle_events(self) -> None:
        self.server_state.default_headers = self._connections.dated()
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._end_head()
            if self.conn.their_state is not h11.SEND_BODY:
                # Paused for the requests that follow this one; but whoever is not read from is not seen to leave, and
                # over TLS all that was written to them would be dropped with a warning.
                self.flow.resume_reading()
        elif self.conn.trailing_data[0]:
            self._start_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_idle()
        if self._connections.closing:
            self.close_if_idle()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's text)
        too_long = self._slow_head is not None and len(self.conn.trailing_data[0]) > self._limits.head_bytes
        self._refuse(431 if too_long else 400)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._slow_reader is None:
            self._slow_reader = self.loop.call_later(self._limits.write, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._slow_reader is not None:
            self._slow_reader.cancel()
            self._slow_reader = None
        self._note_idle()

    def close_if_idle(self) -> None:
        """Close the connection unless a request is under way, or has begun to arrive."""
        if self._is_between_requests():
            self.transport.close()

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        self.transport.abort()

    def _is_last_request(self) -> bool:
        """Return whether what comes after the present request is dropped rather than kept."""
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY, h11.ERROR):
            return False
        if self.conn.their_state is h11.MUST_CLOSE:
            # The client has asked for the end, and may send what it likes (RFC 9112, section 9.6); h11 would refuse it.
            return True
        if len(self.conn.trailing_data[0]) <= _PIPELINED_BYTES:
            return False
        self.cycle.keep_alive = False
        return True

    def _is_between_requests(self) -> bool:
        return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _note_idle(self) -> None:
        is_answered = self.cycle is not None and self.cycle.response_complete and not self.flow.write_paused
        if is_answered and self._is_between_requests():
            self._connections.idle[self] = None

    def _is_body_open(self) -> bool:
        """Return whether more of the request may come than was read."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR)

    def _has_rest(self) -> bool:
        """Return whether more may come that nobody will read, of this request or after it."""
        return self._is_body_open() or self._sends_on or bool(self.conn.trailing_data[0])

    def _start_head(self) -> None:
        if self._slow_head is None and not self.transport.is_closing():
            self._slow_head = self.loop.call_later(self._limits.head, self._refuse, 408)

    def _end_head(self) -> None:
        if self._slow_head is not None:
            self._slow_head.cancel()
            self._slow_head = None

    def _refuse(self, status: int) -> None:
        """Answer what is no request by a status, unless the response to it has begun, and close."""
        self._end_head()
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # Its application learns that the client is gone, and whatever it still sends is dropped.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            reason = http.HTTPStatus(status).phrase.encode("ascii")
            headers = [*self._connections.dated(), (b"content-length", b"0"), _CLOSE]
            self.transport.write(
                self.conn.send(h11.Response(status_code=status, headers=headers, reason=reason)) or b""
            )
            self.conn.send(h11.EndOfMessage())
        self.transport.close()

    async def _serve(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve a request, and close after it where the listener is closing, or its body has not come in."""
        is_chunked = False

        def send_last(message: ASGISendEvent) -> Awaitable[None]:
            nonlocal is_chunked
            if message["type"] == "http.response.start":
                self._lingering.hold()
                self.cycle.default_headers = self._connections.dated()
                headers = list(message.get("headers", ()))
                is_chunked = message["status"] == 200 and _is_chunked(scope, headers)
                if self._connections.closing or self._is_body_open():
                    others = [header for header in headers if header[0].lower() != b"connection"]
                    message["headers"] = [*others, _CLOSE]
            elif message["type"] == "http.response.body":
                is_chunked = is_chunked and message.get("more_body", False) and self.conn.our_state is h11.SEND_BODY
                if is_chunked:
                    return self._send_chunk(message.get("body", b""))
            return send(message)

        try:
            await self._served(scope, receive, send_last)
        except asyncio.CancelledError:
            # Ended by `Listening.close`: uvicorn would log it as an error of the application.
            if not self.cycle.disconnected:
                raise

    async def _send_chunk(self, body: bytes) -> None:
        """Send a part of a body of unknown length as h11 would, whose checks make it a sixth more expensive."""
        if self.flow.write_paused and not self.cycle.disconnected:
            await self.flow.drain()
        if body and not self.cycle.disconnected:
            self.transport.write(b"%x\r\n%b\r\n" % (len(body), body))


def _is_chunked(scope: HTTPScope, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether h11 sends the body of this response in chunks, for want of its length."""
    of_known_length = any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in headers)
    return scope["method"] == "GET" and scope["http_version"] == "1.1" and not of_known_length
