"""The process that owns a local server: it starts Postgres and stops it when its last user is gone.

It also makes a throw-away server's data folder, and starts such a server again when its user has asked for that
before ending it: whoever is killed in the middle of either leaves nothing.

A user holds a shared lock on a file, which the kernel takes back however the user ends, SIGKILL included; the
watcher waits for the exclusive lock. It runs by itself (`python -I -S watcher.py`, what to do as JSON on stdin), in
a session of its own that Ctrl-C at a terminal does not reach, on the standard library alone.
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

# Postgres's fast shutdown, its immediate one, and the end (PostgreSQL manual, section 18.5).
_STOPPING = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))


def main() -> None:
    """Watch one server to its end."""
    task = json.load(sys.stdin)
    folder = Path(task["folder"])
    alive = (folder / "watcher.lock").open("w")
    users = (folder / "users.lock").open("w")
    fcntl.flock(alive, fcntl.LOCK_EX)
    # Whoever started this goes on when the lock is held, and has no child to wait for.
    if os.fork():
        os._exit(0)

    server = _Server(task)
    signal.signal(signal.SIGTERM, lambda *_: server.ask_to_stop())
    for ignored in (signal.SIGINT, signal.SIGHUP):
        # Not SIG_IGN, which what it starts would inherit.
        signal.signal(ignored, lambda *_: None)
    if task["adopt"] is not None and task["identity"]:
        # The number of the server's process stood in a file of the server's user, who may have written another one.
        _become(task["identity"])
    unused = threading.Event()
    waiting = threading.Thread(target=_stop_when_unused, args=(users, server, unused), daemon=True)
    waiting.start()
    ending = server.run()
    if task["adopt"] is None:
        (folder / "ended").write_text(ending)
    # A kept server that ended by itself is started again by the next user, who waits for this process to end.
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
    """Postgres in the foreground as a child, or one whose watcher was killed."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._adopted: int | None = task["adopt"]
        self._child: subprocess.Popen[bytes] | None = None
        # Held from the look at `_stopped` until the child is there: after a stop nothing more is started.
        self._starting = threading.Lock()
        self._stopped = False

    def run(self) -> str:
        """Start it, or take over the one that runs, and return how it ended, when it has."""
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
            # When one before the server fails, that is how the server has ended.
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
                    env={"PATH": os.defpath, "LC_ALL": "C"},  # nothing of its user's environment, passwords among it
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._task["identity"],
                )
            except OSError as error:
                log.write(f"{error}\n".encode())
                return "not started"
        return f"exit code {self._child.wait()}"

    def ask_to_stop(self) -> None:
        self._send(signal.SIGINT)

    def stop(self) -> None:
        with self._starting:
            self._stopped = True
        for sent, patience in _STOPPING:
            deadline = time.monotonic() + patience
            while self._runs() and time.monotonic() < deadline:
                # Again and again: a child that does not run its program yet takes no notice.
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
