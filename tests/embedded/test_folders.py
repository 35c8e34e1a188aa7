"""Where a local server's files go: a folder that is named wrongly, full or read-only is reported as such."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands import QUESTION, SCOPE, complaint, document, run

pytestmark = pytest.mark.once

RACE = [sys.executable, "-m", "pendingctl", "simulate-race", "--pods", "1", "--questions", "2", "--clicks", "1"]
MIGRATE = [sys.executable, "-m", "pendingctl", "migrate", "--dsn"]

NEED_DATA: dict[str, tuple[str, ...]] = {
    "enqueue": (*QUESTION, "--create-org"),
    "ask": QUESTION,
    "claim": ("q", *SCOPE),
    "answer": ("q", "--value", "yes", "--reason", "nobody is there"),
    "withdraw": ("q", *SCOPE, "--yes"),
    "extend": ("q", *SCOPE, "--by", "1h"),
    "delete": ("q", *SCOPE, "--yes"),
    "list": (),
    "show": ("q",),
    "stats": (),
    "redeliver": ("q", "--yes"),
    "repair-cards": ("--card", "behind", "--yes"),
    "sweep": (),
    "diff-schema": (),
    "simulate-race": (),
}


@pytest.mark.parametrize("command", NEED_DATA)
def test_a_folder_without_a_server_is_refused_and_not_made(open_folder: Path, command: str) -> None:
    refused = run(command, *NEED_DATA[command], "--dsn", f"embedded:{open_folder}/typo")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1] == (
        f"error: there is no local server in {open_folder}/typo; "
        f"to make one: pendingctl migrate --dsn 'embedded:{open_folder}/typo'"
    )
    assert list(open_folder.iterdir()) == []


@pytest.mark.parametrize("looking", [("--check",), ("--dry-run",), ("--rollback", "1", "--yes")])
def test_a_migrate_that_only_looks_makes_no_server(open_folder: Path, looking: tuple[str, ...]) -> None:
    assert "there is no local server" in complaint(run("migrate", *looking, "--dsn", f"embedded:{open_folder}/typo"), 2)
    assert list(open_folder.iterdir()) == []


def test_an_empty_folder_holds_no_server_either(open_folder: Path) -> None:
    assert "there is no local server" in complaint(run("stats", "--dsn", f"embedded:{open_folder}"), 2)
    assert list(open_folder.iterdir()) == []


def test_migrate_makes_the_server_that_the_others_use(open_folder: Path) -> None:
    dsn = f"embedded:{open_folder}/kept"

    assert run("migrate", "--dsn", dsn).exit_code == 0
    assert run("enqueue", *QUESTION, "--create-org", "--dsn", dsn).exit_code == 0
    assert document(run("stats", "--dsn", dsn, "-o", "json"))["pending"] == 1


# Full and read-only.


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A small disk of its own in this folder, where this user may mount one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user can mount no disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def said_by(command: list[str], **environment: str) -> str:
    """The one line that a command ends with, and exit code 2."""
    ended = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300
    )
    notes = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
    assert (ended.returncode, len(notes), ended.stdout) == (2, 1, ""), ended.stderr
    return notes[0]


@pytest.fixture
def small(open_folder: Path) -> Path:
    """An empty folder for a disk."""
    folder = open_folder / "small"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("size", ["16k", "1m", "20m"])
def test_a_full_folder_for_temporary_files_is_named(small: Path, size: str) -> None:
    with disk(small, f"size={size},mode=1777"):
        said = said_by(RACE, TMPDIR=str(small))

        assert list(small.iterdir()) == []
    assert "is full" in said
    assert str(small) in said


@pytest.mark.parametrize("size", ["4k", "20m"])
def test_a_full_disk_under_a_kept_server_is_named(small: Path, size: str) -> None:
    with disk(small, f"size={size},mode=755"):
        said = said_by([*MIGRATE, f"embedded:{small}/kept"])

    assert "No space left on device" in said
    assert str(small) in said


def test_a_read_only_disk_under_a_kept_server_is_named(small: Path) -> None:
    with disk(small, "ro,size=1m,mode=755"):
        said = said_by([*MIGRATE, f"embedded:{small}/kept"])

    assert f"{small}/kept cannot be used: Read-only file system" in said


@pytest.mark.parametrize("size", ["4k", "20m"])
def test_a_full_cache_is_named(small: Path, size: str) -> None:
    program = (
        "import sys; from pathlib import Path; from pendingctl.embedded import cache\n"
        "folder = Path(sys.argv.pop(1)); cache._cache_directory = lambda: folder\n"
        "from pendingctl.__main__ import main; main()"
    )
    with disk(small, f"size={size},mode=755"):
        said = said_by([sys.executable, "-c", program, str(small), *RACE[3:]])

        assert list(small.iterdir()) == []
    assert "No space left on device" in said


def test_no_folder_for_temporary_files_at_all_is_said() -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -f 0; exec {shlex.join(RACE)}"],  # no file can be written anywhere
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert ended.returncode == 2
    assert "No usable temporary directory found" in ended.stderr
    assert "set TMPDIR" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_server_that_was_refused_for_want_of_room_can_be_made_later(small: Path) -> None:
    with disk(small, "size=20m,mode=755"):
        said_by([*MIGRATE, f"embedded:{small}/kept"])
        subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
        assert run("migrate", "--dsn", f"embedded:{small}/kept").exit_code == 0
        shutil.rmtree(small / "kept")
