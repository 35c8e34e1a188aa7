"""What comes after a connection's last request changes nothing for the response to it (RFC 9112, section 9.6)."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from tests.serve.clients import PATIENCE, RawClient, exchange, listening_for

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = {
    "HTTP/1.1": b"GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET /held HTTP/1.0\r\n\r\n",
}


class Held:
    """An application of which the requests for /held wait until the test lets them go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        if scope["path"] == "/held":
            self.arrived.set()
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"held"})


@pytest.mark.parametrize("request_bytes", LAST.values(), ids=LAST)
@pytest.mark.parametrize("more", [b"\r\n", GET, b"x" * 8 * 2**20], ids=["an empty line", "a request", "a flood"])
async def test_a_client_that_sends_on_gets_its_response_and_no_reset(request_bytes: bytes, more: bytes) -> None:
    app = Held()
    async with listening_for(app) as listening, RawClient(listening.port) as client:
        client.send(request_bytes)
        async with asyncio.timeout(PATIENCE):
            await app.arrived.wait()
        client.send(more)
        # The listener has had a turn to read it.
        await exchange(listening.port, b"GET / HTTP/1.0\r\n\r\n")
        app.go.set()
        async with asyncio.timeout(PATIENCE):
            response = await client.reader.read()
    assert response.startswith(b"HTTP/1.1 200")
    assert response.endswith(b"\r\n\r\nheld")


async def test_a_client_that_pipelines_gets_its_last_response_of_a_closing_listener_and_no_reset() -> None:
    async with listening_for(Held()) as listening, RawClient(listening.port) as client:
        client.send(GET)
        await client.response()
        await listening.stop_accepting()
        client.send(GET * 40_000)
        async with asyncio.timeout(PATIENCE):
            response = await client.reader.read()
    assert response.startswith(b"HTTP/1.1 200")
    assert response.endswith(b"\r\n\r\nheld")
    assert response.count(b"HTTP/1.1 ") == 1


async def test_a_client_that_pipelines_without_end_gets_its_response_and_the_end() -> None:
    app = Held()
    async with listening_for(app) as listening, RawClient(listening.port) as client:
        client.send(GET.replace(b"/", b"/held", 1))
        async with asyncio.timeout(PATIENCE):
            await app.arrived.wait()
            client.send(GET * 200_000)
            # All of it is taken, so that the client's end would be seen behind it.
            await client.writer.drain()
            app.go.set()
            response = await client.reader.read()
    assert response.count(b"HTTP/1.1 200") == 1
    assert response.endswith(b"\r\n\r\nheld")


async def test_a_client_that_pipelines_and_leaves_is_seen_to_leave() -> None:
    gone = asyncio.Event()

    async def say_nothing(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with listening_for(say_nothing) as listening:
        async with RawClient(listening.port) as client:
            client.send(GET)
            async with asyncio.timeout(PATIENCE):
                await client.reader.readuntil(b"\r\n\r\n")
            client.send(GET)
            await client.writer.drain()
            client.writer.close()
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
