"""The database that a command works on: --dsn, else PENDINGCTL_DSN, DATABASE_URL, or libpq's own variables."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput, NotMigrated
from ..postgres.environment import dsn_of

if TYPE_CHECKING:
    from ..events.streams import Streams
    from ..limits import RateLimiter
    from ..postgres.connections import CommandConnection
    from ..store import PendingStore
    from ..store.inspection import Inspection
    from ..store.statistics import Statistics

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Dsn:
    """A connection string as it was given, and where it came from."""

    conninfo: str
    source: str

    @property
    def is_embedded(self) -> bool:
        """Whether the kept local server is meant, rather than a libpq string."""
        return self.conninfo == EMBEDDED or self.conninfo.startswith(EMBEDDED + ":")

    @property
    def embedded_directory(self) -> str | None:
        """The folder of `embedded:DIR`, or None for the usual one."""
        return self.conninfo.partition(":")[2] or None


def resolve_dsn(option: str | None, environ: Mapping[str, str]) -> Dsn:
    """Return the connection string to use, untouched, since libpq is to read it.

    An empty variable counts as unset. An empty `--dsn` is refused: it is nearly always a shell variable that
    was not set, and falling through to another database would be worse than stopping.

    Raises InvalidInput when no database is named.
    """
    if option is not None:
        if not option.strip():
            raise InvalidInput("--dsn is empty; give a connection string, or leave the option out")
        return Dsn(option, "--dsn")
    if (named := dsn_of(environ)) is not None:
        return Dsn(*named)
    raise InvalidInput(
        "no database given; use --dsn, PENDINGCTL_DSN, DATABASE_URL or libpq's PGHOST, PGSERVICE or PGDATABASE "
        "(--dsn embedded is a local server that is kept)"
    )


@contextmanager
def database_of(option: str | None, *, create: bool = False) -> Iterator[str]:
    """Yield the connection string of the chosen database; a kept local server runs as long as the block.

    Unless `create` is true, a folder that holds no local server is refused: a mistyped name must not lead to an empty
    database.
    """
    dsn = resolve_dsn(option, os.environ)
    if not dsn.is_embedded:
        yield dsn.conninfo
        return
    from ..embedded import kept_server

    with kept_server(Path(dsn.embedded_directory) if dsn.embedded_directory else None, create=create) as server:
        yield server.dsn


@asynccontextmanager
async def store_of(option: str | None, command: str, application: str = "") -> AsyncIterator[PendingStore]:
    """Yield an application's store on one connection to the chosen database, made at its first use.

    What a command does the trail has under the operating system's user and the host.

    Where the search_path leads to no tables and there are some in another schema, the block's NotMigrated says that:
    to migrate would be the wrong remedy.
    """
    from ..store import PendingStore

    async with connection_of(option, command) as source:
        yield PendingStore(source, application=application, pod=user_and_host())


@asynccontextmanager
async def inspection_of(option: str | None, command: str) -> AsyncIterator[Inspection]:
    """Yield what reads the chosen database, as `store_of` does, without what the commands that write import besides."""
    from ..store.inspection import Inspection

    async with connection_of(option, command) as source:
        yield Inspection(source)


@asynccontextmanager
async def statistics_of(option: str | None, command: str) -> AsyncIterator[Statistics]:
    """Yield what counts in the chosen database, as `inspection_of` does."""
    from ..store.statistics import Statistics

    async with connection_of(option, command) as source:
        yield Statistics(source)


@asynccontextmanager
async def limiter_of(option: str | None, command: str) -> AsyncIterator[RateLimiter]:
    """Yield what takes from the limits of the chosen database, as `store_of` does."""
    from ..limits import RateLimiter

    async with connection_of(option, command) as source:
        yield RateLimiter(source, if_unreachable="raise")


@asynccontextmanager
async def streams_of(option: str | None, command: str) -> AsyncIterator[Streams]:
    """Yield the streams of the chosen database, as `store_of` does. At the end all their wake-ups are sent."""
    from ..events.streams import Streams

    async with connection_of(option, command) as source:
        streams = Streams(source, pod=user_and_host())
        yield streams
        await streams.settled()


@asynccontextmanager
async def following_of(option: str | None, command: str) -> AsyncIterator[Streams]:
    """Yield the streams of the chosen database to a command that goes on while that is away.

    Raises what is wrong with it at the beginning: NotConnected, NotMigrated.
    """
    from ..events.model import START, StreamName
    from ..events.streams import Streams
    from ..postgres.connections import open_pool

    with database_of(option) as dsn:
        async with _connection_to(dsn, command) as source:
            await Streams(source).read(StreamName("-", "-"), START, limit=1)
        async with open_pool(dsn, application=f"pendingctl {command}", max_size=2) as pool:
            streams = Streams(pool)
            try:
                yield streams
            finally:
                await streams.drain(0)


@asynccontextmanager
async def connection_of(option: str | None, command: str) -> AsyncIterator[CommandConnection]:
    """Yield the connection to the chosen database, for what reads or writes there beside each other; see `store_of`."""
    with database_of(option) as dsn:
        async with _connection_to(dsn, command) as source:
            yield source


@asynccontextmanager
async def _connection_to(dsn: str, command: str) -> AsyncIterator[CommandConnection]:
    from ..postgres.connections import CommandConnection

    source = CommandConnection(dsn, application=f"pendingctl {command}")
    try:
        yield source
    except NotMigrated:
        from ..schema.place import tables_elsewhere

        elsewhere = tables_elsewhere(dsn)
        if elsewhere is None:
            raise
        raise NotMigrated(elsewhere) from None
    finally:
        await source.close()


def user_and_host() -> str:
    """Return the operating system's user and this machine: who runs a command."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def target_of(option: str | None) -> str:
    """Return the chosen database as a question or a note names it, without its password."""
    from ..postgres.dsn import describe

    dsn = resolve_dsn(option, os.environ)
    return dsn.conninfo if dsn.is_embedded else describe(dsn.conninfo)
