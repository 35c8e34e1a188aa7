"""Readers that take nothing, by the hundred: they cost little memory, delay nobody, and are closed in time."""

from __future__ import annotations

import asyncio
import ctypes
import resource
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from pendingctl.events.model import StreamName
from pendingctl.postgres.connections import Pool
from pendingctl.serve.listeners import LIMITS
from pendingctl.sse.clients import PIECE_BYTES
from pendingctl.sse.tickets import Tickets
from tests.events.writers import append
from tests.serve.pods import ServedPod, configuration, served
from tests.sse.conftest import Pod, running
from tests.sse.event_source import PATIENCE, reading, until

# Above what the kernel takes of each connection.
LARGE = "x" * 1_000_000
KEY = "a-stream-key-of-40-random-characters-...."


@contextmanager
def stalled(port: int, number: int, path: str = "/chat") -> Iterator[list[socket.socket]]:
    """So many clients that ask for a stream and read nothing."""
    with ExitStack() as stack:
        clients = []
        for _ in range(number):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            # In this thread is the listener too.
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", port))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            clients.append(client)
        yield clients


@asynccontextmanager
async def impatient(pool: Pool, seconds: float) -> AsyncIterator[Pod]:
    """A pod that waits so long for whoever takes nothing."""
    async with running(pool, limits=replace(LIMITS, write=seconds)) as pod:
        yield pod


async def test_whoever_takes_nothing_holds_a_piece_of_an_event(pool: Pool, connection: psycopg.Connection) -> None:
    async with running(pool) as pod, reading(pod.url()) as source:
        with stalled(pod.listening.port, 30):
            await until(lambda: pod.app.clients == 31)
            for _ in range(4):
                append(connection, LARGE, wakes=True)
            await source.events(4)

            def buffered() -> list[int]:
                transports = [each._lingering._transport for each in pod.listening._connections.open]
                return [size for transport in transports if (size := transport.get_write_buffer_size())]

            await until(lambda: len(buffered()) == 30)
            assert max(buffered()) < 2 * PIECE_BYTES
            # Those of the one that reads, and of each of the others what it did not take.
            assert pod.app.sent.events <= 4 + 30


async def test_whoever_takes_nothing_is_closed(pool: Pool, connection: psycopg.Connection) -> None:
    async with impatient(pool, 2) as pod, reading(pod.url()) as source:
        with stalled(pod.listening.port, 5):
            await until(lambda: pod.app.clients == 6)
            append(connection, LARGE, wakes=True)
            await until(lambda: pod.app.clients == 1)
            append(connection, "the last", wakes=True)
            assert (await source.events(2))[-1].data == "the last"


async def test_however_an_event_grows_on_its_way_readers_hold_it_together(
    pool: Pool, connection: psycopg.Connection
) -> None:
    """Each of its line ends is seven bytes to a reader."""
    append(connection, "\n" * 1_000_000)
    async with running(pool) as pod:
        tracemalloc.start()
        try:
            with stalled(pod.listening.port, 20):
                await until(lambda: pod.app.sent.events == 20)
                held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 20 * 1_000_000


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone closes whoever acknowledges nothing")
async def test_a_reader_whose_network_is_gone_is_closed(pool: Pool, connection: psycopg.Connection) -> None:
    """The kernel takes what is sent, and nothing of it is acknowledged."""
    async with impatient(pool, 1) as pod:
        with stalled(pod.listening.port, 1) as (client,):
            await until(lambda: pod.app.clients == 1)
            append(connection, "one", wakes=True)
            client.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                while b"one" not in await asyncio.get_running_loop().sock_recv(client, 4_096):
                    pass
            _receive_nothing_more(client)
            append(connection, "two", wakes=True)
            await until(lambda: pod.app.sent.events == 2)
            await until(lambda: pod.app.clients == 0)


def _receive_nothing_more(client: socket.socket) -> None:
    """Have the kernel drop each packet for a socket before TCP sees it, as a filter of one instruction: keep none."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    attach_filter = 26
    client.setsockopt(socket.SOL_SOCKET, attach_filter, program)


@pytest.mark.long
@pytest.mark.once
async def test_a_thousand_that_take_nothing_fit_into_a_pod(
    dsn: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    ends_at = datetime.now(UTC) + timedelta(minutes=9)
    path = f"/streams/chat?ticket={Tickets([KEY.encode()]).sign(StreamName('acme', 'chat'), ends_at)}"
    text = configuration(slack_url="http://127.0.0.1/api/", worker_url=None, more=f'[streams]\nkeys = ["{KEY}"]\n')
    with room_for_files():
        async with served(text, dsn, tmp_path) as pod:
            with stalled(pod.public_port, 1_000, path):
                await until_readers(pod, 1_000)
                async with reading(f"http://127.0.0.1:{pod.public_port}{path}") as source:
                    for _ in range(6):
                        append(connection, LARGE, wakes=True)
                    await until(lambda: len(source.dispatched) == 6, within=20)
                    await until_readers(pod, 1)
            # Each of them would have held an event.
            assert peak_of(pod.process.pid) < 400 << 20


@contextmanager
def room_for_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def until_readers(pod: ServedPod, number: int) -> None:
    """Wait until a pod has so many readers: those that take nothing leave after 30 s."""
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        shown = f"\npendingctl_stream_readers {number:.1f}\n"
        while shown not in (await client.get(f"{pod.url}/metrics")).text:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.2)


def peak_of(process: int) -> int:
    """The most bytes of memory that a process has had."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmHWM:"))
