"""A loopback proxy between the pods and the server, where a fault can strike at an exact moment.

It passes bytes on and understands none of them, hence encrypted connections go through it as well. A trap is set on a
connection on which nothing is under way: the next bytes from the pod are then the operation, and the next bytes from
the server its reply, which the server sends when it has committed (PostgreSQL manual, "Message Flow").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from psycopg.conninfo import conninfo_attempts, conninfo_to_dict, make_conninfo

from ...postgres.connections import Connection, connect
from ..plan.schedule import Moment

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: a host, or the folder of its socket."""

    host: str
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to it. Raises OSError."""
        if self.host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self.host}/.s.PGSQL.{self.port}")
        return await asyncio.open_connection(self.host, self.port)


@dataclass(slots=True)
class Trap:
    """Stops a connection at a moment; when it has sprung, nothing passes until it is opened."""

    moment: Moment
    sent: bool = False
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class Proxy:
    """One listening port for each of the server's addresses."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._traps: dict[int, Trap] = {}
        self._passing: dict[int, asyncio.Task[None]] = {}
        self._silent: set[int] = set()

    def set_trap(self, pods_port: int, moment: Moment) -> Trap:
        """Set a trap on the connection that comes from this port."""
        trap = self._traps[pods_port] = Trap(moment)
        return trap

    def cut_off(self, pods_port: int) -> None:
        """Drop the connection that comes from this port, with the bytes that were withheld."""
        if (task := self._passing.get(pods_port)) is not None:
            task.cancel()

    def fall_silent(self) -> int:
        """From now on nothing passes on any present connection, and neither end learns of it; new ones work.

        Return how many that are.
        """
        self._silent |= self._passing.keys()
        return len(self._passing)

    def accept(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection from a pod on to the server at this address, until either side ends it."""
        port: int = writer.get_extra_info("peername")[1]
        task = asyncio.create_task(self._pass_on(port, address, reader, writer))
        self._passing[port] = task
        task.add_done_callback(lambda _: self._forget(port))

    def _forget(self, port: int) -> None:
        self._passing.pop(port, None)
        self._silent.discard(port)

    async def _pass_on(
        self, port: int, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        server: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):
                replies, server = await address.connect()
                directions = (
                    asyncio.ensure_future(self._to_server(port, reader, server)),
                    asyncio.ensure_future(self._to_pod(port, replies, writer)),
                )
                try:
                    await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in directions:
                        each.cancel()
                    await asyncio.gather(*directions, return_exceptions=True)
        finally:
            self._traps.pop(port, None)
            for end in (writer, server):
                if end is not None:
                    end.close()

    async def close(self) -> None:
        """Drop all connections."""
        passing = list(self._passing.values())
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _to_server(self, port: int, pod: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await pod.read(_CHUNK_BYTES):
            trap = self._traps.get(port)
            if trap is not None and trap.moment is Moment.BEFORE_SENDING:
                trap.sprung.set()
                await self._opened(port, trap)
            elif trap is not None:
                trap.sent = True
            if port in self._silent:
                continue
            server.write(data)
            await server.drain()
            if trap is not None and trap.moment is Moment.AFTER_SENDING:
                trap.sprung.set()

    async def _to_pod(self, port: int, server: asyncio.StreamReader, pod: asyncio.StreamWriter) -> None:
        while data := await server.read(_CHUNK_BYTES):
            trap = self._traps.get(port)
            if trap is not None and trap.sent:
                trap.sprung.set()
                await self._opened(port, trap)
            if port in self._silent:
                continue
            pod.write(data)
            await pod.drain()

    async def _opened(self, port: int, trap: Trap) -> None:
        await trap.opened.wait()
        self._traps.pop(port, None)


@asynccontextmanager
async def running_proxy(addresses: Sequence[Address]) -> AsyncIterator[Proxy]:
    """Listen on a loopback port for each address; on leaving, no connection is left."""
    proxy = Proxy()
    servers: list[asyncio.Server] = []
    try:
        for address in addresses:
            server = await asyncio.start_server(partial(proxy.accept, address), "127.0.0.1", 0)
            servers.append(server)
            proxy.ports.append(server.sockets[0].getsockname()[1])
        yield proxy
    finally:
        for server in servers:
            server.close()
        await proxy.close()


@asynccontextmanager
async def proxy_before(dsn: str, application: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy before the server, or several, to which a connection string leads, and yield one through it.

    Raises DatabaseUnreachable.
    """
    async with await connect(dsn, application=application) as connection:
        addresses = addresses_of(dsn, connection)
        async with running_proxy(addresses) as proxy:
            yield proxy, through_the_proxy(dsn, connection, addresses, proxy.ports)


def addresses_of(dsn: str, connection: Connection) -> list[Address]:
    """Return where a connection string leads: to all of several hosts, else to where this connection of it went."""
    parts = conninfo_to_dict(dsn)
    if "," in str(parts.get("host") or ""):
        return [
            Address(str(each.get("hostaddr") or each.get("host")), int(each.get("port") or 5432))
            for each in conninfo_attempts(parts)
        ]
    info = connection.info
    return [Address(info.hostaddr or info.host, info.port)]


def through_the_proxy(dsn: str, connection: Connection, addresses: Sequence[Address], ports: Sequence[int]) -> str:
    """Return the connection string with the proxy's ports in place of the server's.

    The names of the hosts stay: a certificate is verified as without the proxy. The password is included, since a
    password file is looked up by port.
    """
    names = str(conninfo_to_dict(dsn).get("host") or connection.info.host).split(",")
    return make_conninfo(
        dsn,
        host=",".join("localhost" if name.startswith("/") or not name else name for name in names),
        hostaddr=",".join("127.0.0.1" for _ in addresses),
        port=",".join(map(str, ports)),
        password=connection.info.password or None,
    )
