"""Histories that look wrong and are lawful."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pendingctl.race.history.history import History, Outcome, Reason, Reported
from pendingctl.race.verdict.checker import judge
from tests.race.verdict.histories import (
    A_ASKED,
    A_DELIVERED,
    A_HANDED,
    A_PUT,
    A_WON,
    AFTER_THE_DELETE,
    AFTER_THE_SWEEP,
    ASKED,
    AWAITED,
    BESIDE_ANOTHER,
    C_WON,
    CHANGED,
    CLAIM,
    CREATED,
    DEFEAT,
    DELIVER,
    DELIVERED,
    DELIVERING,
    EXPIRED,
    EXTRA,
    HANDED,
    LATER,
    LAWFUL,
    LOSER,
    NEIGHBOURED,
    POISONED,
    PUT,
    REPEAT,
    ROW,
    SHOWING,
    STALE_AFTER,
    STORED_AGAIN,
    STUCK,
    UNCLAIMED,
    UNHEARD_OF,
    WINNER,
    WON_AT,
    WRONG_ORGANIZATION,
    X_DELETE,
    X_DELIVERED,
    X_GONE,
    X_HANDED,
    X_KEPT,
    X_LATE,
    X_PUT,
    X_PUT_AGAIN,
    X_REFRESH,
    X_REOPEN,
    X_ROW,
    X_SWEEP,
    X_TOO_LATE,
    X_WINNER,
    delivering,
    having,
    lost,
    only_extra,
    operation,
    refused,
    stored,
    sweeping,
    without,
    won,
)

X_FIRST_TRY = lost(X_WINNER, ended=1030)
X_ASKED_AGAIN = replace(won(X_WINNER, outcome=Outcome.REPEATED), number=50, started_ns=1032, ended_ns=1045)
STRANGER_WITH_THE_WINNING_PRESS = replace(
    WRONG_ORGANIZATION, planned=replace(WRONG_ORGANIZATION.planned, delivery_key="key-a", value="yes")
)

ODD = {
    "another application's answer is still due": BESIDE_ANOTHER,
    "an asker takes its answer": AWAITED,
    "a neighbour's click is answered while a tenant is in trouble": NEIGHBOURED,
    "an asker is cancelled, and its answer goes to the pods": replace(
        having(refused(A_ASKED, Reported(Reason.CANCELLED)), A_DELIVERED, history=AWAITED),
        hand_overs=(*LAWFUL.hand_overs, replace(A_HANDED, by_asker=False)),
    ),
    "an asker that was away for longer than its lease reports that the pods have the answer as well": replace(
        having(refused(A_ASKED, Reported(Reason.LEASE_LOST)), A_DELIVERED, history=AWAITED),
        hand_overs=(*LAWFUL.hand_overs, A_HANDED, replace(A_HANDED, by_asker=False)),
    ),
    "an asker dies before its answer, which goes to the pods": replace(
        having(lost(A_ASKED), A_DELIVERED, history=AWAITED),
        hand_overs=(*LAWFUL.hand_overs, replace(A_HANDED, by_asker=False)),
    ),
    "an asker gives up, and its question is withdrawn": replace(
        having(
            *(A_PUT, refused(A_ASKED, Reported(Reason.WITHDRAWN))),
            refused(replace(A_WON, started_ns=2060, ended_ns=2070), Reported(Reason.WITHDRAWN)),
        ),
        questions=AWAITED.questions,
        rows=(ROW, replace(UNCLAIMED, id="w", ask_number=7, withdrawn=True)),
    ),
    "an asker gives up, and its question expires": replace(
        having(
            *(A_PUT, refused(A_ASKED, Reported(Reason.EXPIRED))),
            refused(replace(A_WON, started_ns=2060, ended_ns=2070), Reported(Reason.EXPIRED)),
        ),
        questions=AWAITED.questions,
        rows=(ROW, replace(UNCLAIMED, id="w", ask_number=7, withdrawn=True)),
    ),
    "an answer that cannot be read is given up": POISONED,
    "nobody knows how far the pods came that were to give up an answer": replace(
        POISONED, rows=(ROW, replace(STUCK, is_stuck=False)), reasons=("pod-1 was lost",)
    ),
    "cards show how their askings have ended": SHOWING,
    "the card of an open question expires": replace(
        without(C_WON, history=SHOWING),
        hand_overs=LAWFUL.hand_overs,
        rows=(ROW, replace(SHOWING.rows[1], claimed_at=None, answer=None, delivery_key=None)),
        card_edits=(CHANGED, EXPIRED),
    ),
    "a card was left by a pod that was lost": replace(SHOWING, card_edits=(), reasons=("pod-2 was lost",)),
    "an asker whose mark was lost shares its answer with the pods": replace(
        having(lost(A_ASKED), history=AWAITED),
        hand_overs=(*LAWFUL.hand_overs, A_HANDED, replace(A_HANDED, by_asker=False)),
    ),
    "an unknown claim took effect and is told so when asked again": having(
        lost(WINNER, ended=200), replace(won(WINNER, outcome=Outcome.REPEATED), number=51, started_ns=210, ended_ns=220)
    ),
    "an unknown claim took effect only after it was asked again in vain": only_extra(
        *(X_FIRST_TRY, refused(replace(X_WINNER, number=52, started_ns=1031, ended_ns=1033), UNHEARD_OF)),
        replace(X_PUT, started_ns=1040, ended_ns=1045),
        row=X_ROW,
    ),
    "an unknown claim on an extra question took effect": having(X_FIRST_TRY, X_ASKED_AGAIN),
    "an unknown claim never took effect": having(
        lost(LOSER), replace(refused(LOSER, DEFEAT), number=53, started_ns=310, ended_ns=320)
    ),
    "losers are told of a winner that nobody saw win": replace(
        having(lost(WINNER), history=without(REPEAT)), hand_overs=(X_HANDED,)
    ),
    "an unknown winner is stored, whatever else became of it": replace(
        having(lost(WINNER), lost(LOSER), history=without(REPEAT)), hand_overs=(X_HANDED,)
    ),
    "all rightful clicks are unknown and none of them won": replace(
        having(lost(WINNER), lost(LOSER), history=without(REPEAT, STORED_AGAIN)),
        rows=(UNCLAIMED,),
        hand_overs=(X_HANDED,),
    ),
    "a stranger presses with the winning delivery key": having(STRANGER_WITH_THE_WINNING_PRESS),
    "a slow winner's person was asked to try again": having(replace(WINNER, reply="cannot_serve")),
    "a slow loser's person was asked to try again": having(replace(LOSER, reply="cannot_serve")),
    "an answer is handed over twice under the same key": delivering(HANDED, replace(HANDED, pod="pod-2"), X_HANDED),
    "an answer is handed over by a pod that won nothing": delivering(replace(HANDED, pod="pod-3"), X_HANDED),
    "a delivery lost its lease to another one": having(
        operation(62, DELIVER, Outcome.REFUSED, 204, 260, Reported(Reason.LEASE_LOST)), history=DELIVERING
    ),
    "a mark of unknown outcome took effect": having(lost(DELIVERED), history=DELIVERING),
    "a mark of unknown outcome did not, and another pod's did": having(
        lost(DELIVERED), replace(DELIVERED, number=63, started_ns=300, ended_ns=310), history=DELIVERING
    ),
    "an undelivered question is neither deleted nor asked again": replace(
        only_extra(
            *(X_PUT, X_WINNER, X_KEPT),
            replace(X_REOPEN, outcome=Outcome.REFUSED, reported=Reported(Reason.ALREADY_ANSWERED)),
            replace(X_DELIVERED, ended_ns=1090),
            row=X_ROW,
            hand_overs=(X_HANDED,),
        ),
        questions=(ASKED, replace(EXTRA, delivers=True)),
    ),
    "a click wins after a delete and a put": replace(
        having(replace(AFTER_THE_DELETE, started_ns=1111, ended_ns=1115), history=without(X_SWEEP, X_GONE)),
        rows=(ROW, replace(X_ROW, ask_number=3, delivery_key="key-z")),
    ),
    "a click wins after a delete while a put is under way": replace(
        having(
            replace(AFTER_THE_DELETE, ended_ns=1105),
            replace(X_TOO_LATE, ended_ns=1092),
            history=without(X_SWEEP, X_GONE),
        ),
        rows=(ROW, replace(X_ROW, ask_number=3, delivery_key="key-z")),
    ),
    "a click wins after a delete and an unknown put": only_extra(
        *(X_PUT, X_DELETE, lost(replace(X_PUT_AGAIN, started_ns=1085)), AFTER_THE_DELETE),
        row=replace(X_ROW, delivery_key="key-z"),
        hand_overs=(X_HANDED,),
    ),
    "a click wins after a delete and a put that began long before and was unknown": only_extra(
        *(X_PUT, lost(X_REFRESH), X_DELETE, AFTER_THE_DELETE),
        row=replace(X_ROW, delivery_key="key-z"),
        hand_overs=(X_HANDED,),
    ),
    "a click wins after a sweep and a put": having(
        operation(54, PUT, Outcome.OK, 1131, 1134, stored("created", 4, LATER), question="x", reopens=True),
        AFTER_THE_SWEEP,
        replace(X_GONE, outcome=Outcome.OK, reported=Reported()),
    ),
    "the row is gone after an unknown delete": only_extra(X_PUT, lost(X_DELETE), X_TOO_LATE),
    "the row is still there after an unknown delete": only_extra(X_PUT, lost(X_DELETE), row=replace(UNCLAIMED, id="x")),
    "the row is gone after an unknown delete that began before it was put": only_extra(
        lost(replace(X_DELETE, started_ns=900)), X_PUT, X_TOO_LATE
    ),
    "the row is gone after an unknown sweep": only_extra(X_PUT, lost(sweeping(at=None, ids=())), X_GONE),
    "a sweep takes a row of which nobody knows when it was put": only_extra(
        lost(X_PUT), replace(sweeping(at=WON_AT - timedelta(days=1)), started_ns=1070)
    ),
    "a sweep takes a row that was refreshed, by its age": only_extra(
        *(X_PUT, replace(X_REFRESH, started_ns=1100, ended_ns=1110)),
        sweeping(at=CREATED + STALE_AFTER + timedelta(milliseconds=1)),
    ),
    "a sweep takes nothing, its own question's row included": only_extra(
        X_PUT, sweeping(ids=()), row=replace(UNCLAIMED, id="x")
    ),
    "a failed claim was never there": having(operation(55, CLAIM, Outcome.FAILED, 110, 120, pod="pod-2")),
    "a delivery key is used for another question as well": having(
        replace(X_WINNER, planned=replace(X_WINNER.planned, delivery_key="key-a")), history=without(X_LATE)
    ),
}


@pytest.mark.parametrize("history", ODD.values(), ids=ODD.keys())
def test_what_is_odd_and_lawful_breaks_no_law(history: History) -> None:
    assert judge(history).violations == ()


def test_another_try_of_an_unknown_click_settles_it() -> None:
    judgement = judge(ODD["an unknown claim took effect and is told so when asked again"])

    assert (judgement.verdict, judgement.reasons) == ("pass", ())
