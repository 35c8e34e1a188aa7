"""Where requests arrive: paths, proxies, TLS, addresses, and the end of a listener."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pendingctl.errors import InvalidInput
from pendingctl.serve.configuration import Tls
from pendingctl.serve.connections import Limits
from pendingctl.serve.listeners import listen, tls_context
from tests.serve.clients import PATIENCE, RawClient, exchange, listener, listening_for, status_of
from tests.sse.event_source import until

GET = b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def _whence(request: Request) -> JSONResponse:
    return JSONResponse({"client": request.client and request.client.host, "scheme": request.url.scheme})


async def _where(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(request.url_for("where")))


APP = Starlette(routes=[Route("/whence", _whence), Route("/where", _where, name="where")])


class Held:
    """An application whose requests wait until the test lets them go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.go = asyncio.Event()
        self.app = Starlette(
            routes=[Route("/held", self._held), Route("/now", self._now), Route("/streamed", self._streamed)]
        )

    async def _held(self, _: Request) -> PlainTextResponse:
        self.arrived.set()
        await self.go.wait()
        return PlainTextResponse("held")

    async def _streamed(self, _: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"begun"
            await self.go.wait()
            yield b"ended"

        return StreamingResponse(parts())

    async def _now(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse("now")


@pytest.fixture
def held() -> Held:
    return Held()


async def test_requests_below_the_base_path_reach_the_application_and_others_are_404() -> None:
    async with listening_for(APP, listener(base_path="/bot")) as listening:
        below = await exchange(listening.port, LAST_GET % b"/bot/where")
        assert (status_of(below), below.split(b"\r\n\r\n")[1]) == (200, b"http://a/bot/where")
        for path in [b"/where", b"/bot", b"/bots/where", b"/", b"*", b"/where?/bot/where"]:
            assert status_of(await exchange(listening.port, LAST_GET % path)) == 404


async def test_a_target_with_an_origin_is_its_path() -> None:
    async with listening_for(APP, listener(base_path="/bot")) as listening:
        assert status_of(await exchange(listening.port, LAST_GET % b"http://b.example/bot/where?a=//b")) == 200
        assert status_of(await exchange(listening.port, LAST_GET % b"http://b.example")) == 404


FORWARDED = b"GET /whence HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 8.8.8.8, %s\r\nX-Forwarded-Proto: https\r\n%s\r\n\r\n"


@pytest.mark.parametrize(
    ("trusted", "client"),
    [
        ((), "127.0.0.1"),
        (("10.0.0.0/8",), "127.0.0.1"),
        (("127.0.0.1",), "9.9.9.9"),
        (("127.0.0.1/8",), "9.9.9.9"),
        (("127.0.0.0/8", "9.9.9.9"), "8.8.8.8"),
    ],
)
async def test_forwarded_addresses_count_from_trusted_proxies_alone(trusted: tuple[str, ...], client: str) -> None:
    async with listening_for(APP, listener(trusted_proxies=trusted)) as listening:
        response = await exchange(listening.port, FORWARDED % (b"9.9.9.9", b"Connection: close"))
        scheme = "http" if client == "127.0.0.1" else "https"
        assert response.endswith(f'{{"client":"{client}","scheme":"{scheme}"}}'.encode())


@pytest.mark.parametrize("junk", [b"", b",,,", b"[::1", b"a:b:c", b"9.9.9.9:99999999", b"\xff\xfe", b"x" * 4_000])
async def test_junk_that_a_proxy_forwards_is_never_an_error(junk: bytes) -> None:
    async with listening_for(APP, listener(trusted_proxies=("127.0.0.1",))) as listening:
        assert status_of(await exchange(listening.port, FORWARDED % (junk, b"Connection: close"))) == 200


async def test_an_address_that_cannot_be_used_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use; .*port$"):
            await listen(APP, listener(port=port))
    with pytest.raises(InvalidInput, match=r"^cannot listen on 192.0.2.1:0: Cannot assign requested address; .*$"):
        await listen(APP, listener(host="192.0.2.1"))
    with pytest.raises(InvalidInput, match=r"^cannot listen on nowhere.invalid:3000: the host is unknown here$"):
        await listen(APP, listener(host="nowhere.invalid", port=3000))
    with pytest.raises(InvalidInput, match=r"^cannot listen on \[2001:db8::1\]:0: .*; choose an address of this mach"):
        await listen(APP, listener(host="2001:db8::1"))


async def test_all_addresses_of_a_name_share_one_port() -> None:
    async with listening_for(APP, listener(host="localhost")) as listening:
        for _, _, _, _, place in await asyncio.get_running_loop().getaddrinfo("localhost", listening.port):
            if place[0] == "127.0.0.1":
                assert status_of(await exchange(listening.port, LAST_GET % b"/where")) == 200


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_all_addresses_of_both_kinds_are_one_listener_and_a_trusted_proxy_is_one_over_each() -> None:
    async with listening_for(APP, listener(host="::", trusted_proxies=("127.0.0.1", "::1"))) as listening:
        asked = FORWARDED % (b"9.9.9.9", b"Connection: close")
        assert b'"9.9.9.9"' in await exchange(listening.port, asked)
        if _has_ipv6():
            reader, writer = await asyncio.open_connection("::1", listening.port)
            writer.write(asked)
            async with asyncio.timeout(PATIENCE):
                assert b'"9.9.9.9"' in await reader.read()
            writer.close()


async def test_what_arrives_after_accepting_has_stopped_is_answered_and_closes_its_connection(held: Held) -> None:
    async with (
        listening_for(held.app) as listening,
        RawClient(listening.port) as kept,
        RawClient(listening.port) as busy,
    ):
        kept.send(GET % b"/now")
        assert b"connection: close" not in await kept.response()
        busy.send(GET % b"/held")
        await until(held.arrived.is_set)

        await listening.stop_accepting()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", listening.port)
        kept.send(GET % b"/now")
        assert b"connection: close" in await kept.rest()
        held.go.set()
        answered = await busy.rest()
        assert b"connection: close" in answered
        assert answered.endswith(b"held")


@pytest.mark.parametrize("pause", [0.0, 0.3], ids=["at once", "after a pause"])
async def test_a_client_in_the_queue_is_served_when_accepting_stops(held: Held, pause: float) -> None:
    async with listening_for(held.app) as listening:
        # Connected by the kernel while the listener has had no turn to accept.
        with socket.create_connection(("127.0.0.1", listening.port), PATIENCE) as waiting:
            waiting.sendall(GET % b"/now")
            await listening.stop_accepting()
            # Before anything is read, and for longer than a closing listener looks out for requests.
            asyncio.get_running_loop().call_soon(time.sleep, pause)
            await listening.close(within=PATIENCE)
            assert waiting.recv(4096).startswith(b"HTTP/1.1 200")


async def test_a_head_is_sent_though_nothing_follows_it_yet() -> None:
    ended = asyncio.Event()

    async def begin(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await ended.wait()
        await send({"type": "http.response.body", "body": b"end"})

    async with listening_for(begin) as listening, RawClient(listening.port) as client:
        client.send(LAST_GET % b"/")
        async with asyncio.timeout(PATIENCE):
            assert b" 200 " in await client.reader.readuntil(b"\r\n\r\n")
        ended.set()
        assert await client.rest() == b"end"


async def test_closing_waits_for_requests_and_not_for_idle_connections(held: Held) -> None:
    listening = await listen(held.app, listener())
    async with (
        RawClient(listening.port) as kept,
        RawClient(listening.port) as silent,
        RawClient(listening.port) as busy,
    ):
        kept.send(GET % b"/now")
        await kept.response()
        busy.send(GET % b"/held")
        await until(held.arrived.is_set)
        closing = asyncio.create_task(listening.close(within=PATIENCE))
        assert await kept.rest() == await silent.rest() == b""
        assert not closing.done()
        held.go.set()
        await closing
        assert (await busy.rest()).endswith(b"held")


async def test_closing_does_not_wait_for_another_request_after_a_response_that_had_begun(held: Held) -> None:
    listening = await listen(held.app, listener())
    async with RawClient(listening.port) as silent, RawClient(listening.port) as client:
        client.send(GET % b"/streamed")
        async with asyncio.timeout(PATIENCE):
            await client.reader.readuntil(b"begun")
        closing = asyncio.create_task(listening.close(within=2 * PATIENCE))
        # From then on no connection is closed for being idle.
        assert await silent.rest() == b""
        held.go.set()
        assert b"ended" in await client.rest()
        await closing


async def test_what_is_under_way_at_the_end_is_cut_off_without_an_error(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    listening = await listen(held.app, listener())
    with caplog.at_level(logging.WARNING):
        async with RawClient(listening.port) as busy:
            busy.send(GET % b"/held")
            await until(held.arrived.is_set)
            async with asyncio.timeout(PATIENCE):
                await listening.close(within=0.1)
            assert await busy.rest() == b""
    assert [record.getMessage() for record in caplog.records] == [
        "cut off at the end: 1 open connections, 1 requests under way"
    ]


async def test_a_connection_without_a_request_is_cut_off_without_a_warning(
    held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    listening = await listen(held.app, listener())
    async with RawClient(listening.port) as begun:
        begun.send(b"GET /no")
        await until(lambda: listening.open_connections == 1)
        with caplog.at_level(logging.INFO):
            await listening.close(within=0.3)
        assert await begun.rest() == b""
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "cut off at the end: 1 open connections, 0 requests under way")
    ]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed on this machine")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "certificate"),
        ],
        check=True,
        capture_output=True,
    )
    return Tls(certificate=folder / "certificate", key=folder / "key")


async def test_over_tls_who_reads_gets_all_and_who_does_not_is_closed(tls: Tls) -> None:
    asked = asyncio.Event()

    async def stream(_: Scope, _receive: Receive, send: Send) -> None:
        asked.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _number in range(300):
            await send({"type": "http.response.body", "body": b"x" * 32_768, "more_body": True})
        await send({"type": "http.response.body", "body": b"the end"})

    trusting = ssl.create_default_context(cafile=tls.certificate)
    async with listening_for(stream, listener(tls=tls)) as patient, RawClient(patient.port, tls=trusting) as client:
        client.send(LAST_GET % b"/")
        assert b"the end" in await client.rest()
    asked.clear()
    async with (
        listening_for(stream, listener(tls=tls), limits=Limits(write=1.0)) as listening,
        RawClient(listening.port, tls=trusting, reads_at_most=1_024) as client,
    ):
        client.send(LAST_GET % b"/")
        await until(asked.is_set)
        await until(lambda: listening.open_connections == 0)


async def test_requests_over_tls_of_12_at_least(tls: Tls) -> None:
    trusting = ssl.create_default_context(cafile=tls.certificate)
    async with listening_for(APP, listener(tls=tls)) as listening:
        async with RawClient(listening.port, tls=trusting) as client:
            client.send(LAST_GET % b"/where")
            response = await client.rest()
            assert (status_of(response), response.split(b"\r\n\r\n")[1]) == (200, b"https://a/where")
        trusting.set_ciphers("ALL:@SECLEVEL=0")
        trusting.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            trusting.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):  # noqa: PT011 (an SSLError or a reset, as OpenSSL is built)
            async with RawClient(listening.port, tls=trusting):
                pass


async def test_a_handshake_that_never_ends_is_closed(tls: Tls) -> None:
    async with listening_for(APP, listener(tls=tls), limits=Limits(handshake=0.2)) as listening:
        async with RawClient(listening.port) as client:
            client.send(b"\x16\x03\x01")
            assert await client.rest() == b""
        assert not (await exchange(listening.port, LAST_GET % b"/where")).startswith(b"HTTP")


@pytest.mark.parametrize("within", [0.0, PATIENCE])
async def test_an_unfinished_handshake_does_not_outlive_its_listener(tls: Tls, within: float) -> None:
    async with listening_for(APP, listener(tls=tls)) as listening, RawClient(listening.port) as client:
        await listening.close(within=within)

        assert listening.open_connections == 0
        assert await client.rest() == b""


async def test_unfinished_handshakes_count_as_connections(tls: Tls) -> None:
    limits = Limits(connections=1, handshake=PATIENCE)
    async with (
        listening_for(APP, listener(tls=tls), limits=limits) as listening,
        RawClient(listening.port),
        RawClient(listening.port) as second,
    ):
        assert await second.rest() == b""


async def test_over_tls_parts_for_a_client_that_has_ended_its_side_are_no_warning(
    tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    async def stream(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.001)

    trusting = ssl.create_default_context(cafile=tls.certificate)
    async with (
        listening_for(stream, listener(tls=tls), limits=Limits(linger=0.5)) as listening,
        RawClient(listening.port, tls=trusting) as client,
    ):
        client.send(GET % b"/")
        async with asyncio.timeout(PATIENCE):
            await client.reader.readuntil(b"x")
        client.send(GET % b"/")
        # Without the word by which TLS ends.
        client.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await until(lambda: listening.open_connections == 0)
    assert caplog.text == ""


async def test_over_tls_an_idle_client_makes_room_at_once_though_it_does_not_agree_to_the_end(tls: Tls) -> None:
    trusting = ssl.create_default_context(cafile=tls.certificate)
    limits = Limits(connections=2, linger=2 * PATIENCE)
    async with AsyncExitStack() as stack, listening_for(APP, listener(tls=tls), limits=limits) as listening:
        for _ in range(6):
            client = await stack.enter_async_context(RawClient(listening.port, tls=trusting))
            client.send(GET % b"/where")
            assert status_of(await client.response()) == 200
            # It reads nothing more, and so nothing of the end.
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: listening.open_connections <= limits.connections)


def test_files_that_are_no_certificate_are_named(tls: Tls, tmp_path: Path) -> None:
    absent = Tls(certificate=tmp_path / "absent.crt", key=tls.key)
    with pytest.raises(
        InvalidInput, match=r"^the certificate .*absent.crt with the key .* cannot be used: No such file"
    ):
        tls_context(absent)
    with pytest.raises(InvalidInput, match=r"^the certificate .* cannot be used: .*; both files must be readable PEM"):
        tls_context(Tls(certificate=tls.key, key=tls.key))
    subprocess.run(
        ["openssl", "rsa", "-in", tls.key, "-aes128", "-passout", "pass:secret", "-out", tmp_path / "locked"],
        check=True,
        capture_output=True,
    )
    with pytest.raises(InvalidInput, match=r"the key without a passphrase$"):
        tls_context(Tls(certificate=tls.certificate, key=tmp_path / "locked"))
