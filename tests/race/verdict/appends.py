"""A lawful history of questions whose cards and endings are on a stream."""

from __future__ import annotations

from dataclasses import replace

from pendingctl.race.history.history import AppendedEvent, History
from tests.race.verdict.histories import SHOWING
from tests.race.verdict.lives import D_ROW, E_ROW, L_ROW, LIVING

# d was defaulted and e withdrawn, of which nobody has noted a card; l is open, and its card was posted.
D_CARD, D_ENDED = AppendedEvent("d", 30), AppendedEvent("d", 30, "defaulted", "no")
E_ENDED = AppendedEvent("e", 31, "withdrawn")
L_CARD = AppendedEvent("l", 33)
EVENTS = (D_CARD, L_CARD, D_ENDED, E_ENDED)
POSTED_ROWS = {D_ROW.id: replace(D_ROW, is_posted=True), L_ROW.id: replace(L_ROW, is_posted=True)}
APPENDED = replace(
    LIVING,
    questions=tuple(
        replace(each, stream="talk") if each.id in (D_ROW.id, E_ROW.id, "b", L_ROW.id) else each
        for each in LIVING.questions
    ),
    rows=tuple(POSTED_ROWS.get(each.id, each) for each in LIVING.rows),
    events=EVENTS,
)

# The card of c was changed, and then answered.
C_CARD, C_CHANGED = AppendedEvent("c", 20), AppendedEvent("c", 20, "superseded")
C_NEWER, C_ANSWERED = AppendedEvent("c", 21), AppendedEvent("c", 21, "answered", "yes")
CHANGED = replace(
    SHOWING,
    questions=tuple(replace(each, stream="talk") if each.id == "c" else each for each in SHOWING.questions),
    rows=tuple(replace(each, outcome="answered") if each.id == "c" else each for each in SHOWING.rows),
    events=(C_CARD, C_CHANGED, C_NEWER, C_ANSWERED),
)


def with_events(*events: AppendedEvent, history: History = APPENDED) -> History:
    """The history with these on its stream."""
    return replace(history, events=events)
