"""Which settings can be raced."""

from __future__ import annotations

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.plan.schedule import LASTING, FaultKind
from pendingctl.race.plan.settings import MAX_CLICKS, MAX_DURATION_SECONDS, MAX_PODS, MAX_QUESTIONS, RaceSettings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pods": 0}, "the number of pods is 0"),
        ({"pods": MAX_PODS + 1}, "between 1 and 64"),
        ({"questions": 0}, "the number of questions is 0"),
        ({"questions": MAX_QUESTIONS + 1}, "between 1 and 1,000,000"),
        ({"clicks": -1}, "the number of clicks a question is -1"),
        ({"clicks": MAX_CLICKS + 1}, "between 1 and 1,000"),
        ({"implementation": "wishful"}, "no implementation 'wishful'; there are: correct, select-then-update,"),
        ({"organization_id": ""}, "organization_id is empty"),
        ({"duration_seconds": 0.0}, "the duration must be above zero"),
        ({"duration_seconds": -1.0}, "the duration must be above zero"),
        ({"duration_seconds": MAX_DURATION_SECONDS + 1}, "at most 86,400 seconds"),
        ({"duration_seconds": float("nan")}, "the duration must be above zero"),
        ({"duration_seconds": float("inf")}, "the duration must be above zero"),
        ({"faults": (FaultKind.KILL,)}, "these faults strike 10 times"),
        ({"questions": 20, "faults": (FaultKind.KILL, FaultKind.PAUSE, FaultKind.DISCONNECT)}, "strike 21 times"),
    ],
)
def test_what_cannot_be_raced_is_refused(settings: dict[str, object], words: str) -> None:
    usable: dict[str, object] = {"pods": 2, "questions": 2, "clicks": 2, "seed": 1}

    with pytest.raises(InvalidInput, match=words):
        RaceSettings(**{**usable, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"pods": MAX_PODS, "questions": MAX_QUESTIONS, "clicks": MAX_CLICKS},
        {"pods": 1, "questions": 1, "clicks": 1, "seed": -1},
        {"duration_seconds": MAX_DURATION_SECONDS},
        {"questions": 10, "faults": (FaultKind.KILL, *LASTING)},
        {"questions": 1, "faults": tuple(LASTING)},
    ],
)
def test_what_is_just_possible_is_raced(settings: dict[str, object]) -> None:
    usable: dict[str, object] = {"pods": 2, "questions": 2, "clicks": 2, "seed": 1}

    assert RaceSettings(**{**usable, **settings})  # type: ignore[arg-type]
