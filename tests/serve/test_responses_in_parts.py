"""The parts of a response arrive as they were sent, framed as its client's version of HTTP wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import h11
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.serve.clients import PATIENCE, RawClient, exchange, listening_for, status_of

LAST = b"%s / HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n"
PARTS = [b"begun", b"", b"x" * 70_000, b"\r\n0\r\n\r\n"]


class _InParts:
    """An application that sends a response in these parts."""

    def __init__(
        self, parts: Sequence[bytes], *, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        start: Message = {"type": "http.response.start", "status": status, "headers": list(headers)}
        bodies: list[Message] = [{"type": "http.response.body", "body": part, "more_body": True} for part in parts]
        self.messages = [start, *bodies, {"type": "http.response.body"}]

    async def __call__(self, _: Scope, _receive: Receive, send: Send) -> None:
        for message in self.messages:
            await send(message)


async def test_a_client_of_http_1_1_gets_each_part_as_a_chunk() -> None:
    async with listening_for(_InParts(PARTS)) as listening:
        head, body = (await exchange(listening.port, LAST % (b"GET", b"1.1"))).split(b"\r\n\r\n", 1)
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    chunks = [part for part in PARTS if part]
    assert body == b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in chunks) + b"0\r\n\r\n"


async def test_a_client_of_http_1_0_gets_them_as_they_are_and_the_end_of_its_connection() -> None:
    async with listening_for(_InParts(PARTS)) as listening:
        head, body = (await exchange(listening.port, LAST % (b"GET", b"1.0"))).split(b"\r\n\r\n", 1)
    assert b"transfer-encoding" not in head.lower()
    assert body == b"".join(PARTS)


@pytest.mark.parametrize(
    ("method", "status", "headers", "body"),
    [
        (b"GET", 200, [(b"Content-Length", b"5")], b"begun"),
        (b"GET", 200, [(b"Transfer-Encoding", b"chunked")], b"2\r\nbe\r\n3\r\ngun\r\n0\r\n\r\n"),
        (b"POST", 200, [], b"2\r\nbe\r\n3\r\ngun\r\n0\r\n\r\n"),
        # Neither has a body, whatever an application sends (RFC 9112, section 6.3).
        (b"GET", 204, [], b""),
        (b"HEAD", 200, [], b""),
    ],
)
async def test_responses_of_all_kinds_have_the_body_that_their_head_says(
    method: bytes, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    async with listening_for(_InParts([b"be", b"gun"], status=status, headers=headers)) as listening:
        sent = await exchange(listening.port, LAST % (method, b"1.1"))
    assert status_of(sent) == status
    assert sent.split(b"\r\n\r\n", 1)[1] == body


async def test_the_connection_stays_for_the_next_request() -> None:
    async with listening_for(_InParts([b"begun"])) as listening, RawClient(listening.port) as client:
        for _ in range(3):
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                received = await client.reader.readuntil(b"\r\n0\r\n\r\n")
            assert received.endswith(b"\r\n\r\n5\r\nbegun\r\n0\r\n\r\n")


async def test_nothing_is_sent_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    app = _InParts([b"begun"])
    app.messages.append({"type": "http.response.body", "body": b"more", "more_body": True})
    with caplog.at_level(logging.ERROR):
        async with listening_for(app) as listening:
            sent = await exchange(listening.port, LAST % (b"GET", b"1.1"))
    assert status_of(sent) == 200
    assert sent.endswith(b"\r\n\r\n5\r\nbegun\r\n0\r\n\r\n")
    assert "response already completed" in caplog.text


async def test_a_head_that_cannot_be_sent_has_no_body() -> None:
    async def app(_: Scope, _receive: Receive, send: Send) -> None:
        with suppress(h11.LocalProtocolError):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"a\r\nb", b"c")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})

    async with listening_for(app) as listening:
        assert b"begun" not in await exchange(listening.port, LAST % (b"GET", b"1.1"))


async def test_a_part_before_the_head_is_an_error_of_the_application() -> None:
    app = _InParts([b"begun"])
    app.messages.reverse()
    async with listening_for(app) as listening:
        assert status_of(await exchange(listening.port, LAST % (b"GET", b"1.1"))) == 500
