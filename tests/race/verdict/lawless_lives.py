"""Histories that break a law about deadlines, endings, escalations, reminders or cards that are the pods' duty."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pendingctl.race.history.history import History, Reason, Reported
from tests.race.verdict.histories import LAWFUL, WON_AT, having, lost, refused, victory, without, won
from tests.race.verdict.lives import (
    BY_OTHER,
    D_EDIT,
    D_HANDED,
    D_LATE,
    D_LATER,
    D_ROW,
    D_TOLD,
    D_WON,
    E_HANDED,
    E_ROW,
    E_TOLD,
    ESCALATED,
    L_CARD,
    L_LOST,
    L_PUT,
    LIVING,
    REMINDED,
    REMINDED_AGAIN,
    S_EARLY,
    S_EDIT,
    S_LOST,
    S_ROW,
    S_WON,
    row_of,
)

# The click that came before the deadline has won.
ANSWERED = replace(
    row_of(D_ROW, outcome="answered", delivery_key="key-d", answered_by="U1", expires_at=WON_AT),
    operations=(*(each for each in LIVING.operations if each not in (D_LATE, D_LATER)), D_WON),
    hand_overs=tuple(replace(each, outcome="answered") if each == D_HANDED else each for each in LIVING.hand_overs),
    card_edits=(replace(D_EDIT, text="Answered by U1: no (2026-01-01 12:00 UTC)"), S_EDIT),
)

LAWLESS_LIVES: dict[str, tuple[str, History]] = {
    "a click wins that began after the deadline": (
        "no_click_after_deadline",
        having(replace(D_WON, started_ns=7011, ended_ns=7020), history=ANSWERED),
    ),
    "the order of things has a click win after the deadline": (
        "linearizable",
        having(replace(D_WON, started_ns=7011, ended_ns=7020), history=ANSWERED),
    ),
    "the row's answer is later than its deadline": (
        "no_click_after_deadline",
        replace(
            ANSWERED,
            rows=tuple(
                replace(each, expires_at=WON_AT - timedelta(microseconds=1)) if each.id == "d" else each
                for each in ANSWERED.rows
            ),
        ),
    ),
    "a click is told that the question has expired before its deadline": (
        "linearizable",
        having(replace(D_LATE, started_ns=6500, ended_ns=6600), history=LIVING),
    ),
    "a default is the answer before the deadline": (
        "linearizable",
        having(replace(D_LATER, started_ns=6500, ended_ns=6600), history=LIVING),
    ),
    "a click is told of another answer than the default": (
        "loser_was_told_the_truth",
        having(refused(D_LATER, replace(D_LATER.reported, answer="yes")), history=LIVING),
    ),
    "a timer wipes the answer of a click": (
        "one_ending",
        having(D_WON, history=without(D_LATE, history=LIVING)),
    ),
    "a timer wipes a withdrawal": ("one_ending", row_of(E_ROW, outcome="expired")),
    "a worker hears of two endings": (
        "one_ending",
        replace(LIVING, hand_overs=(*LIVING.hand_overs, replace(E_HANDED, outcome="expired"))),
    ),
    "nobody hears of an ending": (
        "every_ending_told",
        replace(without(E_TOLD, history=LIVING), hand_overs=(*LAWFUL.hand_overs, D_HANDED, LIVING.hand_overs[-1])),
    ),
    "an ending is undelivered at the end": (
        "every_ending_told",
        replace(
            without(E_TOLD, history=LIVING),
            rows=tuple(replace(each, undelivered=True) if each == E_ROW else each for each in LIVING.rows),
        ),
    ),
    "the row says that it is delivered, and nobody has marked it": (
        "linearizable",
        without(D_TOLD, history=LIVING),
    ),
    "a question is never shown": (
        "every_question_shown",
        replace(LIVING, card_posts=tuple(each for each in LIVING.card_posts if each not in (L_LOST, L_CARD))),
    ),
    "a question whose pod has died is never shown": (
        "every_question_shown",
        replace(
            having(lost(L_PUT), history=LIVING),
            card_posts=tuple(each for each in LIVING.card_posts if each not in (L_LOST, L_CARD)),
        ),
    ),
    "a question is shown whose transaction was rolled back": (
        "every_question_shown",
        replace(LIVING, card_posts=(*LIVING.card_posts, replace(L_CARD, question_id="b", ask_number=40))),
    ),
    "a default is the answer to a question that nobody has seen": (
        "every_question_shown",
        replace(LIVING, card_posts=LIVING.card_posts[1:], card_edits=(S_EDIT,)),
    ),
    "two reminders come for one time": (
        "reminded_once",
        replace(LIVING, reminders=(REMINDED, replace(REMINDED_AGAIN, at_ns=8042), ESCALATED)),
    ),
    "there are more reminders than there may be": (
        "reminded_once",
        replace(LIVING, reminders=(REMINDED, REMINDED_AGAIN, replace(REMINDED, at_ns=8130), ESCALATED)),
    ),
    "a question is escalated twice": (
        "reminded_once",
        replace(LIVING, reminders=(REMINDED, REMINDED_AGAIN, ESCALATED, replace(ESCALATED, at_ns=8300))),
    ),
    "a question is escalated before its time": (
        "reminded_once",
        replace(LIVING, reminders=(REMINDED, REMINDED_AGAIN, replace(ESCALATED, at_ns=8099))),
    ),
    "another user wins before the escalation": (
        "scope",
        having(replace(S_WON, started_ns=8040, ended_ns=8099), history=LIVING),
    ),
    "another user's click is not theirs long after the escalation": (
        "linearizable",
        having(
            refused(replace(S_WON, number=125, started_ns=8111, ended_ns=8120), Reported(Reason.NOT_YOURS)),
            replace(S_WON, started_ns=8125),
            history=LIVING,
        ),
    ),
    "another user is told more than that it is not theirs before the escalation": (
        "loser_was_told_the_truth",
        having(refused(S_EARLY, BY_OTHER), history=LIVING),
    ),
    "a loser is told that the first user has answered, and it was another": (
        "loser_was_told_the_truth",
        having(refused(S_LOST, replace(BY_OTHER, answered_by="U1")), history=LIVING),
    ),
    "a card names the first user, and another has answered": (
        "cards_show_the_end",
        replace(LIVING, card_edits=(D_EDIT, replace(S_EDIT, text=S_EDIT.text.replace("U9", "U1")))),
    ),
    "a card says nothing of the default": ("cards_show_the_end", replace(LIVING, card_edits=(S_EDIT,))),
    "a card that can be found is posted once more": (
        "cards_show_the_end",
        replace(LIVING, card_posts=(*LIVING.card_posts[:2], replace(L_LOST, can_be_found=True), L_CARD)),
    ),
    "a click wins under the press of a default": (
        "linearizable",
        having(won(D_LATE, victory(ask_number=30)), history=LIVING),
    ),
    "the answer of another is not in the row": (
        "linearizable",
        row_of(S_ROW, delivery_key="key-t"),
    ),
}
