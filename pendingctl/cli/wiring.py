"""How a command gets at its database: the one place where the library's parts are put together."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from ..errors import InvalidInput
from .database import Dsn, resolve_dsn

if TYPE_CHECKING:
    from ..store import PendingStore

T = TypeVar("T")


@contextmanager
def database_of(option: str | None, *, create: bool = False) -> Iterator[str]:
    """The connection string of the database that the user means; a local server runs as long as it is needed.

    A local server that is not there yet is made only with `create`: a folder's name with a typing error in it must not
    show an empty database.
    """
    with _served(resolve_dsn(option, os.environ), create=create) as dsn:
        yield dsn


@contextmanager
def _served(dsn: Dsn, *, create: bool) -> Iterator[str]:
    if not dsn.is_embedded:
        yield dsn.conninfo
        return
    from ..embedded import kept_server

    with kept_server(Path(dsn.embedded_directory) if dsn.embedded_directory else None, create=create) as server:
        yield server.dsn


@asynccontextmanager
async def store_of(option: str | None, command: str) -> AsyncIterator[PendingStore]:
    """A store on one connection to the database that the user means."""
    from ..postgres.connections import CommandConnection
    from ..store import PendingStore

    with database_of(option) as dsn:
        source = CommandConnection(dsn, application=f"pendingctl {command}")
        try:
            yield PendingStore(source)
        finally:
            await source.close()


def target_of(option: str | None) -> str:
    """Say which database is meant, for people, without a password."""
    from ..postgres.dsn import describe

    dsn = resolve_dsn(option, os.environ)
    return dsn.conninfo if dsn.is_embedded else describe(dsn.conninfo)


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run a command's coroutine; SIGTERM, like Ctrl-C, lets it clean up before the process ends."""
    import asyncio

    async def supervised() -> T:
        task = asyncio.ensure_future(coroutine)
        terminated = False

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await task
        except asyncio.CancelledError:
            if terminated:
                raise SystemExit(128 + signal.SIGTERM) from None
            raise

    return asyncio.run(supervised())


def confirm(question: str, *, yes: bool, off_terminal: bool = False) -> None:
    """Ask on a terminal unless told `yes`; off a terminal go on only where `off_terminal` allows it.

    Raises InvalidInput when the answer is no, or when nobody is there to give it.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        if off_terminal:
            return
        raise InvalidInput("nobody is there to confirm this; repeat with --yes")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise InvalidInput("not confirmed; nothing was done")
