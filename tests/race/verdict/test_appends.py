"""What became of questions is on their streams, on histories written by hand: what is lawful, however odd."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.race.history.history import AppendedEvent, History
from tests.race.verdict.appends import (
    APPENDED,
    C_ANSWERED,
    C_CHANGED,
    C_NEWER,
    CHANGED,
    D_ENDED,
    E_ENDED,
    L_CARD,
    with_events,
)
from tests.race.verdict.histories import laws_broken, lost, verdicts
from tests.race.verdict.lives import B_PUT

LAWFUL: dict[str, History] = {
    "everything as it should be": APPENDED,
    "a question is changed and answered": CHANGED,
    "a question has ended before its card was noted": with_events(L_CARD, D_ENDED, E_ENDED),
    "a former asking has ended before its card was noted": with_events(C_CHANGED, C_NEWER, C_ANSWERED, history=CHANGED),
    "a pod was lost, and nobody knows what it was about to append": replace(
        with_events(), reasons=("pod-1 was ended by SIGKILL",)
    ),
}


@pytest.mark.parametrize("history", LAWFUL.values(), ids=LAWFUL.keys())
def test_what_is_on_a_stream_once_breaks_no_law(history: History) -> None:
    assert "appended_once" not in laws_broken(history)


def test_a_put_whose_fate_nobody_knows_may_have_begun_what_is_on_the_stream() -> None:
    unknown = lost(B_PUT)
    operations = tuple(unknown if each == B_PUT else each for each in APPENDED.operations)
    history = replace(APPENDED, operations=operations, events=(*(APPENDED.events or ()), AppendedEvent("b", 40)))

    assert "appended_once" not in laws_broken(history)


@pytest.mark.parametrize(
    "history",
    [replace(APPENDED, events=None), replace(APPENDED, questions=CHANGED.questions[:1], events=())],
    ids=["nobody has read the streams", "no question has a stream"],
)
def test_without_streams_there_is_nothing_to_look_for(history: History) -> None:
    assert verdicts(history)["appended_once"] == "skipped"
