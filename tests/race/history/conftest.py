"""A folder with a history in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.race.history.files import make_directory
from tests.race.history.examples import HISTORY, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a whole history."""
    make_directory(tmp_path / "history")
    write(tmp_path / "history", HISTORY)
    return tmp_path / "history"
