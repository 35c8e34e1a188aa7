"""Where readers stand is read from their pods' files as these grow, whatever becomes of the pods."""

from __future__ import annotations

from pathlib import Path

from pendingctl.race.history.files import HistoryFile
from pendingctl.race.streams.files import item_record, session_record
from pendingctl.race.streams.history import Item, ItemKind, Session
from pendingctl.race.streams.whereabouts import Whereabouts


def item(seq: int) -> Item:
    return Item(seq, ItemKind.EVENT, seq, seq, "", "", f"{seq}-0")


def begin(directory: Path, pod: str) -> HistoryFile:
    file = HistoryFile(directory / f"{pod}.jsonl")
    file.append(session_record(Session(pod, 7, "r1", "acme/talk", None, 0)))
    return file


def test_a_reader_stands_where_its_last_pod_says(tmp_path: Path) -> None:
    whereabouts = Whereabouts(tmp_path)
    first, second = begin(tmp_path, "pod-2"), begin(tmp_path, "pod-1")
    first.append(item_record(7, item(1)))
    assert whereabouts.look() == {"r1": item(1)}
    second.append(item_record(7, item(2)))
    assert whereabouts.look() == {"r1": item(2)}
    first.close()
    second.close()


def test_an_item_that_is_half_written_counts_when_it_is_whole(tmp_path: Path) -> None:
    whereabouts = Whereabouts(tmp_path)
    file = begin(tmp_path, "pod-1")
    file.append(item_record(7, item(1)))
    path = tmp_path / "pod-1.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert whereabouts.look() == {}
    path.write_bytes(whole)
    assert whereabouts.look() == {"r1": item(1)}
    file.close()
