"""Histories of limits on disk: they come back as they were written, whatever became of their writers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.limits import files
from pendingctl.race.limits.history import LimitHistory, TakeOutcome

from .histories import SPENT, Writing


@pytest.fixture
def history() -> LimitHistory:
    writing = Writing()
    writing.take(0, 1, 3, key=SPENT)
    writing.look(2, 3)
    writing.deny(4, 5, key=SPENT, is_new=True)
    writing.take(6, None, outcome=TakeOutcome.UNKNOWN)
    writing.look(7, 8, None)
    writing.set_back(9, 10)
    return writing.history()


def write(directory: Path, history: LimitHistory) -> None:
    file = files.open_pod_file(directory, "pod-1")
    for look in history.looks:
        file.append(files.look_record(look))
    for take in history.takes:
        file.append(files.take_record(replace(take, outcome=TakeOutcome.UNKNOWN, ended=None)))
        if take.ended is not None:
            file.append(files.take_record(take))
    file.close()
    for set_back in history.set_back:
        files.write_set_back(directory, set_back)


def test_a_history_comes_back_as_it_was_written(tmp_path: Path, history: LimitHistory) -> None:
    write(tmp_path, history)
    assert files.read_limits(tmp_path) == history


def test_a_take_whose_end_a_kill_has_cut_off_may_have_been_done(tmp_path: Path, history: LimitHistory) -> None:
    write(tmp_path, replace(history, takes=history.takes[:2]))
    path = tmp_path / "limits-pod-1.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    last = files.read_limits(tmp_path).takes[-1]
    assert (last.outcome, last.ended) == (TakeOutcome.UNKNOWN, None)


def test_files_that_hold_other_things_are_refused(tmp_path: Path, history: LimitHistory) -> None:
    write(tmp_path, history)
    (tmp_path / "limits-clock.jsonl").write_text('{"began": 1}\n')
    with pytest.raises(InvalidInput, match="the history of limits"):
        files.read_limits(tmp_path)
