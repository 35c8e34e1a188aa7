"""What was taken from limits, on disk: a file for each pod, beside that of its appends.

A pod writes a take before it is sent and again when it has ended: what a killed pod had begun is then known.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import InvalidInput
from ..history.files import HistoryFile, read_lines, write_lines
from .history import ClockSetBack, LimitHistory, Look, Moment, StoredLimit, Take, TakeOutcome

CLOCK = "limits-clock.jsonl"
_PODS = "limits-pod-*.jsonl"


def open_pod_file(directory: Path, pod: str) -> HistoryFile:
    """Return the new file of a pod, whose name is `pod-` and a number."""
    return HistoryFile(directory / f"limits-{pod}.jsonl")


def take_record(take: Take) -> dict[str, Any]:
    """Return what is written when a take begins, and again when it has ended."""
    return {"event": "take", **asdict(take)}


def look_record(look: Look) -> dict[str, Any]:
    """Return what is written when a pod has looked at a row."""
    return {"event": "look", **asdict(look)}


def write_set_back(directory: Path, set_back: ClockSetBack) -> None:
    """Write when the clock was set back."""
    write_lines(directory / CLOCK, [asdict(set_back)])


def read_limits(directory: Path) -> LimitHistory:
    """Return what a race has left about limits.

    A last line that was cut off by its writer's death is ignored. Raises InvalidInput for files that hold other things.
    """
    takes: list[Take] = []
    looks: list[Look] = []
    try:
        for path in sorted(directory.glob(_PODS)):
            of_pod: dict[int, Take] = {}
            for record in read_lines(path):
                if record.pop("event") == "take":
                    of_pod[record["number"]] = _take(record)
                else:
                    looks.append(_look(record))
            takes += of_pod.values()
        clock = directory / CLOCK
        set_back = [_set_back(record) for record in read_lines(clock)] if clock.is_file() else []
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"the history of limits in {directory} cannot be read: {error}") from error
    return LimitHistory(tuple(takes), tuple(looks), tuple(set_back))


def _take(record: dict[str, Any]) -> Take:
    return Take(**record | _moments(record) | {"outcome": TakeOutcome(record["outcome"])})


def _look(record: dict[str, Any]) -> Look:
    row = record["row"]
    return Look(**record | _moments(record) | {"row": None if row is None else StoredLimit(**row)})


def _set_back(record: dict[str, Any]) -> ClockSetBack:
    return ClockSetBack(Moment(**record["began"]), Moment(**record["ended"]))


def _moments(record: dict[str, Any]) -> dict[str, Moment | None]:
    return {name: None if record[name] is None else Moment(**record[name]) for name in ("began", "ended")}
