"""The application before servers of ASGI that are slow, lose their clients at any moment, or say so in other ways."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import cast

import psycopg
import pytest

from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from pendingctl.sse import app as app_module
from pendingctl.sse import clients as clients_module
from pendingctl.sse.access import Authorized, Message, Scope
from pendingctl.sse.app import StreamApp, stream_app
from tests.events.writers import CHAT, append
from tests.patience import be_patient
from tests.sse.event_source import PATIENCE, EventSource, until

SCOPE = {"type": "http", "method": "GET", "path": "/chat", "query_string": b"", "headers": []}


@dataclass
class Server:
    """A server with one client, which is gone after so many sends. `sends` are the seconds that each send takes."""

    sends: list[float] = field(default_factory=list)
    leaves_after: int | None = None
    raises: type[Exception] | None = None
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)
    received: list[Message] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    source: EventSource = field(default_factory=EventSource)
    is_ended: bool = False

    async def receive(self) -> Message:
        if not self.received:
            self.received.append({"type": "http.request", "body": b"", "more_body": False})
            return self.received[0]
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.leaves_after is not None:
            self.leaves_after -= 1
            if self.leaves_after < 0:
                self.is_gone.set()
        if self.sends:
            await asyncio.sleep(self.sends.pop(0))
        if self.is_gone.is_set():
            if self.raises is not None:
                raise self.raises("the client is gone")
            return
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])
        else:
            self.source.take(message.get("body", b""))
            self.is_ended = not message.get("more_body", False)


async def nothing_left(app: StreamApp) -> None:
    """Return once no client is there, nor a task for one; what is cancelled ends some turns later."""
    await until(lambda: app.clients == 0)
    await until(lambda: not [task for task in asyncio.all_tasks() if "client" in task.get_name()])


@pytest.mark.parametrize("raises", [None, OSError, ConnectionResetError])
async def test_whenever_a_client_leaves_nothing_of_it_stays(
    pool: Pool,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    raises: type[Exception] | None,
) -> None:
    # A read that is given up is logged.
    be_patient(monkeypatch, Purpose.LOOP)
    monkeypatch.setattr(clients_module, "COMMENT_SECONDS", 0.0)
    monkeypatch.setattr(clients_module, "LOOK_SECONDS", 0.002)
    append(connection, *(str(number) * 300 for number in range(400)))
    streams = Streams(pool, pod="pod")
    random = Random(7)
    try:
        for _ in range(60):
            until_then = random.choice([None, datetime.now(UTC) + timedelta(seconds=random.uniform(0, 0.05))])

            async def authorize(scope: Scope, until_then: datetime | None = until_then) -> Authorized | None:
                del scope
                await asyncio.sleep(random.choice([0, 0.001]))
                return Authorized(CHAT, until_then)

            app = stream_app(streams, authorize)
            sends = [random.choice([0, 0, 0.001, 0.02]) for _ in range(30)]
            server = Server(sends=sends, leaves_after=random.randrange(12), raises=raises)
            serving = asyncio.ensure_future(app(dict(SCOPE), server.receive, server.send))
            match random.randrange(3):
                case 0:
                    await asyncio.sleep(random.uniform(0, 0.03))
                    server.is_gone.set()
                case 1:
                    await asyncio.sleep(random.uniform(0, 0.03))
                    serving.cancel()
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait([serving])
            assert serving.cancelled() or serving.exception() is None
            await nothing_left(app)
            numbers = [event.data for event in server.source.dispatched]
            assert numbers == [str(number) * 300 for number in range(len(numbers))]
    finally:
        await streams.drain(0)
    assert not [record for record in caplog.records if record.name.startswith(("pendingctl", "asyncio"))]


async def test_an_event_that_is_broken_off_is_given_to_nobody(pool: Pool, connection: psycopg.Connection) -> None:
    cursor = append(connection, "x" * 100_000)
    streams = Streams(pool, pod="pod")

    async def authorize(scope: Scope) -> Authorized | None:
        del scope
        return Authorized(CHAT, datetime.now(UTC) + timedelta(seconds=0.2))

    # The head, what stands before the event, and of the event all but its last piece.
    server = Server(sends=[0, 0, 0, 0, 0, 60])
    async with asyncio.timeout(PATIENCE):
        await stream_app(streams, authorize)(dict(SCOPE), server.receive, server.send)
    assert (server.source.dispatched, server.is_ended) == ([], True)
    # It comes again to whoever comes back: with the position after it, the next one alone would.
    assert server.source.last_event_id != str(cursor)
    await streams.drain(0)


@pytest.mark.parametrize("datas", [["x" * 1_000_000], ["x" * 4_000] * 200])
async def test_a_client_that_is_gone_is_sent_little_more(
    pool: Pool, connection: psycopg.Connection, datas: list[str]
) -> None:
    append(connection, *datas)
    streams = Streams(pool, pod="pod")
    is_gone = asyncio.Event()
    sent: list[Message] = []

    async def receive() -> Message:
        await is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 5:
            # As a server's transport finds it, whose sends wait for nothing.
            asyncio.get_running_loop().call_soon(is_gone.set)

    async def authorize(scope: Scope) -> Authorized | None:
        del scope
        return Authorized(CHAT)

    async with asyncio.timeout(PATIENCE):
        await stream_app(streams, authorize)(dict(SCOPE), receive, send)
    assert len(sent) < 15
    await streams.drain(0)


async def test_a_permission_that_nobody_states_is_no_refusal(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "AUTHORIZE_SECONDS", 0.05)

    async def authorize(scope: Scope) -> Authorized | None:
        await asyncio.Event().wait()
        raise AssertionError(scope)

    app, server = stream_app(Streams(pool, pod="pod"), authorize), Server()
    async with asyncio.timeout(PATIENCE):
        await app(dict(SCOPE), server.receive, server.send)
    assert (server.statuses, server.source.dispatched) == ([200], [])
    assert server.source.retry is not None
    assert app.sent.refused == 1


async def test_a_permission_for_what_is_no_stream_leaves_no_client(pool: Pool) -> None:
    async def authorize(scope: Scope) -> Authorized | None:
        del scope
        return cast(Authorized, "chat")

    app, server = stream_app(Streams(pool, pod="pod"), authorize), Server()
    with pytest.raises(AttributeError):
        await app(dict(SCOPE), server.receive, server.send)
    assert app.clients == 0


async def test_a_server_that_cannot_tell_whether_a_client_is_gone_serves_none(pool: Pool) -> None:
    """As one behind a middleware that limits the time of a request's body."""

    async def receive() -> Message:
        await asyncio.sleep(0)
        raise RuntimeError("the body takes too long")

    async def authorize(scope: Scope) -> Authorized | None:
        del scope
        return Authorized(CHAT)

    streams, server = Streams(pool, pod="pod"), Server()
    app = stream_app(streams, authorize)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(RuntimeError, match="too long"):
            await app(dict(SCOPE), receive, server.send)
    assert app.clients == 0
    await streams.drain(0)


async def test_a_websocket_is_refused(pool: Pool) -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def authorize(scope: Scope) -> Authorized | None:
        raise AssertionError(scope)

    sent: list[str] = []
    await stream_app(Streams(pool, pod="pod"), authorize)({"type": "websocket", "path": "/chat"}, receive, send)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize("change", [{"method": "HEAD"}, {"path": "/forbidden"}])
async def test_whoever_is_refused_and_gone_is_no_error(pool: Pool, change: dict[str, str]) -> None:
    async def nothing(scope: Scope) -> Authorized | None:
        del scope
        return None

    server = Server(leaves_after=0, raises=OSError)
    await stream_app(Streams(pool, pod="pod"), nothing)({**SCOPE, **change}, server.receive, server.send)
    assert server.is_gone.is_set()
