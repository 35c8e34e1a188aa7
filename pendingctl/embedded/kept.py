"""The kept server, whose data stays and which runs while a process uses it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InvalidInput
from .account import Account, server_account
from .binaries import find_binaries
from .cache import readable_binaries, template
from .locks import hold_lock, is_locked, try_lock, wait_for
from .server import Server, ServerProcess, copy_command


@contextmanager
def kept_server(directory: Path | None = None, *, create: bool = True) -> Iterator[Server]:
    """The local server whose data stays; by default below ~/.local/share (root: /var/lib/pendingctl).

    Several processes may use it at once: the first starts it, and it stops when the last one ends, in whatever way.
    When the last block ends normally, it returns after the server has stopped.

    Raises InvalidInput when the folder cannot be used or is full, when it holds no server and `create` is false, or
    when there is no Postgres of its version, and DatabaseUnreachable when the server does not start.
    """
    account = server_account()
    folder = _kept_folder(directory, account, create=create)
    with hold_lock(folder / "users.lock", fcntl.LOCK_SH):
        with hold_lock(folder / "start.lock", fcntl.LOCK_EX):
            data = folder / "data"
            major = int((data / "PG_VERSION").read_text()) if (data / "PG_VERSION").is_file() else None
            process = ServerProcess(folder, readable_binaries(find_binaries(major), account), account, throwaway=False)
            if not data.is_dir():
                new = folder / "making"
                shutil.rmtree(new, ignore_errors=True)
                new.mkdir(mode=0o700)
                account.own(new)
                account.run(copy_command(template(process.binaries, account), new))
                os.sync()  # initdb did not sync the template
                new.rename(data)
            if not process.is_ready():
                process.start({})
            elif not is_locked(folder / "watcher.lock"):
                process.adopt()
        yield Server(process.dsn, process.binaries, process.data, process.sockets)
    wait_for(lambda: _is_stopped_or_in_use(folder), f"{folder / 'watcher.lock'} stays locked")


def _kept_folder(directory: Path | None, account: Account, *, create: bool) -> Path:
    if directory is None:
        if account.switch:
            directory = Path("/var/lib/pendingctl/postgres")
        else:
            directory = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share", "pendingctl", "postgres")
    folder = directory.expanduser().absolute()
    try:
        if not folder.is_dir():
            if not create and not folder.exists():
                raise _no_server(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
            account.let_through(folder)
            (folder / "users.lock").touch(mode=0o600)
        names = {path.name for path in folder.iterdir()}
    except FileExistsError:
        if not folder.is_dir():
            raise InvalidInput(f"the local server's folder {folder} cannot be used: a file is in its way") from None
        return _kept_folder(folder, account, create=create)
    except OSError as error:
        raise InvalidInput(f"the local server's folder {folder} cannot be used: {error.strerror}") from error
    if names and "users.lock" not in names:
        raise InvalidInput(f"{folder} holds something else; name a new folder for the local server")
    if not create and "data" not in names:
        raise _no_server(folder)
    if not account.can_reach(folder):
        raise InvalidInput(
            f"the server runs as user {account.name}, which cannot enter {folder}; "
            "name a folder whose parents every user may enter"
        )
    return folder


def _no_server(folder: Path) -> InvalidInput:
    find_binaries()  # its error, that no Postgres is installed, comes first
    return InvalidInput(
        f"there is no local server in {folder}; to make one: pendingctl migrate --dsn 'embedded:{folder}'"
    )


def _is_stopped_or_in_use(folder: Path) -> bool:
    if not is_locked(folder / "watcher.lock"):
        return True
    # The watcher holds this lock exclusively while it stops the server; users share it.
    with (folder / "users.lock").open("a") as file:
        return try_lock(file, fcntl.LOCK_SH) and not try_lock(file, fcntl.LOCK_EX)
