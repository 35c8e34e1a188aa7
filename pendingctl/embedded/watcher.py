"""The process that owns a local server: it starts Postgres, and stops it when its last user has ended.

It also creates a throw-away server's data folder, and restarts such a server on request, so that a user killed in the
middle of either leaves nothing behind.

Every user holds a shared lock on a file, which the kernel releases however the user ends, SIGKILL included; the
watcher waits for the exclusive lock. It is a program of its own (`python -I -S watcher.py`, with its task as JSON on
stdin) that needs only the standard library, in a session of its own that Ctrl-C at a terminal does not reach.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

# Postgres's fast shutdown, its immediate shutdown, and the last resort (PostgreSQL manual, section 18.5). A throw-away
# server need not write its memory into files that are removed.
_STOPPING = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))
_STOPPING_A_THROWAWAY = _STOPPING[1:]


def main() -> None:
    """Watch one server to its end."""
    task = json.load(sys.stdin)
    folder = Path(task["folder"])
    alive = (folder / "watcher.lock").open("w")
    users = (folder / "users.lock").open("w")
    fcntl.flock(alive, fcntl.LOCK_EX)
    # The parent process continues once the lock is held, and has no child to wait for.
    if os.fork():
        os._exit(0)

    server = _Server(task)
    signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
    for ignored in (signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN, which child processes would inherit.
        signal.signal(ignored, lambda *_: None)
    if task["adopt"] is not None and task["identity"]:
        # The process number is from a file of the server's user, which may have written another number into it.
        _become(task["identity"])
    unused = threading.Event()
    waiting = threading.Thread(target=_stop_when_unused, args=(users, server, unused), daemon=True)
    waiting.start()
    ending = server.run()
    if task["adopt"] is None:
        (folder / "ended").write_text(ending)
    # The next user of a kept server that ended by itself starts it again, after this process has ended.
    if task["throwaway"]:
        waiting.join()
    if unused.is_set():
        for each in task["remove"]:
            shutil.rmtree(each, ignore_errors=True)


def _become(identity: dict[str, int]) -> None:
    os.setgroups([])
    os.setgid(identity["group"])
    os.setuid(identity["user"])


def _stop_when_unused(users: TextIO, server: _Server, unused: threading.Event) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    unused.set()
    server.stop()


class _Server:
    """Postgres as a child process in the foreground, or an adopted one whose watcher was killed."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._adopted: int | None = task["adopt"]
        self._child: subprocess.Popen[bytes] | None = None
        # Held from the check of `_stopped` until the child exists: after a stop nothing more is started.
        self._starting = threading.Lock()
        self._stopped = False

    def run(self) -> str:
        """Start the server, or wait for the adopted one; return how it ended."""
        if self._adopted is not None:
            while self._runs():
                time.sleep(0.05)
            return "stopped"
        identity = self._task["identity"]
        if self._task["make"] is not None:
            data = Path(self._task["make"])
            data.mkdir(mode=0o700)
            if identity:
                os.chown(data, identity["user"], identity["group"])
        restart = Path(self._task["folder"], "restart")
        *preparing, postgres = self._task["commands"]
        with Path(self._task["log"]).open("ab") as log:
            # If a command before the server fails, the server ends in the same way.
            for command in preparing:
                ending = self._run(command, log)
                if ending != "exit code 0":
                    return ending
            while True:
                ending = self._run(postgres, log)
                if not restart.exists():
                    return ending
                restart.unlink()

    def _run(self, command: list[str], log: BinaryIO) -> str:
        with self._starting:
            if self._stopped:
                return "stopped"
            try:
                self._child = subprocess.Popen(
                    command,
                    cwd="/",
                    env={"PATH": os.defpath, "LC_ALL": "C"},  # the user's environment may contain passwords
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._task["identity"],
                )
            except OSError as error:
                log.write(f"{error}\n".encode())
                return "not started"
        return f"exit code {self._child.wait()}"

    def request_stop(self) -> None:
        self._send(signal.SIGINT)

    def stop(self) -> None:
        with self._starting:
            self._stopped = True
        for sent, patience in _STOPPING_A_THROWAWAY if self._task["throwaway"] else _STOPPING:
            deadline = time.monotonic() + patience
            while self._runs() and time.monotonic() < deadline:
                # Repeated: a child that does not run its program yet ignores the signal.
                self._send(sent)
                again = min(deadline, time.monotonic() + 0.5)
                while self._runs() and time.monotonic() < again:
                    time.sleep(0.002)

    def _send(self, sent: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(sent)
        elif self._adopted is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self._adopted, sent)

    def _runs(self) -> bool:
        if self._child is not None:
            return self._child.returncode is None
        if self._adopted is None:
            return False
        try:
            os.kill(self._adopted, 0)
        except ProcessLookupError:
            return False
        return True


if __name__ == "__main__":
    main()
