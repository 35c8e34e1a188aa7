"""The user that the server runs as, and what that user can reach. Postgres refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatabaseFailed, InvalidInput

# What a program says, in English as its locale is C, where a folder is full or read-only.
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "Read-only file system")

# An empty server's data, and as much again when it has written its first 16 MB of WAL.
ROOM_NEEDED = "about 60 MB"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine; `switch`: a process must change to that user first."""

    uid: int
    gid: int
    name: str
    switch: bool

    def run(self, command: Sequence[str | Path]) -> None:
        """Run a command as this user.

        Raises InvalidInput when there is no room for its files, else DatabaseFailed with the last line of its output.
        """
        try:
            ended = subprocess.run(
                command,
                cwd="/",  # this user may not be allowed into the present folder
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
                user=self.uid if self.switch else None,
                group=self.gid if self.switch else None,
                extra_groups=[] if self.switch else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DatabaseFailed(f"{Path(command[0]).name} could not be run as user {self.name}: {error}") from error
        if ended.returncode != 0:
            lines = (ended.stderr or ended.stdout).strip().splitlines() or [f"exit code {ended.returncode}"]
            for line in lines:
                if any(reason in line for reason in _NO_ROOM):
                    raise InvalidInput(f"{line.strip()}; a local server needs {ROOM_NEEDED} there")
            raise DatabaseFailed(f"{Path(command[0]).name} failed: {lines[-1]}")

    def can_reach(self, path: Path) -> bool:
        """Whether this user can enter the folder and read what is in it."""
        if not self.switch:
            return os.access(path, os.R_OK | os.X_OK)
        for folder in (path, *path.parents):
            status = folder.stat()
            shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
            if not status.st_mode >> shift & 0o1:
                return False
        return True

    def own(self, path: Path) -> None:
        """Make this user the owner of a new folder."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def let_through(self, path: Path) -> None:
        """Let this user enter a folder that still belongs to the present user."""
        path.chmod(0o711 if self.switch else 0o700)


def server_account() -> Account:
    """Return the present user or, for root, `postgres` if it exists, else `nobody`."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), str(os.geteuid()), switch=False)
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(user.pw_uid, user.pw_gid, name, switch=True)
    raise DatabaseFailed("Postgres does not run as root, and there is neither a user postgres nor a user nobody")
