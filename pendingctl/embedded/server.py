"""Start a local server and say where it is; the watcher stops it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatabaseFailed, DatabaseUnreachable, InvalidInput
from . import watcher
from .account import ROOM_NEEDED, Account, server_account
from .binaries import Binaries, find_binaries
from .cache import readable_binaries, template
from .locks import (
    START_TIMEOUT_SECONDS,
    STOP_TIMEOUT_SECONDS,
    hold_lock,
    is_locked,
    try_lock,
    wait_for,
)

_LEFTOVER_SECONDS = 60.0

# With less than this a server that ends at its start has found the disk full; it may not even have room to say so.
_FULL_BYTES = 256 * 1024

# sun_path has 104 bytes on macOS and 108 on Linux; "/.s.PGSQL.5432.lock" is 19 of them.
_LONGEST_SOCKET_FOLDER = 80

# In a throw-away server's folder: what has it may be removed when nobody holds its locks.
_THROWAWAY_MARK = "throwaway"

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Its data ends with it. A crash of the server alone loses nothing: the kernel still writes what it was given.
_THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `dsn` is what libpq takes: a unix socket, and no password."""

    dsn: str
    binaries: Binaries
    data_directory: Path
    socket_directory: Path


@dataclass(frozen=True, slots=True)
class ThrowawayServer(Server):
    """A server that can be broken. Both methods block, and are for one thread at a time."""

    _running: _Running = field(repr=False)

    def restart(self) -> None:
        """Stop it in immediate mode, connections cut and no checkpoint made, and start it with the same settings.

        Returns when it takes connections again; every commit that it has acknowledged is there. Raises
        DatabaseUnreachable when it does not run, or does not come back.
        """
        self._running.restart()

    def stop(self) -> None:
        """Stop it in immediate mode, for good; its files stay until the end.

        Raises DatabaseUnreachable when it does not stop, or does not answer before that.
        """
        self._running.stop()


@contextmanager
def throwaway_server(
    *, major: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[ThrowawayServer]:
    """A fresh server that is gone, with its files, when the block or this process ends, in whatever way.

    `settings` are server settings beside the usual ones. If the watcher is killed with SIGKILL too, or before it
    runs, the next throw-away server of this user removes what was left.

    Raises InvalidInput when there is no Postgres on this machine, and DatabaseUnreachable when it does not start.
    """
    account = server_account()
    binaries = readable_binaries(find_binaries(major), account)
    pristine = template(binaries, account)
    with throwaway(binaries, account, lambda data: [_copy(pristine, data)], settings or {}) as server:
        yield server


@contextmanager
def throwaway(
    binaries: Binaries, account: Account, making: Callable[[Path], list[list[str]]], settings: Mapping[str, str]
) -> Iterator[ThrowawayServer]:
    """A throw-away server on the data folder that `making` returns the commands for; they find it empty.

    Raises DatabaseUnreachable when one of them fails, or the server does not start.
    """
    temporary = _temporary_directory(account)
    _remove_leftovers(temporary, binaries, account)
    folder = Path(tempfile.mkdtemp(prefix="pendingctl-", dir=temporary))
    account.let_through(folder)
    (folder / _THROWAWAY_MARK).touch()
    running = _Running(folder, binaries, account, throwaway=True)
    try:
        with hold_lock(folder / "users.lock", fcntl.LOCK_SH):
            running.start({**_THROWAWAY_SETTINGS, **settings}, making=making(running.data))
            yield ThrowawayServer(running.dsn, binaries, running.data, running.sockets, running)
    finally:
        running.wait_for_the_end()


def _remove_leftovers(temporary: Path, binaries: Binaries, account: Account) -> None:
    for mark in temporary.glob(f"pendingctl-*/{_THROWAWAY_MARK}"):
        folder = mark.parent
        try:
            status = folder.lstat()
            # A new one is not locked yet. Another user's, or a link that leads to it, is none of ours.
            if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _LEFTOVER_SECONDS:
                continue
            with (folder / "users.lock").open("a") as users:
                if try_lock(users, fcntl.LOCK_EX) and not is_locked(folder / "watcher.lock"):
                    _Running(folder, binaries, account, throwaway=True).wait_for_the_end()
        except OSError:
            continue


@contextmanager
def kept_server(directory: Path | None = None, *, create: bool = True) -> Iterator[Server]:
    """The local server whose data stays; by default below ~/.local/share (root: /var/lib/pendingctl).

    Several processes may use it at once: the first starts it, and it stops when the last is gone, however that
    ends; after the block of the last it has stopped.

    Raises InvalidInput when the folder cannot be used, when it holds no server and none is to be created, or when
    there is no Postgres for it, and DatabaseUnreachable when it does not start.
    """
    account = server_account()
    folder = _kept_folder(directory, account, create=create)
    with hold_lock(folder / "users.lock", fcntl.LOCK_SH):
        with hold_lock(folder / "start.lock", fcntl.LOCK_EX):
            data = folder / "data"
            major = int((data / "PG_VERSION").read_text()) if (data / "PG_VERSION").is_file() else None
            running = _Running(folder, readable_binaries(find_binaries(major), account), account, throwaway=False)
            if not data.is_dir():
                making = folder / "making"
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir(mode=0o700)
                account.own(making)
                account.run(_copy(template(running.binaries, account), making))
                os.sync()  # the template was made without
                making.rename(data)
            if not running.is_ready():
                running.start({})
            elif not is_locked(folder / "watcher.lock"):
                running.adopt()
        yield Server(running.dsn, running.binaries, running.data, running.sockets)
    wait_for(lambda: _is_stopped_or_used(folder), f"{folder / 'watcher.lock'} stays locked")


def connection_string(*sockets: Path, target: str = "any") -> str:
    """What libpq takes: the servers to try in turn, until one is what `target` asks (its target_session_attrs)."""
    # hostaddr, options and target_session_attrs keep libpq's own variables from leading elsewhere.
    hosts = ",".join(str(each) for each in sockets)
    return (
        f"host='{hosts}' port=5432 dbname=postgres user=postgres hostaddr='' options='' target_session_attrs={target}"
    )


def _copy(source: Path, target: Path) -> list[str]:
    """The command that copies what is in one folder into another; what it makes is its user's."""
    return ["cp", "-Rp", f"{source}/.", str(target)]


class _Running:
    """One server's folder and what goes on in it.

    The folder with the locks and the log is the present user's, and only the data are the server's: root must not
    write where a superuser of the database could have laid a link to another file.
    """

    def __init__(self, folder: Path, binaries: Binaries, account: Account, *, throwaway: bool) -> None:
        self.folder = folder
        self.throwaway = throwaway
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.binaries = binaries
        self.account = account
        self.sockets = _socket_folder(self.data, account)
        self.dsn = connection_string(self.sockets)
        self.ended = folder / "ended"

    def start(self, settings: Mapping[str, str], *, making: Sequence[list[str]] = ()) -> None:
        """Start it, its data folder made first if so told, and return when it takes connections."""
        self.ended.unlink(missing_ok=True)
        options = {**_SETTINGS, "unix_socket_directories": f'"{self.sockets}"', **settings}
        postgres = [
            str(self.binaries.directory / "postgres"),
            *("-D", str(self.data)),
            *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
        ]
        # The watcher makes the folder: a user that is killed in the middle of it would leave the half.
        self._watch(commands=[*making, postgres])
        self._wait_until_ready()

    def restart(self) -> None:
        """End it at once, and return when the watcher has started it again."""
        before = self._ready_instance()
        self._expect(before)
        # The watcher must know before the server ends.
        (self.folder / "restart").touch()
        self._end_at_once()
        self._wait_until_ready(other_than=before)

    def stop(self) -> None:
        """End it at once; the watcher stays, for the files."""
        (self.folder / "restart").unlink(missing_ok=True)
        if not self.ended.is_file():
            self._expect(self._ready_instance())
            self._end_at_once()
        wait_for(self.ended.is_file, f"it still runs in {self.folder}")

    def _expect(self, instance: list[str]) -> None:
        if not instance or not is_locked(self.folder / "watcher.lock"):
            raise DatabaseUnreachable(f"the local PostgreSQL {self.binaries.version} does not run: {self._why()}")

    def _end_at_once(self) -> None:
        # A number found in a file may be another process's by now: it is told as the server's own user, who can reach
        # no other's.
        for number in self._postmaster_pid()[:1]:
            with suppress(DatabaseFailed):  # it has just ended
                self.account.run(["kill", "-QUIT", number])

    def _wait_until_ready(self, *, other_than: Sequence[str] = ()) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while (instance := self._ready_instance()) == other_than or not instance:
            if self.ended.is_file() or time.monotonic() > deadline:
                if shutil.disk_usage(self.folder).free < _FULL_BYTES:
                    raise InvalidInput(f"the disk of {self.folder} is full; a local server needs {ROOM_NEEDED} there")
                raise DatabaseUnreachable(f"the local PostgreSQL {self.binaries.version} did not start: {self._why()}")
            time.sleep(0.002)

    def adopt(self) -> None:
        """Watch a server whose watcher was killed."""
        self._watch(adopt=int(self._postmaster_pid()[0]))

    def _watch(self, *, commands: Sequence[list[str]] = (), adopt: int | None = None) -> None:
        removed = {self.folder, self.sockets} if self.throwaway else {self.sockets} - {self.data}
        task = {
            "folder": str(self.folder),
            "make": str(self.data) if self.throwaway else None,
            "commands": commands,
            "adopt": adopt,
            "throwaway": self.throwaway,
            "remove": [str(each) for each in removed],
            "log": str(self.log),
            "identity": {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
            if self.account.switch
            else {},
        }
        # -I and -S: nothing of the user's environment or of the site's is loaded.
        subprocess.run(
            [sys.executable, "-I", "-S", watcher.__file__],
            input=json.dumps(task).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            check=True,
        )

    def is_ready(self) -> bool:
        return bool(self._ready_instance())

    def _ready_instance(self) -> list[str]:
        """What tells a server that takes connections from the next one here; empty when none does."""
        # The socket first: only a server that has it has also written its own postmaster.pid over a dead one's.
        with socket.socket(socket.AF_UNIX) as trying:
            try:
                trying.connect(str(self.sockets / ".s.PGSQL.5432"))
            except OSError:
                return []
        # Line 8 is its state, and the first three have its process and when it began (src/include/utils/pidfile.h).
        lines = self._postmaster_pid()
        return lines[:3] if len(lines) >= 8 and lines[7].strip() == "ready" else []

    def _postmaster_pid(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _why(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "it said nothing"
        told = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines or ["it said nothing"]
        return f"{told[-1]} (in {self.log})" if self.folder.is_dir() else told[-1]

    def wait_for_the_end(self) -> None:
        """Return when a throw-away server is gone, with its files; its last user is gone already."""
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self.folder.is_dir() and time.monotonic() < deadline:
            if not is_locked(self.folder / "watcher.lock"):
                break
            time.sleep(0.002)
        # Nobody watches: it never started, or somebody killed the watcher. Only a server that answers is told; one that
        # does not answer yet ends by itself within a minute of its folder's removal.
        if self.is_ready():
            self._end_at_once()
            while self.is_ready() and time.monotonic() < deadline:
                time.sleep(0.01)
        for each in (self.folder, self.sockets):
            shutil.rmtree(each, ignore_errors=True)


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
            f"the server runs as user {account.name}, who cannot enter {folder}; "
            "name a folder below one that everybody may enter"
        )
    return folder


def _no_server(folder: Path) -> InvalidInput:
    find_binaries()  # to install Postgres comes first
    return InvalidInput(
        f"there is no local server in {folder}; to make one: pendingctl migrate --dsn 'embedded:{folder}'"
    )


def _temporary_directory(account: Account) -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if account.can_reach(usual) else Path("/tmp")


def _socket_folder(folder: Path, account: Account) -> Path:
    """The data folder, or a short one: the path of a socket is limited, and libpq splits it at commas."""
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER and not set(str(folder)) & set(",\"'\\"):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path("/tmp", f"pendingctl-{account.uid}-{name}")
    try:
        short.mkdir(mode=0o700)
        account.own(short)
    except FileExistsError:
        if short.is_symlink() or short.stat().st_uid != account.uid:
            raise InvalidInput(f"{short} belongs to somebody else; remove it, or choose another folder") from None
    return short


def _is_stopped_or_used(folder: Path) -> bool:
    if not is_locked(folder / "watcher.lock"):
        return True
    # The watcher has the lock exclusively while it stops the server, other users have a share of it.
    with (folder / "users.lock").open("a") as file:
        return try_lock(file, fcntl.LOCK_SH) and not try_lock(file, fcntl.LOCK_EX)
