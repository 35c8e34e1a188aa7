"""Requests that are odd, or are none: each gets a status that is true, and what is no request is its client's last."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.types import Receive, Scope, Send

from pendingctl.serve.connections import Limits
from tests.serve.clients import PATIENCE, RawClient, exchange, listening_for, status_of
from tests.serve.hello import APP, GET, LAST_GET, POST, complaints

QUICK = Limits(linger=0.3)


@pytest.mark.parametrize("pause", [0, 0.01])
async def test_a_head_over_the_limit_is_431(pause: float) -> None:
    async with listening_for(APP) as listening, RawClient(listening.port) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
        for number in range(1_000):
            client.send(b"X-Flood-%d: %s\r\n" % (number, b"x" * 100))
            if number == 100:
                await asyncio.sleep(pause)
        client.send(b"\r\n")
        refused = await client.rest()
        assert status_of(refused) == 431
        assert b"connection: close" in refused.lower()


ODD_BUT_VALID = {
    "HTTP/1.0": b"GET /hello HTTP/1.0\r\n\r\n",
    "HTTP/1.0 that asks to be kept": b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "bare LF": b"GET /hello HTTP/1.1\nHost: a\nConnection: close\n\n",
    "absolute form": b"GET http://elsewhere/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "pipelined": GET * 5 + LAST_GET,
    "empty lines first": b"\r\n\r\n" + LAST_GET,
    "a websocket": LAST_GET[:-2] + b"Upgrade: websocket\r\nConnection: upgrade, close\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", ODD_BUT_VALID.values(), ids=ODD_BUT_VALID)
async def test_odd_requests_are_answered(request_bytes: bytes) -> None:
    # An empty line is no request line to h11, which may refuse it.
    allowed = {200, 400} if request_bytes.startswith(b"\r\n") else {200}
    async with listening_for(APP) as listening:
        response = await exchange(listening.port, request_bytes)
        assert status_of(response) in allowed
        assert response.count(b"HTTP/1.1 200") in (request_bytes.count(b" HTTP/1."), 0)


BROKEN = {
    "no HTTP": b"\x00\x01\x02 hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"GET /hello HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a space before the colon": b"GET /hello HTTP/1.1\r\nHost : a\r\n\r\n",
    "a NUL in a value": b"GET /hello HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "a target that is not ASCII": "GET /héllo HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length that is none": POST + b"Content-Length: x\r\n\r\n",
    "a length beyond all numbers": POST + b"Content-Length: %s\r\n\r\n" % (b"9" * 5_000),
    "a length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a negative chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "a huge chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n" % (b"f" * 100),
    "a chunk longer than its size": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxxxx\r\n0\r\n\r\n",
    "a chunk size that never ends": POST + b"Transfer-Encoding: chunked\r\n\r\n1;%s" % (b"x" * 40_000),
    "a bad second chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\nzz\r\n",
    "a bad chunk to a response without a body": POST.replace(b"POST", b"HEAD")
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("request_bytes", BROKEN.values(), ids=BROKEN)
async def test_broken_requests_are_4xx_and_close(request_bytes: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with listening_for(APP, limits=QUICK) as listening:
            response = await exchange(listening.port, request_bytes)
            assert 400 <= status_of(response) < 500
            assert b"connection: close" in response.lower()
            assert status_of(await exchange(listening.port, LAST_GET)) == 200
    assert not complaints(caplog)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /%00%ff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET //hello HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET %2Fhello HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a//b/hello HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a%2F%2Fb/hello HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:%2F%2Fb/hello HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
        b"M" * 1_000 + b" /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET " + b"x" * 1_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_targets_of_nothing_are_404(request_bytes: bytes) -> None:
    async with listening_for(APP) as listening, RawClient(listening.port) as client:
        client.send(request_bytes)
        assert status_of(await client.response()) == 404


async def test_head_has_no_body_and_the_connection_stays() -> None:
    async with listening_for(APP) as listening, RawClient(listening.port) as client:
        client.send(GET.replace(b"GET", b"HEAD") + LAST_GET)
        both = await client.rest()
        assert both.count(b"200 OK") == 2
        assert both.count(b"hello") == 1


async def test_a_body_comes_after_100_continue() -> None:
    async with listening_for(APP) as listening, RawClient(listening.port) as client:
        client.send(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert status_of(await client.response()) == 100
        client.send(b"body")
        assert (await client.response()).endswith(b"body")


async def test_a_request_that_breaks_once_its_response_has_begun_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    gone = asyncio.Event()

    async def answer_first(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with listening_for(answer_first, limits=QUICK) as listening, RawClient(listening.port) as client:
        client.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert (await client.reader.readuntil(b"begun")).startswith(b"HTTP/1.1 200")
        client.send(b"zz\r\n")
        assert b"HTTP" not in await client.rest()
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
    assert not complaints(caplog)
