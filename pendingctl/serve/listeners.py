"""Where requests arrive: listening sockets, TLS, trusted proxies, and the path below which an application is reached.

Connections are accepted here rather than by asyncio's server, which counts none that is still in its TLS handshake.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import logging
import os
import re
import socket
import ssl
from collections.abc import Awaitable
from typing import cast
from urllib.parse import unquote

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGIApplication
from uvicorn.server import ServerState

from ..errors import InvalidInput
from .connections import Connection, Connections, Limits
from .settings import Listener, Tls

LIMITS = Limits()

# Connections that wait in the kernel while this process does something else.
_BACKLOG = 4_096
# How many are taken from there before other work has its turn.
_ACCEPTED_AT_ONCE = 64
# Until connections are accepted again, once the process or the machine has run out of files.
_PAUSE_SECONDS = 1.0
# What the kernel holds of a connection beside what is on its way. Its buffer takes megabytes, and takes more only when
# a third of it is free: a client that reads slowly but always would seem to take nothing, and a thousand that read
# nothing would fill the machine's memory.
_UNSENT_BYTES = 64 * 1024
# How long a closing listener looks out for requests that are on their way, and in how many parts: a machine that gives
# the process no turn takes one of them, and what has come in meanwhile is read in the next.
_LAST_SECONDS = 0.2
_LAST_PARTS = 4
# How long applications may take to end once they are cancelled.
_CANCEL_SECONDS = 1.0

_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

# The target of a request to a proxy has one before its path (RFC 9112, section 3.2.2).
_ORIGIN = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")

_log = logging.getLogger(__name__)


class Listening:
    """A listener that accepts connections, made by `listen`; `close` ends it."""

    def __init__(
        self, sockets: list[socket.socket], config: uvicorn.Config, tls: ssl.SSLContext | None, limits: Limits
    ):
        self._sockets = sockets
        self._config = config
        self._tls = tls
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._state = ServerState()
        self._connections = Connections(limits)
        self._opening: set[asyncio.Task[None]] = set()
        self.port = int(sockets[0].getsockname()[1])
        for listening in sockets:
            self._loop.add_reader(listening, self._accept, listening)

    @property
    def open_connections(self) -> int:
        """How many connections are open, those in their TLS handshake included."""
        return len(self._connections.open) + len(self._opening)

    async def stop_accepting(self) -> None:
        """Accept no more connections; requests on those that are open are answered, and each is its connection's last.

        A client that waits in the kernel's queue is still served.
        """
        self._connections.closing = True
        for listening in self._sockets:
            self._loop.remove_reader(listening)
            # No more than that wait, unless more and more come in.
            for _ in range(_BACKLOG):
                if not self._accept_one(listening):
                    break
            listening.close()
        self._sockets = []

    async def close(self, *, within: float) -> None:
        """Close all connections: those without a request at once, the others when theirs is answered.

        After `within` seconds whatever is still under way is cut off.
        """
        await self.stop_accepting()
        try:
            async with asyncio.timeout(within):
                # A request may be on its way, above all on a connection that has just come.
                for _ in range(_LAST_PARTS):
                    await self._quiet(for_at_most=_LAST_SECONDS / _LAST_PARTS)
                for opening in self._opening:
                    opening.cancel()
                for connection in list(self._connections.open):
                    connection.close_if_idle()
                while not await self._quiet():
                    pass
        except TimeoutError:
            await self._cut_off()

    async def _quiet(self, *, for_at_most: float | None = None) -> bool:
        """Wait until all that is under way now has ended, and return whether nothing was."""
        lost = [connection.lost for connection in self._connections.open]
        under_way = [*lost, *self._state.tasks, *self._opening]
        if under_way:
            await asyncio.wait(under_way, timeout=for_at_most)
        return not under_way

    async def _cut_off(self) -> None:
        lost = [connection.lost for connection in self._connections.open]
        tasks = list(self._state.tasks)
        if lost or tasks:
            # Where no request is lost nobody has to look: a client may always have half of a head on its way.
            level = logging.WARNING if tasks else logging.INFO
            _log.log(level, "cut off at the end: %d open connections, %d requests under way", len(lost), len(tasks))
        for connection in list(self._connections.open):
            connection.abort()
        if lost:
            await asyncio.wait(lost, timeout=_CANCEL_SECONDS)
        for task in (cancelled := [*tasks, *self._opening]):
            task.cancel()
        if cancelled:
            await asyncio.wait(cancelled, timeout=_CANCEL_SECONDS)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._accept_one(listening):
                return

    def _accept_one(self, listening: socket.socket) -> bool:
        """Accept a connection, and return whether another may wait."""
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            # Asked again at once, the kernel would say the same, and nothing else would be done.
            _log.error("no connection can be accepted: %s", error.strerror)
            self._loop.remove_reader(listening)
            self._loop.call_later(_PAUSE_SECONDS, self._resume, listening)
            return False
        if self._is_full():
            accepted.close()
            return True
        accepted.setblocking(False)
        opening = self._loop.create_task(self._open(accepted))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._accept, listening)

    def _is_full(self) -> bool:
        """Return whether no more connections may be open, once the one that was idle for longest has made room."""
        if self.open_connections < self._limits.connections:
            return False
        longest = next(iter(self._connections.idle), None)
        if longest is None:
            return True
        del self._connections.idle[longest]
        # Over TLS a client could put off the end of what is only closed, and have more connections than are allowed.
        longest.abort()
        return False

    async def _open(self, accepted: socket.socket) -> None:
        serve = functools.partial(Connection, self._config, self._state, {}, self._loop, connections=self._connections)
        try:
            # Of a client that is gone again macOS lets none of them be set.
            self._set_options(accepted)
            await self._loop.connect_accepted_socket(
                serve,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.handshake if self._tls else None,
                ssl_shutdown_timeout=self._limits.linger if self._tls else None,
            )
        except OSError:
            # A client that speaks no TLS, takes too long, or is gone again; asyncio has closed the connection.
            accepted.close()

    def _set_options(self, accepted: socket.socket) -> None:
        # asyncio sets it for sockets made by itself alone; without it a response's body waits for the client's ACK.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Linux alone. A peer that takes nothing, of which nothing else is noticed while the kernel's buffers are
            # not full: those of a stream may never be.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._limits.write * 1000))
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


async def listen(app: ASGIApp, listener: Listener, *, limits: Limits = LIMITS) -> Listening:
    """Serve an application from now on, where the listener says.

    Requests below its base path reach the application with that as their `root_path`; others are 404.

    Raises InvalidInput when the address or the files of the certificate cannot be used.
    """
    tls = tls_context(listener.tls) if listener.tls else None
    config = uvicorn.Config(
        cast(ASGIApplication, _Below(app, listener.base_path)),
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        # Otherwise each request that is none would be a warning.
        log_level=logging.ERROR,
        access_log=False,
        proxy_headers=bool(listener.trusted_proxies),
        forwarded_allow_ips=[_network(trusted) for trusted in listener.trusted_proxies],
        timeout_keep_alive=limits.idle,
        h11_max_incomplete_event_size=limits.head_bytes,
    )
    config.load()
    return Listening(await _bind(listener), config, tls, limits)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the TLS of a listener, 1.2 at least. Raises InvalidInput when a file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password OpenSSL would ask for that of an encrypted key at the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password="")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidInput(
            f"the certificate {tls.certificate} with the key {tls.key} cannot be used: {why}; "
            "both files must be readable PEM, and the key without a passphrase"
        ) from error
    return context


async def _bind(listener: Listener) -> list[socket.socket]:
    """Return sockets that listen on each address of the listener's host, all on one port; `::` is all addresses."""
    address = f"[{listener.host}]:{listener.port}" if ":" in listener.host else f"{listener.host}:{listener.port}"
    # One socket for both would give IPv4 addresses another form, in which no trusted proxy is named.
    host = None if listener.host == "::" else listener.host
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise InvalidInput(f"cannot listen on {address}: the host is unknown here") from error
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    port = listener.port
    for family, _, _, _, place in dict.fromkeys(found):
        try:
            made = socket.create_server((str(place[0]), port, *place[2:]), family=family, backlog=_BACKLOG)
        except OSError as error:
            if error.errno in _NO_SUCH_ADDRESS:
                # localhost may have an IPv6 address where IPv6 is switched off.
                missing = error
                continue
            _close(sockets)
            raise _cannot_listen(address, error) from error
        made.setblocking(False)
        port = int(made.getsockname()[1])
        sockets.append(made)
    if missing is not None and not sockets:
        raise _cannot_listen(address, missing) from missing
    return sockets


def _cannot_listen(address: str, error: OSError) -> InvalidInput:
    remedies = {
        errno.EADDRINUSE: "stop what listens there, or choose another port",
        errno.EACCES: "choose a port from 1024 on, or give the process the right to lower ones",
    }
    why = os.strerror(error.errno) if error.errno else str(error)
    remedy = remedies.get(error.errno or 0, "choose an address of this machine")
    return InvalidInput(f"cannot listen on {address}: {why}; {remedy}")


def _close(sockets: list[socket.socket]) -> None:
    for made in sockets:
        made.close()


def _network(trusted: str) -> str:
    """Return a network without the bits of an address in it, which uvicorn would take for a name."""
    return str(ipaddress.ip_network(trusted, strict=False)) if "/" in trusted else trusted


class _Below:
    """Hands requests below a path on to an application, whose `root_path` it is (ASGI, "HTTP connection scope")."""

    def __init__(self, app: ASGIApp, base_path: str) -> None:
        self._app = app
        self._base_path = base_path

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own, which would be kept for as long as a stream is read.
        if origin := _ORIGIN.match(scope["raw_path"]):
            scope["raw_path"] = scope["raw_path"][origin.end() :] or b"/"
            scope["path"] = unquote(scope["raw_path"].decode("ascii"))
        if {name for name, _ in scope["headers"]} >= {b"content-length", b"transfer-encoding"}:
            # A proxy and this server may see different ends of such a request (RFC 9112, section 6.3).
            refused = PlainTextResponse("Bad Request", status_code=400, headers={"connection": "close"})
            return refused(scope, receive, send)
        # An encoded slash is none at the beginning of a target.
        is_path = scope["method"] != "CONNECT" and scope["raw_path"].startswith(b"/")
        if not is_path or not scope["path"].startswith(f"{self._base_path}/"):
            return PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        scope["root_path"] = self._base_path
        return self._app(scope, receive, send)
