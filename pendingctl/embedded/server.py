"""One local server: starting its process, restarting and stopping it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatabaseFailed, DatabaseUnreachable, InvalidInput
from . import watcher
from .account import ROOM_NEEDED, Account
from .binaries import Binaries
from .locks import START_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS, is_locked, wait_for
from .sockets import connection_string, socket_folder

# A server that ends at its start with less room than this found the disk full; it may have had no room for its log.
_FULL_BYTES = 256 * 1024

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `dsn` is a libpq connection string: a unix socket, without a password."""

    dsn: str
    binaries: Binaries
    data_directory: Path
    socket_directory: Path


def copy_command(source: Path, target: Path) -> list[str]:
    """Return the command that copies the content of a folder; the copies belong to the user that runs it."""
    return ["cp", "-Rp", f"{source}/.", str(target)]


class ServerProcess:
    """One server's folder, its postgres process and its watcher.

    The folder with the locks and the log belongs to the present user, and only the data to the server's: root must not
    write where a superuser of the database could have placed a link to another file.
    """

    def __init__(self, folder: Path, binaries: Binaries, account: Account, *, throwaway: bool) -> None:
        self.folder = folder
        self.throwaway = throwaway
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.binaries = binaries
        self.account = account
        self.sockets = socket_folder(self.data, account)
        self.dsn = connection_string(self.sockets)
        self.ended = folder / "ended"

    def start(self, settings: Mapping[str, str], *, data_commands: Sequence[list[str]] = ()) -> None:
        """Fill the data folder if there are commands for it, start the server, and wait until it is ready."""
        self.ended.unlink(missing_ok=True)
        options = {**_SETTINGS, "unix_socket_directories": f'"{self.sockets}"', **settings}
        postgres = [
            str(self.binaries.directory / "postgres"),
            *("-D", str(self.data)),
            *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
        ]
        # The watcher creates the folder: a user killed in the middle would leave half of it behind.
        self._watch(commands=[*data_commands, postgres])
        self._wait_until_ready()

    def restart(self) -> None:
        """Stop it in immediate mode, and return when the watcher has started it again."""
        before = self._ready_instance()
        self._check_running(before)
        # The watcher looks for this file once the server has ended.
        (self.folder / "restart").touch()
        self._send_immediate_shutdown()
        self._wait_until_ready(other_than=before)

    def stop(self) -> None:
        """Stop it in immediate mode; the watcher stays, to remove the files."""
        (self.folder / "restart").unlink(missing_ok=True)
        if not self.ended.is_file():
            self._check_running(self._ready_instance())
            self._send_immediate_shutdown()
        wait_for(self.ended.is_file, f"it still runs in {self.folder}")

    def _check_running(self, instance: list[str]) -> None:
        if not instance or not is_locked(self.folder / "watcher.lock"):
            raise DatabaseUnreachable(f"the local PostgreSQL {self.binaries.version} does not run: {self._reason()}")

    def _send_immediate_shutdown(self) -> None:
        # The number may belong to another process by now: the signal is sent as the server's user, which can reach only
        # its own processes.
        for number in self._postmaster_pid()[:1]:
            with suppress(DatabaseFailed):  # it has just ended
                self.account.run(["kill", "-QUIT", number])

    def _wait_until_ready(self, *, other_than: Sequence[str] = ()) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while (instance := self._ready_instance()) == other_than or not instance:
            if self.ended.is_file() or time.monotonic() > deadline:
                if shutil.disk_usage(self.folder).free < _FULL_BYTES:
                    raise InvalidInput(f"the disk of {self.folder} is full; a local server needs {ROOM_NEEDED} there")
                version = self.binaries.version
                raise DatabaseUnreachable(f"the local PostgreSQL {version} did not start: {self._reason()}")
            time.sleep(0.002)

    def adopt(self) -> None:
        """Start a watcher for a running server whose watcher was killed."""
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
        # -I and -S: neither the user's environment nor site-packages are loaded.
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
        """Whether it accepts connections."""
        return bool(self._ready_instance())

    def _ready_instance(self) -> list[str]:
        """Return what identifies the server that accepts connections here; empty if there is none."""
        # The socket first: a server that has one has already replaced a dead one's postmaster.pid.
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.sockets / ".s.PGSQL.5432"))
            except OSError:
                return []
        # Line 8 is the state; the first three have the process, the folder and the start time (utils/pidfile.h).
        lines = self._postmaster_pid()
        return lines[:3] if len(lines) >= 8 and lines[7].strip() == "ready" else []

    def _postmaster_pid(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _reason(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "its log is empty"
        errors = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines or ["its log is empty"]
        return f"{errors[-1]} (in {self.log})" if self.folder.is_dir() else errors[-1]

    def wait_until_removed(self) -> None:
        """Wait until the watcher has removed an unused throw-away server; remove it here if there is no watcher."""
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self.folder.is_dir() and time.monotonic() < deadline:
            if not is_locked(self.folder / "watcher.lock"):
                break
            time.sleep(0.002)
        # There is no watcher left: it never started, or it was killed. Only a server that answers gets the signal; one
        # that does not yet ends by itself within a minute of its folder's removal.
        if self.is_ready():
            self._send_immediate_shutdown()
            while self.is_ready() and time.monotonic() < deadline:
                time.sleep(0.01)
        for each in (self.folder, self.sockets):
            shutil.rmtree(each, ignore_errors=True)
