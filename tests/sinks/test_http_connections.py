"""What a worker's connections do: endless, slow, broken and closed ones, each by its bytes on a socket."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from asyncio import StreamWriter
from datetime import timedelta

import pytest

from pendingctl import DeliveryFailed, HttpSink, PendingStore, State
from pendingctl.errors import InvalidInput
from pendingctl.sinks import http
from tests.deliveries import claimed, state_of
from tests.http_worker import working, working_by

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
def bodies_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose reply was not read in 0.2 s is closed, as that of a busy machine may be."""
    monkeypatch.setattr(http, "_BODY_SECONDS", 20.0)


async def test_a_compressed_reply_is_not_unpacked(store: PendingStore) -> None:
    packed = gzip.compress(bytes(32 << 20))

    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        writer.write(head.encode() + packed)
        await writer.drain()
        return True

    leased = await claimed(store)
    async with working_by(reply) as worker, HttpSink(worker.url) as sink:
        tracemalloc.start()
        try:
            assert await sink.deliver(leased, store.leases)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert worker.requests[0].headers["accept-encoding"] == "identity"
    assert peak < 8 << 20


@pytest.mark.parametrize("framing", ["Content-Length: 999999999999", "Transfer-Encoding: chunked", "X-Length: none"])
async def test_an_endless_reply_is_judged_by_its_status(store: PendingStore, framing: str) -> None:
    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(100_000):
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
        return False

    leased = await claimed(store)
    async with working_by(reply) as worker, HttpSink(worker.url) as sink:
        async with asyncio.timeout(30):
            assert await sink.deliver(leased, store.leases)
    assert await state_of(store) is State.CLAIMED


@pytest.mark.parametrize("status", ["200 OK", "503 Away\r\nRetry-After: 9"])
async def test_a_body_that_trickles_is_judged_by_its_status(store: PendingStore, status: str) -> None:
    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n".encode())
        for _ in range(999):
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)
        return False

    leased = await claimed(store)
    async with working_by(reply) as worker, HttpSink(worker.url) as sink, asyncio.timeout(20):
        if status == "200 OK":
            assert await sink.deliver(leased, store.leases)
        else:
            with pytest.raises(DeliveryFailed, match="503 Away") as failed:
                await sink.deliver(leased, store.leases)
            assert failed.value.retry_after == timedelta(seconds=9)


@pytest.mark.parametrize("piece", [b"X-Header: ..\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_a_head_that_trickles_is_given_up_in_time(store: PendingStore, piece: bytes) -> None:
    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        writer.write(b"HTTP/1.1 200 OK\r\n" if piece.startswith(b"X") else b"")
        for _ in range(200):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        return False

    leased = await claimed(store)
    async with working_by(reply) as worker, HttpSink(worker.url, reply_within=timedelta(seconds=0.5)) as sink:
        # The worker itself gives up after ten seconds, which is no reply.
        with pytest.raises(DeliveryFailed, match="did not reply in time"):
            await sink.deliver(leased, store.leases)


async def test_no_cookie_is_kept_and_no_redirection_followed(store: PendingStore) -> None:
    async with (
        working("302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=1", "200 OK\r\nSet-Cookie: b=2; Path=/") as worker,
        HttpSink(worker.url) as sink,
    ):
        leased = await claimed(store)
        with pytest.raises(DeliveryFailed, match="302") as failed:
            await sink.deliver(leased, store.leases)
        assert await sink.deliver(leased, store.leases)
        assert await sink.deliver(await claimed(store, "second"), store.leases)

    assert not failed.value.permanent
    assert [request.line for request in worker.requests] == ["POST /answers HTTP/1.1"] * 3
    assert not [request for request in worker.requests if "cookie" in request.headers]


async def test_the_environments_proxy_is_used_except_where_it_says_so(
    store: PendingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with working() as proxy, working() as worker:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/answers"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with HttpSink("http://worker.example/answers") as far, HttpSink(worker.url) as near:
            assert await far.deliver(await claimed(store), store.leases)
            assert await near.deliver(await claimed(store, "second"), store.leases)

    assert [request.line for request in proxy.requests] == ["POST http://worker.example/answers HTTP/1.1"]
    assert [request.line for request in worker.requests] == ["POST /answers HTTP/1.1"]


def test_a_proxy_that_cannot_be_used_is_refused_and_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "gopher://robot:s3cr3t@proxy.example")
    with pytest.raises(InvalidInput, match="proxy") as refused:
        HttpSink("http://worker.example/answers")
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.usefixtures("bodies_are_waited_for")
@pytest.mark.parametrize("body", [b"", b'{"taken": true}'])
async def test_a_connection_is_used_again_after_a_short_reply(store: PendingStore, body: bytes) -> None:
    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    async with working_by(reply) as worker, HttpSink(worker.url) as sink:
        for number in range(3):
            assert await sink.deliver(await claimed(store, f"q{number}"), store.leases)
    assert worker.peers() == 1


@pytest.mark.usefixtures("bodies_are_waited_for")
async def test_a_kept_connection_that_the_worker_closes_costs_no_attempt(store: PendingStore) -> None:
    async def reply(writer: StreamWriter, number: int) -> bool:
        # The second request crosses with the close of the connection that the first has left.
        if number == 2:
            return False
        writer.write(NO_CONTENT)
        await writer.drain()
        return True

    async with working_by(reply) as worker, HttpSink(worker.url) as sink:
        assert await sink.deliver(await claimed(store), store.leases)
        assert await sink.deliver(await claimed(store, "second"), store.leases)

    assert (len(worker.requests), worker.peers()) == (3, 2)
    assert worker.requests[1].headers["idempotency-key"] == worker.requests[2].headers["idempotency-key"]


async def test_a_worker_that_closes_a_new_connection_gets_no_second_request(store: PendingStore) -> None:
    """It may be the answer that fells it."""

    async def reply(writer: StreamWriter, number: int) -> bool:
        del writer, number
        return False

    leased = await claimed(store)
    async with working_by(reply) as worker, HttpSink(worker.url) as sink:
        with pytest.raises(DeliveryFailed, match="could not be reached") as failed:
            await sink.deliver(leased, store.leases)
    assert not failed.value.permanent
    assert len(worker.requests) == 1


@pytest.mark.parametrize("junk", [b"\x00\xff junk\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 9999 No\r\n\r\n"])
async def test_a_worker_that_speaks_no_http_is_tried_again(store: PendingStore, junk: bytes) -> None:
    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        writer.write(junk)
        await writer.drain()
        return False

    leased = await claimed(store)
    async with working_by(reply) as worker, HttpSink(worker.url) as sink:
        with pytest.raises(DeliveryFailed) as failed:
            await sink.deliver(leased, store.leases)
    assert not failed.value.permanent
    assert await state_of(store) is State.UNDELIVERED


@pytest.mark.usefixtures("bodies_are_waited_for")
async def test_answers_that_wait_for_a_connection_are_not_late(store: PendingStore) -> None:
    taken, go = asyncio.Event(), asyncio.Event()

    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        taken.set()
        await go.wait()
        writer.write(NO_CONTENT)
        await writer.drain()
        return True

    first, *others = [await claimed(store, f"q{number}") for number in range(3)]
    patient, short = timedelta(seconds=60), timedelta(seconds=0.2)
    async with working_by(reply) as worker, HttpSink(worker.url, at_once=1, reply_within=patient) as sink:
        deliveries = [asyncio.create_task(sink.deliver(first, store.leases))]
        async with asyncio.timeout(20):
            await taken.wait()
        # They wait for longer than a reply may take, which counts from when each is sent.
        sink._reply_within = short
        deliveries += [asyncio.create_task(sink.deliver(each, store.leases)) for each in others]
        await asyncio.sleep(2 * short.total_seconds())
        sink._reply_within = patient
        go.set()
        assert all(await asyncio.gather(*deliveries))
    assert worker.peers() == 1


async def test_a_reply_that_never_came_takes_no_connection_away(store: PendingStore) -> None:
    is_hanging = True

    async def reply(writer: StreamWriter, number: int) -> bool:
        del number
        if is_hanging:
            await asyncio.Event().wait()
        writer.write(NO_CONTENT)
        await writer.drain()
        return True

    leased = await claimed(store)
    async with (
        working_by(reply) as worker,
        HttpSink(worker.url, at_once=1, reply_within=timedelta(seconds=0.2)) as sink,
    ):
        for _ in range(2):
            with pytest.raises(DeliveryFailed, match="did not reply in time"):
                await sink.deliver(leased, store.leases)
        is_hanging = False
        sink._reply_within = timedelta(seconds=20)
        assert await sink.deliver(leased, store.leases)


@pytest.mark.parametrize(("at_once", "seconds"), [(0, 1), (-1, 1), (1, 0), (1, -1)])
def test_limits_below_one_are_refused(at_once: int, seconds: int) -> None:
    with pytest.raises(InvalidInput):
        HttpSink("http://worker.example/", at_once=at_once, reply_within=timedelta(seconds=seconds))
