"""The error about a history that cannot be read names its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.history.files import END, FAULTS, QUESTIONS, RACE, ROWS, TRAIL, VERSION, read_history


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


@pytest.mark.parametrize("name", [RACE, QUESTIONS, "pod-1.jsonl", FAULTS, ROWS, TRAIL, END])
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
        (TRAIL, {"step": "dreamt"}),
        (TRAIL, {"at": "noon"}),
        (TRAIL, {"surprise": 1}),
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


@pytest.mark.parametrize("name", [QUESTIONS, ROWS, TRAIL])
def test_a_history_of_which_a_file_is_missing_is_refused(folder: Path, name: str) -> None:
    # Rows that nobody wrote down are not rows that are gone.
    (folder / name).unlink()

    assert str(folder) in refusal(folder)
