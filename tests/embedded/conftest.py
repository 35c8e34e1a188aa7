"""Folders and versions for local servers."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pendingctl.embedded import find_binaries
from pendingctl.errors import InvalidInput
from tests.embedded.servers import until
from tests.processes import processes


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's user can enter; pytest's own is closed to others."""
    folder = Path(tempfile.gettempdir(), f"pendingctl-test-{os.getpid()}-{time.monotonic_ns()}")
    folder.mkdir(mode=0o755)
    yield folder
    until(lambda: not any(f"-D {folder}" in each.command for each in processes()))
    until(lambda: _is_removed(folder))


def _is_removed(folder: Path) -> bool:
    """Whether it is gone now: a watcher may have written into it meanwhile how its server has ended."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture(params=["newest", 15])
def major(request: pytest.FixtureRequest) -> int:
    """The default version, and an older one."""
    try:
        return find_binaries(None if request.param == "newest" else request.param).major
    except InvalidInput as error:
        pytest.skip(str(error))
