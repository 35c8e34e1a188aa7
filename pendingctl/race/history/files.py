"""A history on disk: a folder with a file for each process, JSON lines, written as things happen.

A pod writes an operation before it is sent and again when it has ended, each with one append: what a killed pod had
begun is then known. `check-history` judges the folder alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from ...model import Scope
from ...trail import Step, TrailEntry
from ..plan.operations import Fate, OperationKind, PlannedOperation, PostTrouble, Transaction, Wrong
from ..plan.schedule import FaultKind, Moment
from ..plan.settings import RaceSettings
from .history import (
    AppendedEvent,
    CardEdit,
    CardPost,
    Fault,
    HandOver,
    History,
    Operation,
    Outcome,
    RacedQuestion,
    RacedSchedule,
    Reason,
    ReminderPost,
    Reported,
    Row,
)

# Grows when the shape changes: a history of another version is refused rather than misread.
VERSION = 8
# A history of this version is like one of a database that keeps no trail.
WITHOUT_A_TRAIL = 5
# In one of this version no question has a stream.
WITHOUT_STREAMS = 7

RACE, QUESTIONS, ROWS, FAULTS, END = "race.json", "questions.jsonl", "rows.jsonl", "faults.jsonl", "end.json"
TRAIL, EVENTS = "trail.jsonl", "events.jsonl"
POD = "pod-*.jsonl"


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class HistoryFile:
    """A file that one process appends to."""

    def __init__(self, path: Path) -> None:
        # One write per line and nothing buffered: the kernel has it, even when the process is killed right after.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def append(self, record: dict[str, Any]) -> None:
        """Write one record."""
        os.write(self._file, _encode(record).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def make_directory(directory: Path) -> None:
    """Make the folder for a history. Raises InvalidInput when it holds something already or cannot be made."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InvalidInput(f"{directory} is not empty; name a new folder for the history")
    except OSError as error:
        raise InvalidInput(f"{directory} cannot be used for the history: {error.strerror}") from error


def start_record(number: int, planned: PlannedOperation, started_ns: int) -> dict[str, Any]:
    """Return what is written before an operation is sent; `number` counts the operations of its pod."""
    return {
        "event": "start",
        "number": number,
        "started_ns": started_ns,
        "name": planned.name,
        "pod": planned.pod,
        "kind": planned.kind,
        "question_id": planned.question_id,
        "organization_id": planned.scope.organization_id,
        "connection_id": planned.scope.connection_id,
        "user_id": planned.scope.expected_user_id,
        "wrong": planned.wrong,
        "delivery_key": planned.delivery_key,
        "value": planned.value,
        "ask_number": planned.ask_number,
        "reopens": planned.reopens,
        "limit": planned.limit,
        "request_key": planned.request_key,
        "edition": planned.edition,
        "fate": planned.fate,
        "posts": planned.posts,
        "transaction": planned.transaction,
        "trouble": planned.trouble,
        "option": planned.option,
    }


def end_record(operation: Operation) -> dict[str, Any]:
    """Return what is written when an operation has ended, without the fields that were not reported."""
    reported = operation.reported
    record = {
        "event": "end",
        "number": operation.number,
        "ended_ns": operation.ended_ns,
        "outcome": operation.outcome,
        "reason": reported.reason,
        "answered_by": reported.answered_by,
        "answer": reported.answer,
        "at": _text(reported.at),
        "payload": reported.payload,
        "told_ask_number": reported.ask_number,
        "put": reported.put,
        "ids": reported.ids or None,
        "reply": operation.reply,
        "backend_pid": operation.backend_pid,
        "detail": operation.detail or None,
    }
    return {name: value for name, value in record.items() if value is not None}


def hand_over_record(handed: HandOver) -> dict[str, Any]:
    """Return what is written when an ending was handed over."""
    return {"event": "handed over", **asdict(handed)}


def card_record(card: CardPost | CardEdit) -> dict[str, Any]:
    """Return what is written when a card was posted or edited."""
    return {"event": "posted" if isinstance(card, CardPost) else "edited", **asdict(card)}


def reminder_record(reminder: ReminderPost) -> dict[str, Any]:
    """Return what is written when a reminder or an escalation was posted."""
    return {"event": "reminded", **asdict(reminder)}


def fault_record(fault: Fault) -> dict[str, Any]:
    """Return what is written when a fault begins, and again when it has ended."""
    return asdict(fault)


def write_race(directory: Path, settings: RaceSettings) -> None:
    """Write the race's settings, before it begins."""
    write_lines(directory / RACE, [{"version": VERSION, "settings": asdict(settings)}])


def write_questions(directory: Path, questions: list[RacedQuestion]) -> None:
    """Append questions of the race."""
    write_lines(directory / QUESTIONS, (asdict(each) for each in questions))


def write_end(directory: Path, history: History, seconds: float) -> None:
    """Write what the coordinator knows at the end; a history without that belongs to a race that was broken off."""
    write_lines(
        directory / ROWS,
        (
            asdict(row) | {"claimed_at": _text(row.claimed_at), "expires_at": _text(row.expires_at)}
            for row in history.rows
        ),
    )
    if history.trail is not None:
        write_lines(directory / TRAIL, (asdict(entry) | {"at": _text(entry.at)} for entry in history.trail))
    if history.events is not None:
        write_lines(directory / EVENTS, (asdict(event) for event in history.events))
    write_lines(
        directory / END,
        [
            {
                "planned_kinds": sorted(history.planned_kinds),
                "stale_after_seconds": history.stale_after.total_seconds(),
                "left_behind": history.left_behind,
                "reasons": history.reasons,
                "seconds": seconds,
                "has_a_trail": history.trail is not None,
                "has_streams": history.events is not None,
            }
        ],
    )


def read_history(directory: Path) -> tuple[RaceSettings, History, float]:
    """Return a race's settings, its history and for how many seconds it fired.

    A last line that was cut off by its writer's death is ignored. Raises InvalidInput for a folder that is not a
    history, or one of another version.
    """
    try:
        race = read_document(directory / RACE)
        if race["version"] not in range(WITHOUT_A_TRAIL, VERSION + 1):
            raise InvalidInput(
                f"it has version {race['version']}, and this pendingctl reads versions {WITHOUT_A_TRAIL} to "
                f"{VERSION}; check it with the pendingctl that wrote it"
            )
        fields = race["settings"]
        faults = tuple(FaultKind(each) for each in fields.pop("faults"))
        return RaceSettings(**fields, faults=faults), *_read(directory, race["version"])
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        if missing == END:
            message = f"the race of {directory} was broken off: what was left at its end is not known"
        elif missing == RACE:
            message = f"{directory} is not the history of a race: there is no {missing}"
        else:
            message = f"the history in {directory} is not whole: there is no {missing}"
        raise InvalidInput(message) from error
    except (InvalidInput, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"the history in {directory} cannot be read: {error}") from error


@dataclass(slots=True)
class PodFile:
    """What one pod did; the outcome of operations that never ended is unknown."""

    operations: list[Operation]
    hand_overs: list[HandOver]
    card_posts: list[CardPost]
    card_edits: list[CardEdit]
    reminders: list[ReminderPost]


def read_pod(path: Path) -> PodFile:
    """Return what one pod did."""
    begun: dict[int, Operation] = {}
    pod = PodFile([], [], [], [], [])
    for record in read_lines(path):
        match record.pop("event"):
            case "start":
                begun[record["number"]] = _started(path.stem, record)
            case "end":
                begun[record["number"]] = _ended(begun[record["number"]], record)
            case "posted":
                pod.card_posts.append(CardPost(**record))
            case "edited":
                pod.card_edits.append(CardEdit(**record))
            case "reminded":
                pod.reminders.append(ReminderPost(**record))
            case _:
                pod.hand_overs.append(HandOver(**record))
    pod.operations += begun.values()
    return pod


def _read(directory: Path, version: int) -> tuple[History, float]:
    questions = tuple(
        RacedQuestion(
            **record
            | {
                "scope": Scope(**record["scope"]),
                "editions": tuple(record["editions"]),
                "schedule": RacedSchedule(**record["schedule"]),
                "heard": tuple(record["heard"]),
            }
        )
        for record in read_lines(directory / QUESTIONS)
    )
    pods = [read_pod(path) for path in sorted(directory.glob(POD))]
    faults: dict[int, Fault] = {}
    # A race whose pods could not start has no faults.
    for record in read_lines(directory / FAULTS) if (directory / FAULTS).is_file() else ():
        moment = record["moment"]
        faults[record["number"]] = Fault(
            **record | {"kind": FaultKind(record["kind"]), "moment": None if moment is None else Moment(moment)}
        )
    history = History(
        questions,
        tuple(each for pod in pods for each in pod.operations),
        tuple(each for pod in pods for each in pod.hand_overs),
        (),
        faults=tuple(faults.values()),
        card_posts=tuple(each for pod in pods for each in pod.card_posts),
        card_edits=tuple(each for pod in pods for each in pod.card_edits),
        reminders=tuple(each for pod in pods for each in pod.reminders),
    )
    end = read_document(directory / END)
    has_a_trail = version > WITHOUT_A_TRAIL and end["has_a_trail"]
    has_streams = version > WITHOUT_STREAMS and end["has_streams"]
    return (
        replace(
            history,
            rows=tuple(_row(record) for record in read_lines(directory / ROWS)),
            planned_kinds=frozenset(map(OperationKind, end["planned_kinds"])),
            stale_after=timedelta(seconds=end["stale_after_seconds"]),
            left_behind=tuple(end["left_behind"]),
            reasons=tuple(end["reasons"]),
            trail=tuple(_entry(record) for record in read_lines(directory / TRAIL)) if has_a_trail else None,
            events=tuple(AppendedEvent(**record) for record in read_lines(directory / EVENTS)) if has_streams else None,
        ),
        float(end["seconds"]),
    )


def _started(pod: str, record: dict[str, Any]) -> Operation:
    planned = PlannedOperation(
        record["name"],
        record["pod"],
        OperationKind(record["kind"]),
        record["question_id"],
        Scope(record["organization_id"], record["connection_id"], record["user_id"]),
        None if record["wrong"] is None else Wrong(record["wrong"]),
        record["delivery_key"],
        record["value"],
        record["ask_number"],
        record["reopens"],
        record["limit"],
        request_key=record["request_key"],
        edition=record["edition"],
        fate=None if record["fate"] is None else Fate(record["fate"]),
        posts=record["posts"],
        transaction=None if record["transaction"] is None else Transaction(record["transaction"]),
        trouble=None if record["trouble"] is None else PostTrouble(record["trouble"]),
        # Before version 7 each click said its value.
        option=record.get("option"),
    )
    return Operation(pod, record["number"], planned, record["started_ns"], detail="its end was never seen")


def _ended(operation: Operation, record: dict[str, Any]) -> Operation:
    reason = record.get("reason")
    return replace(
        operation,
        ended_ns=record["ended_ns"],
        outcome=Outcome(record["outcome"]),
        reported=Reported(
            None if reason is None else Reason(reason),
            record.get("answered_by"),
            record.get("answer"),
            _time(record.get("at")),
            record.get("payload"),
            record.get("told_ask_number"),
            record.get("put"),
            tuple(record.get("ids", ())),
        ),
        reply=record.get("reply"),
        backend_pid=record.get("backend_pid"),
        detail=record.get("detail", ""),
    )


def _row(record: dict[str, Any]) -> Row:
    times = {name: _time(record[name]) for name in ("claimed_at", "expires_at")}
    return Row(**record | {"scope": Scope(**record["scope"])} | times)


def _entry(record: dict[str, Any]) -> TrailEntry:
    return TrailEntry(**record | {"at": datetime.fromisoformat(record["at"]), "step": Step(record["step"])})


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def read_document(path: Path) -> dict[str, Any]:
    """Return the one JSON document of a file. Raises OSError, and ValueError for what is none."""
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Return the records of a file, without a last line that was cut off. Raises as `read_document` does."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append records, a line each, to a file that no other user may read: questions are private."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        for record in records:
            file.write(_encode(record).encode() + b"\n")
