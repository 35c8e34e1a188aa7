"""Histories that break a law about askers, other applications, poisoned rows or cards."""

from __future__ import annotations

from dataclasses import replace

from pendingctl.race.history.history import History, Reason, Reported
from tests.race.verdict.histories import (
    A_ASKED,
    A_PUT,
    A_WON,
    AWAITED,
    BESIDE_ANOTHER,
    CARD,
    CHANGED,
    EXPIRED,
    O_CLICKED,
    OLD_CARD,
    OPEN_CLICKED,
    POISONED,
    ROW,
    SHOWING,
    SHOWN,
    STUCK,
    UNCLAIMED,
    having,
    lost,
    refused,
    victory,
    without,
    won,
)

GIVEN_UP = Reported(Reason.WITHDRAWN)

LAWLESS_NEIGHBOURS: dict[str, tuple[str, History]] = {
    "an asker withdraws a question that was answered before": (
        "linearizable",
        having(refused(replace(A_ASKED, started_ns=2035), GIVEN_UP), history=AWAITED),
    ),
    "two clicks win a question that somebody waits for": (
        "linearizable",
        having(replace(A_WON, number=72, planned=replace(A_WON.planned, delivery_key="key-v")), history=AWAITED),
    ),
    "an asker takes an answer that nobody gave": ("linearizable", without(A_WON, history=AWAITED)),
    "an asker marks another answer than was given": (
        "linearizable",
        having(replace(A_ASKED, reported=Reported(answer="no", ask_number=7)), history=AWAITED),
    ),
    "a question that an asker has withdrawn is answered": (
        "linearizable",
        having(
            replace(refused(A_ASKED, GIVEN_UP), ended_ns=2015),
            replace(A_WON, started_ns=2016),
            history=AWAITED,
        ),
    ),
    "a withdrawn question is open at the end": (
        "linearizable",
        replace(
            having(A_PUT, refused(A_ASKED, GIVEN_UP)),
            questions=AWAITED.questions,
            rows=(ROW, replace(UNCLAIMED, id="w", ask_number=7)),
        ),
    ),
    "a click wins another application's open question": (
        "only_its_application",
        having(won(OPEN_CLICKED, victory()), history=BESIDE_ANOTHER),
    ),
    "a click learns who answered another application's question": (
        "only_its_application",
        having(
            refused(O_CLICKED, Reported(Reason.ALREADY_ANSWERED, "U1", "yes")),
            history=BESIDE_ANOTHER,
        ),
    ),
    "a person is told that another application's question is withdrawn": (
        "only_its_application",
        having(replace(O_CLICKED, reply="withdrawn"), history=BESIDE_ANOTHER),
    ),
    "a click whose reply was lost has claimed another application's open question": (
        "only_its_application",
        replace(
            having(lost(OPEN_CLICKED), history=BESIDE_ANOTHER),
            rows=(*BESIDE_ANOTHER.rows[:2], replace(ROW, id="o-open", undelivered=True)),
        ),
    ),
    "an answer that cannot be read is still due": (
        "others_unharmed",
        replace(POISONED, rows=(ROW, replace(STUCK, is_stuck=False))),
    ),
    "an answer that cannot be read is stuck, and nobody knows why": (
        "others_unharmed",
        replace(POISONED, rows=(ROW, replace(STUCK, error=None))),
    ),
    "an answer that cannot be read passes for delivered": (
        "others_unharmed",
        replace(POISONED, rows=(ROW, replace(STUCK, undelivered=False, is_stuck=False))),
    ),
    "an answer that cannot be read is not there any more": ("others_unharmed", replace(POISONED, rows=(ROW,))),
    "another answer is stuck with the one that cannot be read": (
        "others_unharmed",
        replace(POISONED, rows=(replace(ROW, undelivered=True, is_stuck=True, error="its batch failed"), STUCK)),
    ),
    "a card keeps its buttons after the answer": (
        "cards_show_the_end",
        replace(SHOWING, card_edits=(CHANGED,)),
    ),
    "a card that expired says so after the answer": (
        "cards_show_the_end",
        replace(SHOWING, card_edits=(CHANGED, SHOWN, replace(EXPIRED, at_ns=SHOWN.at_ns + 1))),
    ),
    "a card names another answer": (
        "cards_show_the_end",
        replace(SHOWING, card_edits=(CHANGED, replace(SHOWN, text=SHOWN.text.replace("yes", "no")))),
    ),
    "the card of a question that has changed keeps its buttons": (
        "cards_show_the_end",
        replace(SHOWING, card_edits=(SHOWN,)),
    ),
    "the card of a question that has changed names the answer to the new one": (
        "cards_show_the_end",
        replace(SHOWING, card_edits=(SHOWN, CHANGED, replace(SHOWN, card=OLD_CARD.card, at_ns=CHANGED.at_ns + 1))),
    ),
    "the card of a withdrawn question names an answer": (
        "cards_show_the_end",
        replace(SHOWING, rows=(ROW, replace(UNCLAIMED, id="c", ask_number=21, withdrawn=True))),
    ),
    "a card is posted twice": (
        "cards_show_the_end",
        replace(SHOWING, card_posts=(OLD_CARD, CARD, replace(CARD, pod="pod-3", card="pod-3 0"))),
    ),
}
