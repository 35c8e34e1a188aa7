"""The folder of a history: it is made or was empty, and nobody else may read what is in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.history.files import END, FAULTS, QUESTIONS, RACE, ROWS, TRAIL, make_directory, read_history
from tests.race.history.examples import HISTORY, write


def test_a_folder_is_made_for_a_history_with_those_above_it(tmp_path: Path) -> None:
    make_directory(tmp_path / "new" / "history")

    assert list((tmp_path / "new" / "history").iterdir()) == []
    assert mode(tmp_path / "new" / "history") == 0o700


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    make_directory(tmp_path)
    write(tmp_path, HISTORY)

    assert read_history(tmp_path)[1] == HISTORY


@pytest.mark.parametrize("held", ["race.json", ".hidden"])
def test_a_folder_that_holds_something_is_refused(tmp_path: Path, held: str) -> None:
    (tmp_path / held).touch()

    with pytest.raises(InvalidInput, match="is not empty") as refused:
        make_directory(tmp_path)
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize("below", [(), ("history",)], ids=["a file", "below a file"])
def test_what_cannot_be_a_folder_is_refused(tmp_path: Path, below: Sequence[str]) -> None:
    path = (tmp_path / "file").joinpath(*below)
    (tmp_path / "file").touch()

    with pytest.raises(InvalidInput, match="cannot be used for the history") as refused:
        make_directory(path)
    assert str(path) in str(refused.value)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """What everybody may read unless a program takes care."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("name", [RACE, QUESTIONS, "pod-1.jsonl", FAULTS, ROWS, TRAIL, END])
def test_only_the_user_may_read_a_history(tmp_path: Path, name: str) -> None:
    # In a folder that was there before, whose mode is the user's own affair.
    write(tmp_path, HISTORY)

    assert mode(tmp_path / name) == 0o600
