"""A history on disk: what was written is what is read, and the error about what cannot be read names the folder."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pendingctl.errors import InvalidInput
from pendingctl.model import Scope
from pendingctl.payload import JsonObject
from pendingctl.race.history.files import (
    END,
    FAULTS,
    QUESTIONS,
    RACE,
    ROWS,
    VERSION,
    HistoryFile,
    end_record,
    fault_record,
    hand_over_record,
    make_directory,
    read_history,
    read_pod,
    start_record,
    write_end,
    write_questions,
    write_race,
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
from pendingctl.race.plan.operations import Fate, OperationKind, PlannedOperation, Wrong
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.plan.settings import IMPLEMENTATIONS, RaceSettings

SETTINGS = RaceSettings(
    pods=2,
    questions=20,
    clicks=8,
    seed=2**70,
    implementation="no-user",
    organization_id="Käse ⏳",
    faults=(FaultKind.SWEEP, FaultKind.KILL),
    duration_seconds=1.5,
)
SCOPE = Scope("acme", "slack", "U1")
PAYLOAD: JsonObject = {"question": {"text": 'später\n\u2028"x" \\', "options": ["yes", "no"]}}
AT = datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
PUT, CLAIM, DELETE, SWEEP, DELIVER, ASK = OperationKind


def planned(kind: OperationKind = CLAIM, name: str = "q0.1", wrong: Wrong | None = None) -> PlannedOperation:
    return PlannedOperation(name, 1, kind, "run-q0", SCOPE, wrong)


CLICK = replace(planned(), delivery_key="key", value="später ⏳", ask_number=1)
EACH_OF_A_KIND = (
    Operation(
        "pod-1",
        0,
        CLICK,
        10,
        20,
        Outcome.OK,
        Reported(at=AT, payload=PAYLOAD, ask_number=1),
        "answered",
        4711,
    ),
    Operation("pod-1", 1, CLICK, 11, 21, Outcome.REPEATED, Reported(at=AT, payload={}, ask_number=2), "answered", 0),
    Operation(
        "pod-1",
        2,
        replace(CLICK, wrong=Wrong.CONNECTION),
        12,
        22,
        Outcome.REFUSED,
        Reported(Reason.ALREADY_ANSWERED, "U1", "", AT),
        "already_answered",
    ),
    Operation("pod-1", 3, CLICK, 13, 23, Outcome.FAILED, reply="cannot_serve", detail="statement timeout\nat line 1"),
    Operation("pod-1", 4, CLICK, 14, 24, Outcome.UNKNOWN, detail="connection lost"),
    Operation("pod-1", 5, replace(planned(PUT), reopens=True), 15, 25, Outcome.OK, Reported(put="created", at=AT)),
    Operation("pod-1", 6, planned(PUT), 16, 26, Outcome.REFUSED, Reported(Reason.OTHER_SCOPE)),
    Operation("pod-1", 7, planned(DELETE), 17, 27, Outcome.OK),
    Operation("pod-1", 8, planned(DELETE), 18, 28, Outcome.REFUSED, Reported(Reason.NO_SUCH_ROW)),
    Operation(
        "pod-1", 9, replace(planned(SWEEP), limit=5), 19, 29, Outcome.OK, Reported(at=AT, ids=("run-x0", "run-x1"))
    ),
    Operation("pod-1", 10, replace(planned(SWEEP), limit=1), 20, 30, Outcome.OK, Reported(at=AT)),
    Operation("pod-1", 11, replace(planned(DELIVER), value="no", ask_number=2), 21, 31, Outcome.OK),
    Operation("pod-1", 12, planned(DELIVER), 22, 32, Outcome.REFUSED, Reported(Reason.LEASE_LOST)),
    Operation(
        "pod-1", 14, replace(planned(ASK), fate=Fate.CANCELLED), 23, 33, Outcome.REFUSED, Reported(Reason.CANCELLED)
    ),
    Operation(
        "pod-1",
        15,
        replace(planned(PUT), request_key="key", edition=1),
        24,
        34,
        Outcome.OK,
        Reported(put="superseded", at=AT, ask_number=2**30),
    ),
)
NEVER_ENDED = Operation("pod-1", 13, CLICK, 31, None, Outcome.UNKNOWN, detail="its end was never seen")

HISTORY = History(
    questions=(
        RacedQuestion("run-q0", SCOPE, PAYLOAD, "C1"),
        RacedQuestion(
            "run-x0", Scope("globex", "teams", "U2"), {}, "", is_extra=True, delivers=True, editions=(PAYLOAD,)
        ),
        RacedQuestion("run-w0", SCOPE, PAYLOAD, "", is_extra=True, is_awaited=True),
        RacedQuestion("run-o0", SCOPE, PAYLOAD, "", ask_number=2**30, is_of_another_application=True),
    ),
    operations=(*EACH_OF_A_KIND, NEVER_ENDED, replace(EACH_OF_A_KIND[0], pod="pod-2")),
    hand_overs=(
        HandOver("pod-1", "run-q0", 1, "später ⏳", "U1", "C1"),
        HandOver("pod-2", "run-x0", 2, None, "U2", ""),
        HandOver("pod-2", "run-w0", 3, "no", "U2", "", by_asker=True),
    ),
    rows=(
        Row("run-q0", SCOPE, PAYLOAD, AT, 1, "später ⏳", "key", undelivered=True),
        Row("run-x0", Scope("globex", "teams", "U2"), {}, None, 2, None, None),
    ),
    planned_kinds=frozenset({PUT, CLAIM}),
    stale_after=timedelta(milliseconds=30),
    faults=(
        Fault(0, FaultKind.KILL, Moment.AFTER_COMMIT, 5, 6, landed=True, detail="pod-1 by SIGKILL"),
        Fault(1, FaultKind.SKEW, None, 5),
        Fault(2, FaultKind.LOCK, None, 5, 6, landed=True, organization_id="acme"),
    ),
    left_behind=("question run-q0",),
    reasons=("pod-2 was ended by SIGKILL",),
)


def write(folder: Path, history: History, race: RaceSettings = SETTINGS, seconds: float = 1.25) -> None:
    """Write a history as the coordinator and its pods do."""
    write_race(folder, race)
    write_questions(folder, list(history.questions[:1]))
    write_questions(folder, list(history.questions[1:]))
    pods = {each.pod for each in history.operations} | {each.pod for each in history.hand_overs}
    for pod in pods:
        _write_pod(folder / f"{pod}.jsonl", pod, history)
    with written(folder / FAULTS) as file:
        for fault in history.faults:
            file.append(fault_record(replace(fault, ended_ns=None, landed=False, detail="")))
        for fault in history.faults:
            file.append(fault_record(fault))
    write_end(folder, history, seconds)


def _write_pod(path: Path, pod: str, history: History) -> None:
    """All operations are under way at the same time, and the last that began ends first."""
    operations = [each for each in history.operations if each.pod == pod]
    with written(path) as file:
        for each in operations:
            file.append(start_record(each.number, each.planned, each.started_ns))
        for each in reversed(operations):
            if each.ended_ns is not None:
                file.append(end_record(each))
        for handed in history.hand_overs:
            if handed.pod == pod:
                file.append(hand_over_record(handed))


@contextmanager
def written(path: Path) -> Iterator[HistoryFile]:
    file = HistoryFile(path)
    yield file
    file.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a whole history."""
    make_directory(tmp_path / "history")
    write(tmp_path / "history", HISTORY)
    return tmp_path / "history"


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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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

    ((read,), hand_overs) = read_pod(path)

    assert (read.outcome, read.ended_ns, read.reported, hand_overs) == (Outcome.UNKNOWN, None, Reported(), [])
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


def refusal(folder: Path) -> str:
    """What is said of a folder that cannot be judged."""
    with pytest.raises(InvalidInput) as refused:
        read_history(folder)
    return str(refused.value)


def test_a_history_of_another_version_is_refused(folder: Path) -> None:
    race = json.loads((folder / RACE).read_text())
    (folder / RACE).write_text(json.dumps(race | {"version": VERSION + 1}))

    said = refusal(folder)

    assert str(folder) in said
    assert f"version {VERSION + 1}" in said


def test_a_folder_without_a_history_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert refusal(path).startswith(f"{path} is not the history of a race")


def test_a_race_that_was_broken_off_is_refused(folder: Path) -> None:
    (folder / END).unlink()

    said = refusal(folder)

    assert str(folder) in said
    assert "broken off" in said


GARBAGE = {
    "no JSON": "{oops\n",
    "no UTF-8": b"\xff\xfe\n",
    "a list": "[]\n",
    "a number": "3\n",
    "a text": '"text"\n',
    "nothing": "null\n",
    "an object without fields": "{}\n",
    "nested without end": "[" * 100_000 + "\n",
}


@pytest.mark.parametrize("name", [RACE, QUESTIONS, "pod-1.jsonl", FAULTS, ROWS, END])
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_refused_with_the_name_of_the_folder(folder: Path, name: str, garbage: str | bytes) -> None:
    (folder / name).write_bytes(garbage if isinstance(garbage, bytes) else garbage.encode())

    assert str(folder) in refusal(folder)


def change(path: Path, **fields: object) -> None:
    """Change fields of the first record of a file."""
    first, *others = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    path.write_text("\n".join([json.dumps(json.loads(first) | fields), *others]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        (QUESTIONS, {"scope": {"organization_id": "", "connection_id": "slack", "expected_user_id": "U1"}}),
        (QUESTIONS, {"surprise": 1}),
        ("pod-1.jsonl", {"kind": "steal"}),
        ("pod-1.jsonl", {"organization_id": ""}),
        ("pod-1.jsonl", {"wrong": "wrong_planet"}),
        ("pod-1.jsonl", {"event": "end", "number": 99}),
        ("pod-1.jsonl", {"event": "vanished"}),
        (FAULTS, {"kind": "flood"}),
        (FAULTS, {"moment": "never"}),
        (ROWS, {"claimed_at": "noon"}),
        (ROWS, {"claimed_at": 3}),
    ],
)
def test_a_record_without_meaning_is_refused_with_the_name_of_the_folder(
    folder: Path, name: str, fields: dict[str, object]
) -> None:
    change(folder / name, **fields)

    assert str(folder) in refusal(folder)


@pytest.mark.parametrize(
    "changed",
    [{"pods": 0}, {"implementation": "wishful"}, {"faults": ["flood"]}, {"surprise": 1}, {"questions": "many"}],
)
def test_settings_that_cannot_be_raced_are_refused_with_the_name_of_the_folder(
    folder: Path, changed: dict[str, object]
) -> None:
    race = json.loads((folder / RACE).read_text(encoding="utf-8"))
    race["settings"] |= changed
    (folder / RACE).write_text(json.dumps(race), encoding="utf-8")

    assert str(folder) in refusal(folder)


@pytest.mark.parametrize("name", [QUESTIONS, ROWS])
def test_a_history_of_which_a_file_is_missing_is_refused(folder: Path, name: str) -> None:
    # Rows that nobody wrote down are not rows that are gone.
    (folder / name).unlink()

    assert str(folder) in refusal(folder)


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
@pytest.mark.parametrize("name", [RACE, QUESTIONS, "pod-1.jsonl", FAULTS, ROWS, END])
def test_only_the_user_may_read_a_history(tmp_path: Path, name: str) -> None:
    # In a folder that was there before, whose mode is the user's own affair.
    write(tmp_path, HISTORY)

    assert mode(tmp_path / name) == 0o600
