"""A body is read within a size and a time, and its connection is closed where it is not read to its end."""

from __future__ import annotations

import asyncio
import json
import socket
from http import HTTPStatus

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pendingctl.serve.bodies import BodyBroken, read_body
from pendingctl.serve.connections import Limits
from pendingctl.serve.problems import application
from tests.serve.clients import PATIENCE, RawClient, exchange, listening_for, status_of

MOST = 1_000
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
LENGTH = POST + b"Content-Length: %d\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
QUICK = Limits(linger=0.3)


class Reader:
    """An application that reads bodies, and notes which were broken off."""

    def __init__(self, *, within: float = PATIENCE) -> None:
        self._within = within
        self.broken: asyncio.Future[BodyBroken] = asyncio.get_running_loop().create_future()
        self.app = application([Route("/", self._read, methods=["POST"])])

    async def _read(self, request: Request) -> Response:
        try:
            return Response(b"read " + await read_body(request, most=MOST, within=self._within))
        except BodyBroken as error:
            self.broken.set_result(error)
            raise


@pytest.fixture
async def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize(
    "sent",
    [
        LENGTH % MOST + b"x" * MOST,
        CHUNKED + b"1f4\r\n" + b"x" * 500 + b"\r\n1f4\r\n" + b"x" * 500 + b"\r\n0\r\n\r\n",
    ],
    ids=["stated", "chunked"],
)
async def test_a_body_of_the_greatest_size_is_read_and_the_connection_kept(reader: Reader, sent: bytes) -> None:
    async with listening_for(reader.app) as listening, RawClient(listening.port) as client:
        for _ in range(2):
            client.send(sent)
            assert (await client.response()).endswith(b"read " + b"x" * MOST)


async def test_no_body_is_an_empty_one(reader: Reader) -> None:
    async with listening_for(reader.app) as listening, RawClient(listening.port) as client:
        client.send(POST + b"\r\n")
        assert (await client.response()).endswith(b"read ")


async def test_a_body_that_says_it_is_too_large_is_413_before_any_of_it(reader: Reader) -> None:
    async with listening_for(reader.app, limits=QUICK) as listening, RawClient(listening.port) as client:
        client.send(LENGTH.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") % (MOST + 1))
        refused = await client.rest()
        assert status_of(refused) == 413
        assert b"connection: close" in refused
        assert json.loads(refused.split(b"\r\n\r\n")[1]) == {
            "type": "about:blank",
            "title": HTTPStatus(413).phrase,
            "status": 413,
            "detail": "the body has 1001 bytes; at most 1000 are read",
        }


@pytest.mark.parametrize("size", [b"3e9", b"fffffff"])
async def test_a_body_of_chunks_is_413_once_it_is_too_large(reader: Reader, size: bytes) -> None:
    async with listening_for(reader.app, limits=QUICK) as listening:
        refused = await exchange(listening.port, CHUNKED + size + b"\r\n" + b"x" * (MOST + 1))
        assert status_of(refused) == 413
        assert b"connection: close" in refused


@pytest.mark.parametrize("head", [LENGTH % MOST, CHUNKED + b"ff\r\n"], ids=["stated", "chunked"])
async def test_a_body_that_drips_is_408(head: bytes) -> None:
    app = Reader(within=0.3).app
    async with listening_for(app, limits=QUICK) as listening, RawClient(listening.port) as client:

        async def drip() -> None:
            client.send(head)
            while True:
                client.send(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        refused = await client.rest()
        dripping.cancel()
        assert status_of(refused) == 408
        assert b"connection: close" in refused
        assert refused.endswith(b'"the body did not come in within 0.3 s; send it at once"}')


@pytest.mark.parametrize("sent", [LENGTH % MOST + b"x", CHUNKED + b"1\r\nx\r\nzz\r\n"], ids=["gone", "no chunk"])
async def test_a_body_that_breaks_off_is_reported_to_the_application(reader: Reader, sent: bytes) -> None:
    async with listening_for(reader.app, limits=QUICK) as listening:
        async with RawClient(listening.port) as client:
            client.send(sent)
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert str(await reader.broken) == "the client went away before the end of the body"


async def test_a_body_in_many_chunks_keeps_nobody_waiting_until_it_is_parsed() -> None:
    read = 0

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal read
        if scope["method"] == "POST":
            while (message := await receive())["type"] == "http.request":
                read += len(message["body"])
        else:
            await Response(str(read))(scope, receive, send)

    async with listening_for(count) as listening:
        # Both have sent all before the listener has a turn.
        with socket.create_connection(("127.0.0.1", listening.port), PATIENCE) as flooding:
            flooding.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
            flooding.sendall(CHUNKED + b"1\r\nx\r\n" * 20_000)
            with socket.create_connection(("127.0.0.1", listening.port), PATIENCE) as other:
                other.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                other.setblocking(False)
                async with asyncio.timeout(PATIENCE):
                    response = await asyncio.get_running_loop().sock_recv(other, 4_096)
    assert 0 < int(response.split(b"\r\n\r\n")[1]) < 20_000
