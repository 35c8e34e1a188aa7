"""The throw-away server, which is removed with its files when its user ends."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..postgres.durability import THROWAWAY_CLUSTER
from .account import Account, server_account
from .binaries import Binaries, find_binaries
from .cache import readable_binaries, template
from .locks import hold_lock, is_locked, try_lock
from .server import Server, ServerProcess, copy_command

_LEFTOVER_SECONDS = 60.0

# In a throw-away server's folder: a folder with this file may be removed once its locks are free.
_THROWAWAY_MARK = "throwaway"

# Its data ends with it. A crash of the server alone loses nothing: the kernel still writes what it was given.
_THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off", "cluster_name": THROWAWAY_CLUSTER}


@dataclass(frozen=True, slots=True)
class ThrowawayServer(Server):
    """A server that can be restarted and stopped. Both methods block, and must not be called concurrently."""

    _process: ServerProcess = field(repr=False)

    def restart(self) -> None:
        """Stop it in immediate mode, without a checkpoint, and start it with the same settings.

        All connections are cut. Returns when it accepts connections again, with every commit that it acknowledged.
        Raises DatabaseUnreachable when it does not run or does not start again.
        """
        self._process.restart()

    def stop(self) -> None:
        """Stop it in immediate mode, for good; its files stay until the block ends.

        Raises DatabaseUnreachable when it does not run or does not stop.
        """
        self._process.stop()


@contextmanager
def throwaway_server(
    *, major: int | None = None, binaries: Binaries | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[ThrowawayServer]:
    """A new server, which is removed with its files when the block or this process ends, in whatever way.

    `binaries` are those to run, else find_binaries() finds them. `settings` are added to the usual server settings. If
    the watcher is killed with SIGKILL too, or before it runs, the next throw-away server of this user removes the
    leftovers.

    Raises InvalidInput when there is no Postgres on this machine, and DatabaseUnreachable when it does not start.
    """
    account = server_account()
    binaries = readable_binaries(binaries or find_binaries(major), account)
    pristine = template(binaries, account)
    with throwaway(binaries, account, lambda data: [copy_command(pristine, data)], settings or {}) as server:
        yield server


@contextmanager
def throwaway(
    binaries: Binaries,
    account: Account,
    data_commands: Callable[[Path], list[list[str]]],
    settings: Mapping[str, str],
) -> Iterator[ThrowawayServer]:
    """A throw-away server whose data folder is filled by the commands that `data_commands` returns.

    Raises DatabaseUnreachable when a command fails or the server does not start.
    """
    temporary = _temporary_directory(account)
    _remove_leftovers(temporary, binaries, account)
    folder = Path(tempfile.mkdtemp(prefix="pendingctl-", dir=temporary))
    account.let_through(folder)
    (folder / _THROWAWAY_MARK).touch()
    process = ServerProcess(folder, binaries, account, throwaway=True)
    try:
        with hold_lock(folder / "users.lock", fcntl.LOCK_SH):
            process.start({**_THROWAWAY_SETTINGS, **settings}, data_commands=data_commands(process.data))
            yield ThrowawayServer(process.dsn, binaries, process.data, process.sockets, process)
    finally:
        process.wait_until_removed()


def _remove_leftovers(temporary: Path, binaries: Binaries, account: Account) -> None:
    for mark in temporary.glob(f"pendingctl-*/{_THROWAWAY_MARK}"):
        folder = mark.parent
        try:
            status = folder.lstat()
            # A new one is not locked yet. One of another user, or a link to one, must be left alone.
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _LEFTOVER_SECONDS:
                continue
            with (folder / "users.lock").open("a") as users:
                if try_lock(users, fcntl.LOCK_EX) and not is_locked(folder / "watcher.lock"):
                    ServerProcess(folder, binaries, account, throwaway=True).wait_until_removed()
        except OSError:
            continue


def _temporary_directory(account: Account) -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if account.can_reach(usual) else Path("/tmp")
