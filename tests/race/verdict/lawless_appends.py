"""Histories whose streams do not say what became of the questions."""

from __future__ import annotations

from dataclasses import replace

from pendingctl.race.history.history import AppendedEvent, History
from tests.race.verdict.appends import (
    C_ANSWERED,
    C_CARD,
    C_CHANGED,
    C_NEWER,
    CHANGED,
    D_CARD,
    D_ENDED,
    E_ENDED,
    EVENTS,
    L_CARD,
    with_events,
)

LAWLESS_APPENDS: dict[str, tuple[str, History]] = {
    name: ("appended_once", history)
    for name, history in {
        "an ending is missing on its stream": with_events(D_CARD, L_CARD, D_ENDED),
        "an ending is on its stream twice": with_events(*EVENTS, E_ENDED),
        "a card is on its stream twice": with_events(L_CARD, *EVENTS),
        "an ending is on its stream before its card": with_events(D_ENDED, D_CARD, L_CARD, E_ENDED),
        "the card of an open question is missing on its stream": with_events(D_CARD, D_ENDED, E_ENDED),
        "an open question has ended on its stream": with_events(*EVENTS, AppendedEvent("l", 33, "expired")),
        "a stream says another outcome than the row": with_events(
            D_CARD, L_CARD, replace(D_ENDED, outcome="answered"), E_ENDED
        ),
        "a stream says another answer than the row": with_events(
            D_CARD, L_CARD, replace(D_ENDED, answer="yes"), E_ENDED
        ),
        "a stream has a question that was never asked": with_events(*EVENTS, AppendedEvent("b", 40)),
        "the ending of a former asking is missing on its stream": with_events(
            C_CARD, C_NEWER, C_ANSWERED, history=CHANGED
        ),
        "a click has won, and its stream says another answer": with_events(
            C_CARD, C_CHANGED, C_NEWER, replace(C_ANSWERED, answer="no"), history=CHANGED
        ),
    }.items()
}
