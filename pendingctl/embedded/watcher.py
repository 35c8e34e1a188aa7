"""The process that owns a local server: it starts Postgres and stops it when its last user is gone.

It also copies a throw-away server's data folder, so that whoever is killed in the middle of that leaves nothing.

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
from pathlib import Path
from typing import TextIO

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

    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    if task["adopt"] is not None and task["identity"]:
        # The number of the server's process stood in a file of the server's user, who may have written another one.
        _become(task["identity"])
    server = _Server(task)
    signal.signal(signal.SIGTERM, lambda *_: server.ask_to_stop())
    unused = threading.Event()
    waiting = threading.Thread(target=_stop_when_unused, args=(users, server, unused), daemon=True)
    waiting.start()
    ending = server.wait()
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

    def __init__(self, task: dict[str, object]) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        adopted = task["adopt"]
        if isinstance(adopted, int):
            self._pid = adopted
            return
        identity = task["identity"]
        assert isinstance(identity, dict)
        commands = task["commands"]
        assert isinstance(commands, list)
        if task["make"] is not None:
            data = Path(str(task["make"]))
            data.mkdir(mode=0o700)
            if identity:
                os.chown(data, identity["user"], identity["group"])
        with open(str(task["log"]), "ab") as log:  # noqa: PTH123
            # The last is the server. When one before it fails, that is how the server has ended.
            for command in commands:
                if self._child is not None and self._child.wait() != 0:
                    break
                self._child = subprocess.Popen(  # type: ignore[assignment]  # JSON does not say which overload
                    command,
                    cwd="/",
                    env={"PATH": os.defpath, "LC_ALL": "C"},  # nothing of its user's environment, passwords among it
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **identity,
                )
        assert self._child is not None
        self._pid = self._child.pid

    def wait(self) -> str:
        """Return how the server ended, when it has."""
        if self._child is not None:
            return f"exit code {self._child.wait()}"
        while self._runs():
            time.sleep(0.05)
        return "stopped"

    def ask_to_stop(self) -> None:
        os.kill(self._pid, signal.SIGINT)

    def stop(self) -> None:
        for sent, patience in _STOPPING:
            deadline = time.monotonic() + patience
            while self._runs() and time.monotonic() < deadline:
                # Again and again: a server that has just begun still ignores SIGINT, as this process does.
                os.kill(self._pid, sent)
                again = min(deadline, time.monotonic() + 0.5)
                while self._runs() and time.monotonic() < again:
                    time.sleep(0.002)

    def _runs(self) -> bool:
        if self._child is not None:
            return self._child.returncode is None
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        return True


if __name__ == "__main__":
    main()
