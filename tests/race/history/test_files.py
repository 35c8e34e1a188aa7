"""A history on disk: what was written is what is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendingctl.model import Scope
from pendingctl.payload import JsonObject
from pendingctl.race.history.files import (
    END,
    EVENTS,
    FAULTS,
    POD,
    QUESTIONS,
    RACE,
    ROWS,
    TRAIL,
    WITHOUT_A_TRAIL,
    WITHOUT_STREAMS,
    HistoryFile,
    end_record,
    fault_record,
    read_history,
    read_pod,
    start_record,
)
from pendingctl.race.history.history import (
    Fault,
    HandOver,
    History,
    Operation,
    Outcome,
    RacedQuestion,
    Reason,
    Reported,
    Row,
)
from pendingctl.race.plan.operations import OperationKind, PlannedOperation, Wrong
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.plan.settings import IMPLEMENTATIONS, RaceSettings
from tests.race.history.examples import CLICK, EACH_OF_A_KIND, HISTORY, NEVER_ENDED, SETTINGS, write, written


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_history(folder) == (SETTINGS, HISTORY, 1.25)


def test_there_is_an_example_of_each_kind_and_outcome() -> None:
    assert {each.kind for each in EACH_OF_A_KIND} == set(OperationKind)
    assert {each.outcome for each in EACH_OF_A_KIND} == set(Outcome)


IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=10)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
NANOSECONDS = st.integers(0, 2**62)
TIMES = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
PAYLOADS: st.SearchStrategy[JsonObject] = st.dictionaries(TEXTS, JSON, max_size=2)
SCOPES = st.builds(Scope, IDS, IDS, IDS)
PLANNED = st.builds(
    PlannedOperation,
    name=IDS,
    pod=st.integers(0, 63),
    kind=st.sampled_from(OperationKind),
    question_id=IDS,
    scope=SCOPES,
    wrong=st.none() | st.sampled_from(Wrong),
    delivery_key=st.none() | IDS,
    value=st.none() | TEXTS,
    ask_number=st.none() | st.integers(1, 9),
    reopens=st.booleans(),
    limit=st.none() | st.integers(1, 1_000),
)
TOLD = st.builds(
    Reported,
    reason=st.none() | st.sampled_from(Reason),
    answered_by=st.none() | IDS,
    answer=st.none() | TEXTS,
    at=st.none() | TIMES,
    payload=st.none() | PAYLOADS,
    ask_number=st.none() | st.integers(1, 9),
    put=st.none() | st.sampled_from(["created", "refreshed", "reopened"]),
    ids=st.lists(IDS, max_size=3).map(tuple),
)
ENDED = st.builds(
    Operation,
    pod=st.just("pod-1"),
    number=st.just(0),
    planned=PLANNED,
    started_ns=NANOSECONDS,
    ended_ns=NANOSECONDS,
    outcome=st.sampled_from(Outcome),
    reported=TOLD,
    reply=st.none() | IDS,
    backend_pid=st.none() | st.integers(1, 2**31),
    detail=TEXTS,
)
OPEN = st.builds(replace, st.just(NEVER_ENDED), planned=PLANNED, started_ns=NANOSECONDS)
HISTORIES = st.builds(
    History,
    questions=st.lists(
        st.builds(RacedQuestion, IDS, SCOPES, PAYLOADS, TEXTS, st.booleans(), st.booleans()), max_size=3
    ).map(tuple),
    operations=st.lists(ENDED | OPEN, max_size=4).map(
        lambda each: tuple(replace(operation, number=number) for number, operation in enumerate(each))
    ),
    hand_overs=st.lists(
        st.builds(HandOver, st.just("pod-1"), IDS, st.integers(1, 9), st.none() | TEXTS, IDS, TEXTS), max_size=2
    ).map(tuple),
    rows=st.lists(
        st.builds(
            Row,
            IDS,
            SCOPES,
            PAYLOADS,
            st.none() | TIMES,
            st.integers(1, 9),
            st.none() | TEXTS,
            st.none() | IDS,
            st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    planned_kinds=st.frozensets(st.sampled_from(OperationKind)),
    stale_after=st.timedeltas(timedelta(0), timedelta(days=30)),
    faults=st.lists(
        st.builds(
            Fault,
            st.just(0),
            st.sampled_from(FaultKind),
            st.none() | st.sampled_from(Moment),
            NANOSECONDS,
            st.none() | NANOSECONDS,
            st.booleans(),
            TEXTS,
        ),
        max_size=2,
    ).map(lambda each: tuple(replace(fault, number=number) for number, fault in enumerate(each))),
    left_behind=st.lists(TEXTS, max_size=2).map(tuple),
    reasons=st.lists(TEXTS, max_size=2).map(tuple),
)
RACES = st.builds(
    RaceSettings,
    pods=st.integers(1, 64),
    questions=st.integers(100, 1_000_000),
    clicks=st.integers(1, 1_000),
    seed=st.integers(-(2**70), 2**70),
    implementation=st.sampled_from(IMPLEMENTATIONS),
    organization_id=st.none() | IDS,
    faults=st.lists(st.sampled_from(FaultKind), unique=True).map(tuple),
    duration_seconds=st.none() | st.floats(0.001, 86_400),
)


@settings(max_examples=100)
@given(HISTORIES, RACES, st.floats(0, 1e6))
def test_whatever_was_written_is_read(history: History, race: RaceSettings, seconds: float) -> None:
    with TemporaryDirectory() as name:
        write(Path(name), history, race, seconds)

        assert read_history(Path(name)) == (race, history, seconds)


def test_a_line_that_a_dying_pod_did_not_finish_is_ignored(folder: Path) -> None:
    pod = folder / "pod-1.jsonl"
    whole = pod.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, last + 1):
        pod.write_bytes(whole[:-cut])
        _, history, _ = read_history(folder)

        assert history == replace(HISTORY, hand_overs=HISTORY.hand_overs[1:])


def test_an_operation_whose_end_was_cut_off_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "pod-7.jsonl"
    operation = replace(EACH_OF_A_KIND[0], pod="pod-7")
    with written(path) as file:
        file.append(start_record(0, operation.planned, operation.started_ns))
        file.append(end_record(operation))
    path.write_bytes(path.read_bytes()[:-1])

    pod = read_pod(path)

    (read,) = pod.operations
    assert (read.outcome, read.ended_ns, read.reported, pod.hand_overs) == (Outcome.UNKNOWN, None, Reported(), [])
    assert (read.pod, read.planned, read.started_ns) == ("pod-7", operation.planned, operation.started_ns)


def test_a_pod_that_wrote_nothing_did_nothing(folder: Path) -> None:
    (folder / "pod-3.jsonl").touch()

    assert read_history(folder)[1] == HISTORY


def test_a_fault_that_began_and_did_not_end_is_read(folder: Path) -> None:
    begun = Fault(0, FaultKind.PAUSE, Moment.AFTER_SENDING, 7)
    (folder / FAULTS).unlink()
    with written(folder / FAULTS) as file:
        file.append(fault_record(begun))

    assert read_history(folder)[1].faults == (begun,)


def test_a_race_without_faults_has_no_file_of_them(folder: Path) -> None:
    (folder / FAULTS).unlink()

    assert read_history(folder)[1] == replace(HISTORY, faults=())


def test_a_history_of_a_database_without_a_trail_has_none(tmp_path: Path) -> None:
    history = replace(HISTORY, trail=None)
    write(tmp_path, history)

    assert read_history(tmp_path)[1] == history


def test_a_trail_without_entries_is_one(tmp_path: Path) -> None:
    history = replace(HISTORY, trail=())
    write(tmp_path, history)

    assert read_history(tmp_path)[1] == history


def test_a_history_from_before_the_trail_is_read_and_has_none(tmp_path: Path) -> None:
    write(tmp_path, HISTORY)
    (tmp_path / TRAIL).unlink()
    for name, added in ((END, "has_a_trail"), (ROWS, "card_shows_the_end"), (QUESTIONS, "application")):
        records = [json.loads(line) for line in (tmp_path / name).read_bytes().splitlines()]
        older = [{field: value for field, value in record.items() if field != added} for record in records]
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in older), encoding="utf-8")
    race = json.loads((tmp_path / RACE).read_text(encoding="utf-8"))
    (tmp_path / RACE).write_text(json.dumps(race | {"version": WITHOUT_A_TRAIL}), encoding="utf-8")

    _, history, _ = read_history(tmp_path)

    assert history.trail is None
    assert (history.operations, history.faults) == (HISTORY.operations, HISTORY.faults)


def test_a_history_from_before_options_is_read_and_its_clicks_said_their_values(tmp_path: Path) -> None:
    write(tmp_path, HISTORY)
    for path in tmp_path.glob(POD):
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        older = [{field: value for field, value in record.items() if field != "option"} for record in records]
        path.write_text("".join(json.dumps(record) + "\n" for record in older), encoding="utf-8")
    race = json.loads((tmp_path / RACE).read_text(encoding="utf-8"))
    (tmp_path / RACE).write_text(json.dumps(race | {"version": WITHOUT_STREAMS - 1}), encoding="utf-8")

    _, history, _ = read_history(tmp_path)

    by_value = [replace(each, planned=replace(each.planned, option=None)) for each in HISTORY.operations]
    assert history.operations == tuple(by_value)
    assert history.trail == HISTORY.trail


def test_a_history_from_before_streams_is_read_and_has_none(tmp_path: Path) -> None:
    write(tmp_path, HISTORY)
    (tmp_path / EVENTS).unlink()
    for name, added in ((END, "has_streams"), (ROWS, "is_posted"), (QUESTIONS, "stream")):
        records = [json.loads(line) for line in (tmp_path / name).read_bytes().splitlines()]
        older = [{field: value for field, value in record.items() if field != added} for record in records]
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in older), encoding="utf-8")
    race = json.loads((tmp_path / RACE).read_text(encoding="utf-8"))
    (tmp_path / RACE).write_text(json.dumps(race | {"version": WITHOUT_STREAMS}), encoding="utf-8")

    _, history, _ = read_history(tmp_path)

    assert history.events is None
    assert not any(each.stream for each in history.questions)
    assert history.operations == HISTORY.operations


def test_what_was_not_reported_is_not_written() -> None:
    record = end_record(Operation("pod-1", 3, CLICK, 1, 2, Outcome.FAILED))

    assert record == {"event": "end", "number": 3, "ended_ns": 2, "outcome": "failed"}


def test_a_line_is_on_the_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with written(tmp_path / "pod-1.jsonl") as file:
        file.append({"event": "start"})

        assert (tmp_path / "pod-1.jsonl").read_bytes() == b'{"event":"start"}\n'


def test_a_pod_never_appends_to_another_pods_file(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        HistoryFile(folder / "pod-1.jsonl")


def test_reading_does_not_depend_on_the_locale(folder: Path) -> None:
    reading = "import pathlib, sys; from pendingctl.race.history.files import read_history as read; "
    strict = ["-X", "warn_default_encoding", "-W", "error::EncodingWarning:pendingctl.race.history.files"]
    done = subprocess.run(
        [sys.executable, *strict, "-c", reading + "print(read(pathlib.Path(sys.argv[1]))[0].organization_id)", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
