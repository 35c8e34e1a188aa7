"""Event streams of one pod: browsers read them at the public listener, programs append to them at the internal one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import PendingctlError, StreamClosed, StreamMissing, StreamMoved
from ..events.model import StreamName
from ..events.streams import Streams
from ..postgres.outages import Outage
from ..sse.access import Authorized
from ..sse.app import stream_app
from ..sse.tickets import Tickets, presented_by
from .bodies import read_body
from .callers import Callers
from .metrics import Metrics
from .problems import Problem
from .settings import Configuration
from .settings import Streams as StreamSettings
from .stream_requests import appended_by

MOST_BODY_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 10.0
# Of a reader's request: what uvicorn and StreamApp look at, and what holds tickets.
_HEADERS = frozenset({b"connection", b"cookie", b"last-event-id", b"origin"})
# The ring turns every few hours.
RING_SECONDS = 30.0

_log = logging.getLogger(__name__)


def connections_of_streams(connections: int) -> int:
    """Return how many of a pool's connections streams share: appends, and reads for whoever is behind."""
    return max(2, connections // 3)


class StreamsApp:
    """What a pod serves of streams: `routes` for the internal listener, `before` for the public one."""

    def __init__(self, configuration: Configuration, given: StreamSettings, streams: Streams, metrics: Metrics) -> None:
        self._organizations = configuration.organizations
        self._url = f"{configuration.public_url or ''}{configuration.public.base_path}/streams"
        self._lifetime = given.ticket_lifetime
        self._tickets = Tickets(given.keys)
        self._streams = streams
        self._metrics = metrics
        self._callers = Callers(
            configuration.organizations.values(), at_once=connections_of_streams(configuration.connections) - 1
        )
        self._readers = stream_app(streams, self._authorize, origins=given.origins, clients=given.clients)
        metrics.watch_streams(lambda: self._readers.clients, lambda: self._readers.sent, lambda: streams.counts)
        self.routes = [
            Route("/streams/{name}/events", self._append, methods=["POST"]),
            Route("/streams/{name}/close", self._close, methods=["POST"]),
            Route("/streams/{name}/tickets", self._sign, methods=["POST"]),
        ]

    def before(self, others: ASGIApp) -> ASGIApp:
        """Return an application that serves streams to browsers, and hands all other requests on to another one."""

        def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            # No frame of its own is kept for as long as a stream is read, and no header but those that are looked at:
            # all those of a browser take 3 KB.
            if _name(scope) is None:
                return others(scope, receive, send)
            scope["headers"][:] = [header for header in scope["headers"] if header[0] in _HEADERS]
            return self._readers(scope, receive, send)

        return serve

    async def look(self) -> None:
        """Look at the ring for as long as the pod lives."""
        outage = Outage(_log)
        while True:
            try:
                self._metrics.ring(await self._streams.ring.state())
                outage.over()
            except PendingctlError as error:
                outage.report("the ring of streams cannot be looked at for now: %s", error)
            await asyncio.sleep(RING_SECONDS)

    async def _authorize(self, scope: Scope) -> Authorized | None:
        name, now = _name(scope), datetime.now(UTC)
        for ticket in presented_by(scope):
            authorized = self._tickets.verify(ticket, now)
            if (
                authorized is not None
                and authorized.stream.name == name
                and authorized.stream.organization_id in self._organizations
            ):
                return authorized
        return None

    async def _append(self, request: Request) -> Response:
        organization = self._callers.organization(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the events as application/json")
        with self._callers.holding(organization) as hold:
            new = appended_by(await read_body(request, most=MOST_BODY_BYTES, within=BODY_SECONDS, hold=hold))
            stream = StreamName(organization.id, request.path_params["name"])
            try:
                async with self._callers.turn(organization):
                    appended = await self._streams.append(stream, new.events, expected=new.expected)
            except (StreamClosed, StreamMoved) as error:
                raise Problem(HTTPStatus.CONFLICT, str(error)) from None
        return JSONResponse(
            {
                "first_seq": appended.first_seq,
                "last_seq": appended.last_seq,
                "at": appended.at.isoformat(),
                "cursor": str(appended.cursor),
            },
            status_code=HTTPStatus.OK if appended.is_repeated else HTTPStatus.CREATED,
        )

    async def _close(self, request: Request) -> Response:
        organization = self._callers.organization(request)
        stream = StreamName(organization.id, request.path_params["name"])
        try:
            async with self._callers.turn(organization):
                last_seq = await self._streams.close(stream)
        except StreamMissing:
            raise Problem(HTTPStatus.NOT_FOUND, "your organization has no such stream") from None
        return JSONResponse({"last_seq": last_seq})

    async def _sign(self, request: Request) -> Response:
        """Return a ticket, also for a stream that does not exist yet: its reader may be there before its writer."""
        organization = self._callers.organization(request)
        stream = StreamName(organization.id, request.path_params["name"])
        if stream.name in (".", ".."):
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"browsers leave {stream.name!r} out of a URL; give the stream another name"
            )
        expires_at = (datetime.now(UTC) + self._lifetime).replace(microsecond=0)
        ticket = self._tickets.sign(stream, expires_at)
        return JSONResponse(
            {
                "ticket": ticket,
                "expires_at": expires_at.isoformat(),
                "url": f"{self._url}/{stream.name}?ticket={ticket}",
            }
        )


def _name(scope: Scope) -> str | None:
    """Return the name of the stream that a request is for; None where it is for something else."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    name = path.removeprefix("/streams/")
    return None if name == path or "/" in name else name
