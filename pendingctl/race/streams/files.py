"""A history of streams on disk: a folder with a file for each process, as that of any race.

A pod writes an append and an end before it is sent and again when it has ended, and each item of a reader as it comes:
where a reader stands is then known, whatever becomes of its pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from ..history.files import END, FAULTS, POD, RACE, HistoryFile, read_document, read_lines, write_lines
from ..history.history import Outcome
from .history import (
    Append,
    Ending,
    EndingKind,
    Item,
    ItemKind,
    RingTurn,
    Session,
    Snapshot,
    StoredEvent,
    StoredStream,
    StreamHistory,
    StruckFault,
    Way,
)
from .plan import StreamFaultKind, StreamRaceSettings

# Grows when the shape changes: a history of another version is refused rather than misread.
VERSION = 2
SNAPSHOTS, TURNS = "snapshots.jsonl", "turns.jsonl"


def operation_record(operation: Append | Ending) -> dict[str, Any]:
    """Return what is written when an append or an end begins, and again when it has ended."""
    return {"event": "append" if isinstance(operation, Append) else "ending", **asdict(operation)}


def session_record(session: Session) -> dict[str, Any]:
    """Return what is written when a reader begins to read on a pod, and again when it has ended."""
    fields = asdict(session)
    del fields["items"]
    return {"event": "session", **fields}


def item_record(session: int, item: Item) -> dict[str, Any]:
    """Return what is written when a reader has got an item in the session of this number."""
    return {"event": "item", "session": session, **asdict(item)}


def write_race(directory: Path, settings: StreamRaceSettings) -> None:
    """Write the race's settings, before it begins."""
    write_lines(directory / RACE, [{"streams_version": VERSION, "settings": asdict(settings)}])


def append_fault(file: HistoryFile, fault: StruckFault) -> None:
    """Write a fault that has struck."""
    file.append(asdict(fault))


def write_snapshot(directory: Path, snapshot: Snapshot) -> None:
    """Write what is in the database."""
    write_lines(directory / SNAPSHOTS, [asdict(snapshot)])


def write_turn(directory: Path, turn: RingTurn) -> None:
    """Write when the ring was turned."""
    write_lines(directory / TURNS, [asdict(turn)])


def write_end(directory: Path, reasons: Iterable[str], left_behind: Iterable[str], seconds: float) -> None:
    """Write what the coordinator knows at the end; a history without that belongs to a race that was broken off."""
    write_lines(directory / END, [{"reasons": list(reasons), "left_behind": list(left_behind), "seconds": seconds}])


def is_of_streams(directory: Path) -> bool:
    """Whether a folder has the history of a race on streams, and not of one for questions."""
    try:
        return "streams_version" in read_document(directory / RACE)
    except (OSError, ValueError):
        return False


def read_history(directory: Path) -> tuple[StreamRaceSettings, StreamHistory, float]:
    """Return a race's settings, its history and how many seconds it took.

    A last line that was cut off by its writer's death is ignored. Raises InvalidInput for a folder that is not such a
    history, or one of another version.
    """
    try:
        race = read_document(directory / RACE)
        if race["streams_version"] != VERSION:
            raise InvalidInput(
                f"it has version {race['streams_version']} of a race on streams, and this pendingctl reads version "
                f"{VERSION}; check it with the pendingctl that wrote it"
            )
        fields = race["settings"]
        settings = StreamRaceSettings(**fields | {"faults": tuple(map(StreamFaultKind, fields["faults"]))})
        end = read_document(directory / END)
        history = replace(
            _of_pods(directory),
            snapshots=tuple(map(_snapshot, _lines(directory / SNAPSHOTS))),
            turns=tuple(RingTurn(**record) for record in _lines(directory / TURNS)),
            faults=tuple(
                StruckFault(**record | {"kind": StreamFaultKind(record["kind"])})
                for record in _lines(directory / FAULTS)
            ),
            reasons=tuple(end["reasons"]),
            left_behind=tuple(end["left_behind"]),
        )
        return settings, history, float(end["seconds"])
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise InvalidInput(
            f"the history in {directory} is not whole: there is no {missing}; the race was broken off"
        ) from error
    except (InvalidInput, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"the history in {directory} cannot be read: {error}") from error


def _of_pods(directory: Path) -> StreamHistory:
    appends: list[Append] = []
    endings: list[Ending] = []
    sessions: list[Session] = []
    for path in sorted(directory.glob(POD)):
        operations: dict[int, Append | Ending] = {}
        begun: dict[int, Session] = {}
        items: dict[int, list[Item]] = {}
        for record in read_lines(path):
            match record.pop("event"):
                case "append":
                    fields = {"way": Way(record["way"]), "outcome": Outcome(record["outcome"])}
                    operations[record["number"]] = Append(**record | fields)
                case "ending":
                    kinds = {"kind": EndingKind(record["kind"]), "outcome": Outcome(record["outcome"])}
                    operations[record["number"]] = Ending(**record | kinds)
                case "session":
                    begun[record["number"]] = Session(**record)
                    items.setdefault(record["number"], [])
                case _:
                    number = record.pop("session")
                    items[number].append(Item(**record | {"kind": ItemKind(record["kind"])}))
        appends += [each for each in operations.values() if isinstance(each, Append)]
        endings += [each for each in operations.values() if isinstance(each, Ending)]
        sessions += [replace(each, items=tuple(items[number])) for number, each in begun.items()]
    return StreamHistory(tuple(appends), tuple(endings), tuple(sessions))


def _snapshot(record: dict[str, Any]) -> Snapshot:
    return Snapshot(
        record["started_ns"],
        record["ended_ns"],
        tuple(StoredStream(**each) for each in record["streams"]),
        tuple(StoredEvent(**each) for each in record["events"]),
    )


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    return read_lines(path) if path.is_file() else ()
