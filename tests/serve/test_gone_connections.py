"""Connections that have ended leave nothing, not even to the garbage collector, for which a whole pod stands still."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from pendingctl.serve.connections import Limits
from pendingctl.serve.listeners import Listening
from tests.serve.clients import PATIENCE, RawClient, listening_for
from tests.sse.event_source import until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
# Of what ends by a time of the listener's; what is to come in has all the time that it takes.
ENDING = {"a head that does not end": Limits(head=0.1), "a body that is not read": Limits(linger=0.1)}
# What a client sends, and whether it waits for the end of its connection. (What is no request is left to the collector:
# h11's error refers to itself.)
SENT = {
    "nothing": (b"", False),
    "half of a head": (b"GET", False),
    "a head that does not end": (b"GET", True),
    "one request": (GET, False),
    "a last request": (b"GET / HTTP/1.0\r\n\r\n", True),
    "two requests at once": (GET + GET, False),
    "half of a body": (POST + b"Content-Length: 9\r\n\r\nx", False),
    "a body that is not read": (POST + b"Content-Length: 9\r\n\r\nx", True),
    "a reader of a stream": (GET.replace(b"/ ", b"/stream "), False),
}


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    await send({"type": "http.response.body", "body": b"ended"})


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _left() -> Counter[str]:
    modules = ("pendingctl.serve", "uvicorn", "h11")
    return Counter(type(each).__name__ for each in gc.get_objects() if str(type(each).__module__).startswith(modules))


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", SENT)
async def test_a_connection_that_is_gone_is_freed_without_the_collector(name: str) -> None:
    sent, waits = SENT[name]
    async with listening_for(_app, limits=ENDING.get(name, Limits())) as listening:
        before = _left()
        await _exchange(listening, sent, waits=waits)
        await until(lambda: listening.open_connections == 0)
        # Its tasks end some turns later.
        await until(lambda: not _left() - before)


async def _exchange(listening: Listening, sent: bytes, *, waits: bool) -> None:
    async with RawClient(listening.port) as client:
        client.send(sent)
        if waits:
            await client.rest()
        elif sent.endswith(b"\r\n\r\n"):
            async with asyncio.timeout(PATIENCE):
                await client.reader.readuntil(b"ed")
