"""A loopback proxy whose connections can fall silent, and whose replies can be held back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import make_conninfo

from tests.listener import Listener

_CHUNK_BYTES = 64 * 1024


def fields(*values: str) -> bytes:
    """Return neighbouring fields of a row as a reply has them (manual, section 55.7 "Message Formats": DataRow)."""
    return b"".join(len(value).to_bytes(4) + value.encode() for value in values)


@dataclass(slots=True)
class Hold:
    """Keeps back the next reply that contains `reply`, from the moment it has come until it is released."""

    reply: bytes
    has_come: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Proxy:
    """Passes bytes on between the pods and the server; `dsn` leads through it."""

    host: str
    port: int
    dsn: str = ""
    hold: Hold | None = None
    _silences: set[asyncio.Event] = field(default_factory=set)
    _listener: Listener = field(init=False)

    def __post_init__(self) -> None:
        self._listener = Listener(self._pass_on)

    def fall_silent(self) -> None:
        """From now on nothing passes on any present connection, and neither end hears of it; new ones work."""
        for silent in self._silences:
            silent.set()

    async def hang_up(self) -> None:
        """Close all present connections, so that whoever waits on one learns that it is gone."""
        await self._listener.hang_up()

    async def start(self) -> int:
        """Accept connections from now on, and return the port."""
        return await self._listener.start()

    async def stop(self) -> None:
        """Leave no connection behind."""
        await self._listener.stop()

    async def _pass_on(self, pod: asyncio.StreamReader, to_pod: asyncio.StreamWriter) -> None:
        silent = asyncio.Event()
        self._silences.add(silent)
        to_server: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):
                server, to_server = await self._connect()
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(self._pump(pod, to_server, silent, is_reply=False))
                    directions.create_task(self._pump(server, to_pod, silent, is_reply=True))
        finally:
            self._silences.discard(silent)
            for end in (to_pod, to_server):
                if end is not None:
                    end.transport.abort()
                    with suppress(OSError):
                        await end.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self.host}/.s.PGSQL.{self.port}")
        return await asyncio.open_connection(self.host, self.port)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event, *, is_reply: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if silent.is_set():
                    continue
                hold = self.hold
                if is_reply and hold is not None and hold.reply in data:
                    self.hold = None
                    hold.has_come.set()
                    await hold.released.wait()
                writer.write(data)
                await writer.drain()
        if not silent.is_set():
            writer.close()


@asynccontextmanager
async def running_proxy(dsn: str, connection: psycopg.Connection) -> AsyncIterator[Proxy]:
    """A proxy before the server that this connection has reached; on leaving, no connection is left."""
    info = connection.info
    proxy = Proxy(info.hostaddr or info.host, info.port)
    port = await proxy.start()
    proxy.dsn = make_conninfo(
        dsn,
        host="127.0.0.1",
        hostaddr="127.0.0.1",
        port=port,
        # The proxy cannot listen in on an encrypted connection.
        sslmode="disable",
        gssencmode="disable",
        password=info.password or None,
    )
    try:
        yield proxy
    finally:
        await proxy.stop()
