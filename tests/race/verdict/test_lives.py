"""Questions that live in time, on histories written by hand: what is lawful, however odd, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.race.history.history import History, Reason, Reported
from pendingctl.race.verdict.checker import judge
from tests.race.verdict.histories import having, laws_broken, lost, refused, without
from tests.race.verdict.lawless_lives import ANSWERED, LAWLESS_LIVES
from tests.race.verdict.lives import (
    D_EDIT,
    D_HANDED,
    D_LATE,
    D_LATER,
    D_ROW,
    D_TOLD,
    D_WON,
    E_ROW,
    ESCALATED,
    L_CARD,
    L_LOST,
    L_PUT,
    L_ROW,
    LIVING,
    S_EARLY,
    S_ROW,
    S_WON,
    row_of,
)

ODD: dict[str, History] = {
    "everything as it should be": LIVING,
    "a click wins that began before the deadline, and ended after it": ANSWERED,
    "a click that began when the deadline may have passed wins": having(
        replace(D_WON, started_ns=7009, ended_ns=7100), history=ANSWERED
    ),
    "a click is told that the question has expired as soon as it may have": having(
        replace(D_LATE, started_ns=6900, ended_ns=7001), history=LIVING
    ),
    "a click's reply about the default comes late": having(
        replace(D_LATER, started_ns=7045, ended_ns=9000), history=LIVING
    ),
    "a click before the deadline got no reply, and did not win": having(
        lost(replace(D_LATE, started_ns=6500)), history=LIVING
    ),
    "the question expired although it has a default, since its card was not posted": replace(
        having(
            refused(D_LATER, Reported(Reason.EXPIRED)),
            replace(D_TOLD, planned=replace(D_TOLD.planned, value=None)),
            history=row_of(D_ROW, outcome="expired", claimed_at=None, answer=None, withdrawn=True),
        ),
        hand_overs=tuple(
            replace(each, value=None, outcome="expired") if each == D_HANDED else each for each in LIVING.hand_overs
        ),
        card_posts=LIVING.card_posts[1:],
        card_edits=LIVING.card_edits[1:],
    ),
    "the worker does not hear of it": replace(
        without(*(each for each in LIVING.operations if each.planned.name == "e.112"), history=LIVING),
        questions=tuple(
            replace(each, heard=("answered", "defaulted")) if each.id == "e" else each for each in LIVING.questions
        ),
        hand_overs=tuple(each for each in LIVING.hand_overs if each.question_id != "e"),
    ),
    "the other user wins as soon as the question may be escalated": having(
        replace(S_WON, started_ns=8040, ended_ns=8101), history=LIVING
    ),
    "the other user is refused although the question may be escalated": having(
        replace(S_EARLY, started_ns=8104, ended_ns=8109), history=LIVING
    ),
    "a pod has died between the lease and a reminder": replace(LIVING, reminders=(ESCALATED,)),
    "a card is given up with a reason": replace(
        row_of(L_ROW, not_shown="the conversation is gone"), card_posts=LIVING.card_posts[:2]
    ),
    "a pod that has died over its put had shown the question": having(lost(L_PUT), history=LIVING),
    "a pod has died before its card was noted, and the question has ended": replace(
        row_of(S_ROW, no_card_known=True), card_edits=(D_EDIT,)
    ),
    "the card of a pod that has died was found": replace(
        LIVING, card_posts=(*LIVING.card_posts[:2], replace(L_LOST, can_be_found=True))
    ),
    "a question was withdrawn before its card was posted": replace(
        LIVING, card_posts=tuple(each for each in LIVING.card_posts if each.question_id != E_ROW.id)
    ),
}


@pytest.mark.parametrize("history", ODD.values(), ids=ODD.keys())
def test_what_happens_in_time_and_is_lawful_breaks_no_law(history: History) -> None:
    assert judge(history).violations == ()


def test_of_pods_that_were_lost_nobody_knows_what_they_have_posted() -> None:
    assert laws_broken(replace(LIVING, card_posts=(), reasons=("pod-1 was ended by SIGKILL",))) == set()


@pytest.mark.parametrize(
    "lie",
    [
        "the row's answer is later than its deadline",
        "a worker hears of two endings",
        "an ending is undelivered at the end",
        "a question is never shown",
        "a question is shown whose transaction was rolled back",
        "two reminders come for one time",
        "a question is escalated twice",
        "a card that can be found is posted once more",
    ],
)
def test_one_lie_about_a_life_breaks_one_law(lie: str) -> None:
    law, history = LAWLESS_LIVES[lie]

    assert laws_broken(history) - {"linearizable"} == {law}


def test_both_cards_stay_when_the_first_one_is_lost_for_good() -> None:
    assert {each.card for each in LIVING.card_posts if each.question_id == "l"} == {L_LOST.card, L_CARD.card}
    assert laws_broken(LIVING) == set()
