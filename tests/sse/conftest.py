"""Two pods that serve the streams of one database over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from pendingctl.events.model import StreamName
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.serve.connections import Limits
from pendingctl.serve.listeners import LIMITS, Listening
from pendingctl.sse.access import Authorize, Authorized, Scope
from pendingctl.sse.app import StreamApp, stream_app
from pendingctl.sse.clients import CLIENTS
from tests.serve.clients import listening_for

ORIGIN = "https://app.example.com"


@dataclass
class Pod:
    """One pod. What it may serve is acme's, but for the stream `forbidden`."""

    streams: Streams
    app: StreamApp
    listening: Listening
    lifetime: timedelta | None = None
    troubles: list[BaseException] = field(default_factory=list)

    def url(self, name: str = "chat", query: str = "") -> str:
        return f"http://127.0.0.1:{self.listening.port}/{name}{query}"


@asynccontextmanager
async def running(
    pool: Pool,
    *,
    authorize: Authorize | None = None,
    origins: Sequence[str] = (ORIGIN,),
    clients: int = CLIENTS,
    limits: Limits = LIMITS,
) -> AsyncIterator[Pod]:
    async def by_name(scope: Scope) -> Authorized | None:
        if started.troubles:
            raise started.troubles[0]
        name = scope["path"].removeprefix("/")
        until = None if started.lifetime is None else datetime.now(UTC) + started.lifetime
        return None if name == "forbidden" else Authorized(StreamName("acme", name), until)

    streams = Streams(pool, pod="pod")
    app = stream_app(streams, authorize or by_name, origins=origins, clients=clients)
    async with listening_for(app, limits=limits) as listening:
        started = Pod(streams, app, listening)
        yield started
        await streams.drain(0)
        await streams.settled()


@pytest.fixture
async def pod(pool: Pool) -> AsyncIterator[Pod]:
    async with running(pool) as pod:
        yield pod


@pytest.fixture
async def other_pod(pool: Pool) -> AsyncIterator[Pod]:
    async with running(pool) as pod:
        yield pod
