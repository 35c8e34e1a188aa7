"""Histories of streams on disk: they come back as they were written, whatever became of their writers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.history.files import FAULTS, HistoryFile
from pendingctl.race.streams import files
from pendingctl.race.streams.history import Append, Ending, EndingKind, ItemKind, StreamHistory
from pendingctl.race.streams.plan import StreamRaceSettings

from .histories import TALK, Writing, cursor

SETTINGS = StreamRaceSettings(pods=2, rounds=3, appends=4, seed=1)


@pytest.fixture
def history() -> StreamHistory:
    writing = Writing()
    writing.append("a", events=2)
    writing.read([writing.event(1)])
    writing.read([writing.event(2), writing.item(ItemKind.END, 2)], after=cursor(1), pod="pod-8")
    writing.turn()
    writing.lock(TALK, 4)
    writing.end(EndingKind.CLOSE)
    return writing.history()


def write(directory: Path, history: StreamHistory) -> None:
    files.write_race(directory, SETTINGS)
    operations: tuple[Append | Ending, ...] = (*history.appends, *history.endings)
    for pod in {each.pod for each in operations} | {each.pod for each in history.sessions}:
        file = HistoryFile(directory / f"{pod}.jsonl")
        for operation in operations:
            if operation.pod == pod:
                file.append(files.operation_record(operation))
        for session in history.sessions:
            if session.pod == pod:
                file.append(files.session_record(session))
                for item in session.items:
                    file.append(files.item_record(session.number, item))
        file.close()
    faults = HistoryFile(directory / FAULTS)
    for fault in history.faults:
        files.append_fault(faults, fault)
    faults.close()
    for snapshot in history.snapshots:
        files.write_snapshot(directory, snapshot)
    for turn in history.turns:
        files.write_turn(directory, turn)
    files.write_end(directory, history.reasons, history.left_behind, 1.5)


def test_a_history_comes_back_as_it_was_written(tmp_path: Path, history: StreamHistory) -> None:
    write(tmp_path, history)
    assert files.is_of_streams(tmp_path)
    assert files.read_history(tmp_path) == (SETTINGS, history, 1.5)


def test_an_item_that_a_kill_has_cut_off_was_not_received(tmp_path: Path, history: StreamHistory) -> None:
    write(tmp_path, history)
    path = tmp_path / "pod-8.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    _, read, _ = files.read_history(tmp_path)
    first, second = history.sessions
    assert read.sessions == (first, replace(second, items=second.items[:-1]))


def test_a_history_of_another_version_is_refused(tmp_path: Path, history: StreamHistory) -> None:
    write(tmp_path, history)
    race = json.loads((tmp_path / "race.json").read_text())
    (tmp_path / "race.json").write_text(json.dumps(race | {"streams_version": 99}))
    with pytest.raises(InvalidInput, match="version 99"):
        files.read_history(tmp_path)


def test_a_race_that_was_broken_off_is_refused(tmp_path: Path, history: StreamHistory) -> None:
    write(tmp_path, history)
    (tmp_path / "end.json").unlink()
    with pytest.raises(InvalidInput, match=r"there is no end\.json; the race was broken off"):
        files.read_history(tmp_path)


def test_a_folder_without_a_race_on_streams_is_none(tmp_path: Path) -> None:
    assert not files.is_of_streams(tmp_path)
