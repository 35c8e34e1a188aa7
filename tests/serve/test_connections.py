"""Clients that are slow, stalled or gone: each gets a status that is true, or is closed, in a bounded time."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from email.utils import parsedate_to_datetime

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from pendingctl.serve.connections import Limits
from pendingctl.serve.listeners import Listening
from tests.serve.clients import PATIENCE, RawClient, exchange, listening_for, status_of
from tests.serve.hello import APP, BIG, GET, LAST_GET, POST, complaints

SHORT = Limits(linger=0.3)
SHORT_HEAD = replace(SHORT, head=0.3)


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /hello HTTP/1.1\r\nHost: a\r\n"])
async def test_a_head_that_does_not_end_is_408(begun: bytes) -> None:
    async with listening_for(APP, limits=SHORT_HEAD) as listening:
        refused = await exchange(listening.port, begun)
        assert status_of(refused) == 408
        assert b"connection: close" in refused.lower()
        assert b"\r\ndate: " in refused


async def test_dripping_bytes_do_not_extend_the_time_of_a_head() -> None:
    async with listening_for(APP, limits=SHORT_HEAD) as listening, RawClient(listening.port) as client:

        async def drip() -> None:
            client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            while True:
                await asyncio.sleep(0.05)
                client.send(b"x")

        dripping = asyncio.create_task(drip())
        # While they go on; reset by what was sent after it was closed, or at the end of its time to linger.
        assert status_of(await client.rest()) == 408
        dripping.cancel()


async def test_the_head_of_a_later_request_has_the_same_time() -> None:
    async with listening_for(APP, limits=SHORT_HEAD) as listening, RawClient(listening.port, first=GET) as client:
        assert status_of(await client.response()) == 200
        client.send(b"GET /hel")
        assert status_of(await client.rest()) == 408


async def test_the_head_of_a_pipelined_request_has_the_same_time() -> None:
    first = GET + b"GET /hel"
    async with listening_for(APP, limits=SHORT_HEAD) as listening, RawClient(listening.port, first=first) as client:
        assert status_of(await client.response()) == 200
        assert status_of(await client.rest()) == 408


async def test_an_idle_connection_outlives_the_time_of_a_head() -> None:
    async with listening_for(APP, limits=SHORT_HEAD) as listening, RawClient(listening.port, first=GET) as client:
        await client.response()
        await asyncio.sleep(1.2 * SHORT_HEAD.head)
        client.send(GET)
        assert status_of(await client.response()) == 200


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with listening_for(APP, limits=Limits(idle=1)) as listening, RawClient(listening.port) as client:
        client.send(GET)
        await client.response()
        assert await client.rest() == b""


async def test_a_client_that_is_gone_when_its_response_is_sent_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Its body is on its way for all that the server knows, which closes its own side first."""
    client, responded = socket.socket(), asyncio.Event()

    async def leave_and_respond(scope: Scope, receive: Receive, send: Send) -> None:
        client.close()
        await Response(status_code=413)(scope, receive, send)
        responded.set()

    async with listening_for(leave_and_respond, limits=SHORT) as listening:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", listening.port))
        await loop.sock_sendall(client, b"POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            await responded.wait()

    assert caplog.text == ""


async def test_parts_for_a_client_that_is_gone_are_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    client, responded = socket.socket(), asyncio.Event()

    async def leave_and_respond(_: Scope, _receive: Receive, send: Send) -> None:
        # Reset at once rather than closed.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _number in range(20):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body"})
        responded.set()

    async with listening_for(leave_and_respond, limits=SHORT) as listening:
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", listening.port))
        client.send(GET)
        async with asyncio.timeout(PATIENCE):
            await responded.wait()

    assert caplog.text == ""


async def test_a_response_says_when_it_was_made_rather_than_when_it_was_asked_for() -> None:
    async def wait_and_respond(scope: Scope, receive: Receive, send: Send) -> None:
        asked = int(time.time())
        while (now := int(time.time())) == asked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await PlainTextResponse(str(now))(scope, receive, send)

    async with listening_for(wait_and_respond) as listening:
        head, now = (await exchange(listening.port, LAST_GET)).split(b"\r\n\r\n")
    (date,) = [line.removeprefix(b"date: ") for line in head.split(b"\r\n") if line.startswith(b"date: ")]
    assert int(now) <= parsedate_to_datetime(date.decode()).timestamp() <= time.time()


async def test_a_response_before_the_body_is_the_last_and_reaches_a_client_that_sends_on() -> None:
    async with listening_for(APP, limits=Limits(linger=2 * PATIENCE)) as listening:
        async with RawClient(listening.port) as client:
            await _is_answered_and_sends_on(listening, client)
        await _none_open(listening)


async def _is_answered_and_sends_on(listening: Listening, client: RawClient) -> None:
    client.send(POST.replace(b"echo", b"hello") + b"Content-Length: %d\r\n\r\n" % (3 * BIG))
    client.send(b"x" * BIG)
    response = await client.response()
    assert response.endswith(b"hello")
    assert b"connection: close" in response
    # The end of the stream rather than a reset, which could overtake the response.
    async with asyncio.timeout(PATIENCE):
        assert await client.reader.read() == b""
    assert listening.open_connections == 1
    client.send(b"x" * BIG)
    async with asyncio.timeout(PATIENCE):
        await client.writer.drain()


async def test_a_client_that_neither_sends_its_body_nor_leaves_is_closed() -> None:
    async with listening_for(APP, limits=SHORT) as listening:
        for expect in (b"", b"Expect: 100-continue\r\n"):
            answered = await exchange(
                listening.port, POST.replace(b"echo", b"hello") + expect + b"Content-Length: 9\r\n\r\n"
            )
            assert answered.endswith(b"hello")
            await _none_open(listening)


@pytest.mark.parametrize("request_bytes", [GET, LAST_GET], ids=["kept", "last"])
async def test_a_client_that_does_not_read_its_response_is_closed(request_bytes: bytes) -> None:
    asked = asyncio.Event()

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await Response(b"x" * BIG)(scope, receive, send)

    async with (
        listening_for(respond, limits=Limits(write=0.3)) as listening,
        RawClient(listening.port, reads_at_most=1_024) as client,
    ):
        client.send(request_bytes)
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        await _none_open(listening)


async def test_a_client_that_reads_slowly_but_always_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's buffer takes megabytes, and asks for more only when a third of it has been read."""
    loop, passed = asyncio.get_running_loop(), 0.0
    begun = loop.time()
    # Time passes by what the client reads, and not while this process has no turn.
    monkeypatch.setattr(loop, "time", lambda: begun + passed)

    async def stream(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _number in range(300):
            await send({"type": "http.response.body", "body": b"x" * 32_768, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    seconds = 2.0
    async with listening_for(stream, limits=Limits(write=seconds)) as listening:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
            slow.connect(("127.0.0.1", listening.port))
            slow.setblocking(False)
            slow.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            read = 0
            while passed < 1.5 * seconds:
                # Within `seconds` more than a third of any buffer: they grow to 4 MiB, and on a busy machine they do.
                while read < 2_000_000 * passed:
                    received = await loop.sock_recv(slow, 10_000)
                    assert received
                    read += len(received)
                for _turn in range(5):
                    await asyncio.sleep(0)
                passed += 0.03
            assert listening.open_connections == 1


async def test_a_client_that_reads_its_response_gets_all_of_it() -> None:
    async with listening_for(APP) as listening:
        response = await exchange(listening.port, LAST_GET.replace(b"hello", b"big"))
        assert len(response) > BIG
        assert b"\r\ndate: " in response[:200]
        assert b"\r\nserver: " not in response[:200]


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with listening_for(APP) as listening:
        for sent in (b"", b"GET", GET[:-2], POST + b"Content-Length: 9\r\n\r\nx", GET.replace(b"hello", b"big")):
            async with RawClient(listening.port) as client:
                client.send(sent)
                await asyncio.sleep(0)
        await _none_open(listening)
    assert not complaints(caplog)


async def test_a_new_connection_takes_the_place_of_an_idle_one_and_of_no_other() -> None:
    async with listening_for(APP, limits=Limits(connections=3)) as listening, AsyncExitStack() as stack:
        longest, idle, begun = [await stack.enter_async_context(RawClient(listening.port)) for _ in range(3)]
        for client in (longest, idle):
            client.send(GET)
            await client.response()
        begun.send(GET[:5])

        # Connected by the kernel before the listener has a turn, hence accepted in one.
        for _ in range(2):
            new = stack.enter_context(socket.create_connection(("127.0.0.1", listening.port), PATIENCE))
            new.send(GET[:5])
        for replaced in (longest, idle):
            assert await replaced.rest() == b""
        refused = await stack.enter_async_context(RawClient(listening.port))
        assert await refused.rest() == b""
        begun.send(GET[5:])
        assert status_of(await begun.response()) == 200


async def test_a_connection_that_was_idle_is_not_replaced_in_the_middle_of_a_request() -> None:
    async with listening_for(APP, limits=Limits(connections=1)) as listening, RawClient(listening.port) as client:
        client.send(GET)
        await client.response()
        client.send(GET[:5])
        await asyncio.sleep(0.05)
        async with RawClient(listening.port) as refused:
            assert await refused.rest() == b""
        client.send(GET[5:])
        assert status_of(await client.response()) == 200


async def test_a_part_of_a_response_does_not_wait_for_the_clients_acknowledgement_of_the_one_before() -> None:
    async def in_turns(_: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _number in range(2):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})

    seconds: list[float] = []
    async with listening_for(in_turns) as listening, RawClient(listening.port) as client:
        for _ in range(20):
            start = time.monotonic()
            client.send(GET)
            async with asyncio.timeout(PATIENCE):
                await client.reader.readuntil(b"\r\n0\r\n\r\n")
            seconds.append(time.monotonic() - start)
    # Each but the first would take 40 ms, the time for which Linux puts an acknowledgement off.
    assert min(seconds[1:]) < 0.04


async def test_a_process_out_of_files_goes_on_when_there_are_some_again(caplog: pytest.LogCaptureFixture) -> None:
    async with listening_for(APP) as listening, RawClient(listening.port) as client:
        client.send(GET)
        await client.response()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Connected by the kernel while the listener has had no turn to accept.
        with socket.create_connection(("127.0.0.1", listening.port), PATIENCE) as waiting:
            begun = time.monotonic()
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            try:
                client.send(GET)
                assert status_of(await client.response()) == 200
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                elapsed = time.monotonic() - begun
            assert listening.open_connections == 1
            waiting.setblocking(False)
            waiting.send(LAST_GET)
            async with asyncio.timeout(PATIENCE):
                assert status_of(await asyncio.get_running_loop().sock_recv(waiting, 4_096)) == 200
    said = [record.getMessage() for record in caplog.records if "accepted" in record.getMessage()]
    assert set(said) == {"no connection can be accepted: Too many open files"}
    # Once, and again after each second.
    assert len(said) <= 1 + elapsed


async def _none_open(listening: Listening) -> None:
    async with asyncio.timeout(PATIENCE):
        while listening.open_connections:  # noqa: ASYNC110 (it ends by a timer of the listener's)
            await asyncio.sleep(0.01)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone closes whoever acknowledges nothing")
async def test_a_client_that_takes_nothing_is_closed_though_the_kernel_took_it_all() -> None:
    """As each reader of a quiet stream is: this process has nothing to wait for."""

    asked = asyncio.Event()

    async def stream(_: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 40_000, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with listening_for(stream, limits=Limits(write=0.5)) as listening:
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        stalled.connect(("127.0.0.1", listening.port))
        with stalled:
            stalled.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(PATIENCE):
                await asked.wait()
            await _none_open(listening)
