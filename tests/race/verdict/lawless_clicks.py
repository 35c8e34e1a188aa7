"""Histories in which the wrong click wins or a click is told what is not so, with the check that must report it."""

from __future__ import annotations

from dataclasses import replace

from pendingctl.race.history.history import Outcome, Reason, Reported
from pendingctl.race.plan.operations import Wrong
from tests.race.verdict.histories import (
    ASKED,
    DEFEAT,
    DELETE,
    FOREIGN,
    FOREIGN_PUT,
    HANDED,
    LATER,
    LAWFUL,
    LOSER,
    ON_EXTRA,
    REPEAT,
    ROW,
    UNCLAIMED,
    UNHEARD_OF,
    WINNER,
    WRONG_CONNECTION,
    WRONG_ORGANIZATION,
    WRONG_USER,
    X_HANDED,
    X_LOSER,
    X_PUT,
    X_ROW,
    X_TOO_LATE,
    X_WINNER,
    having,
    lost,
    only_extra,
    operation,
    refused,
    stored,
    victory,
    with_row,
    without,
    won,
)

# The claim that comes back under another key, its first try unknown, is another press.
NEW_KEY = replace(LOSER, planned=replace(WINNER.planned, delivery_key="key-a-again"), number=30)

LAWLESS_CLICKS = {
    "two clicks win": ("single_winner", having(won(LOSER))),
    "a lost update: the first winner is overwritten": (
        "single_winner",
        replace(
            having(won(LOSER)),
            rows=(replace(ROW, answer="no", delivery_key="key-b"),),
            hand_overs=(HANDED, replace(HANDED, pod="pod-2", value="no"), X_HANDED),
        ),
    ),
    "the same press wins twice": ("single_winner", having(won(REPEAT))),
    "another press is told that it won before": ("single_winner", having(won(LOSER, outcome=Outcome.REPEATED))),
    "a press that is asked again under another key wins too": ("single_winner", having(lost(WINNER), won(NEW_KEY))),
    "the stored winner was never fired": ("winner_is_real", with_row(delivery_key="key-x")),
    "the stored winner was told that it lost": ("winner_is_real", with_row(delivery_key="key-b", answer="no")),
    "the stored winner is a stranger's press": ("winner_is_real", with_row(delivery_key="key-3")),
    "the stored answer is another": ("winner_is_real", with_row(answer="no")),
    "the time told to the winner is another": ("winner_is_real", with_row(claimed_at=LATER)),
    "the time told again to the winner is another": ("winner_is_real", having(won(REPEAT, victory(at=LATER)))),
    "the winner is not stored": (
        "winner_is_real",
        with_row(claimed_at=None, answer=None, delivery_key=None),
    ),
    "a press is told again that it won and nobody won": (
        "winner_is_real",
        replace(having(lost(WINNER)), rows=(UNCLAIMED,)),
    ),
    "a bystander is claimed": (
        "winner_is_real",
        replace(
            LAWFUL,
            questions=(*LAWFUL.questions, replace(ASKED, id="bystander")),
            rows=(ROW, replace(ROW, id="bystander")),
        ),
    ),
    "an extra question's stored winner was told that it lost": (
        "winner_is_real",
        only_extra(X_PUT, X_WINNER, X_LOSER, row=replace(X_ROW, answer="no", delivery_key="key-13")),
    ),
    "the wrong user wins": ("scope", having(won(WRONG_USER))),
    "another connection wins": ("scope", having(won(WRONG_CONNECTION))),
    "another organization is told that it won before": (
        "scope",
        having(won(WRONG_ORGANIZATION, outcome=Outcome.REPEATED)),
    ),
    "a foreign put gets through": (
        "scope",
        having(replace(FOREIGN_PUT, outcome=Outcome.OK, reported=stored("refreshed"))),
    ),
    "a foreign delete gets through": (
        "scope",
        having(operation(35, DELETE, Outcome.OK, 1085, 1088, question="x", wrong=Wrong.CONNECTION)),
    ),
    "a click that the plan calls rightful is foreign and wins": (
        "scope",
        having(replace(WINNER, planned=replace(WINNER.planned, scope=FOREIGN[Wrong.USER]))),
    ),
    "the row moves to another tenant": ("scope", with_row(scope=FOREIGN[Wrong.ORGANIZATION])),
    "nobody wins": (
        "wrong_clicks_cost_nothing",
        replace(LAWFUL, operations=(LOSER, WRONG_USER, *ON_EXTRA), rows=(UNCLAIMED,), hand_overs=(X_HANDED,)),
    ),
    "a refused stranger uses the question up": (
        "wrong_clicks_cost_nothing",
        replace(without(WINNER, REPEAT), rows=(replace(ROW, delivery_key="key-3"),), hand_overs=(X_HANDED,)),
    ),
    "the row is unclaimed after the race": (
        "wrong_clicks_cost_nothing",
        with_row(claimed_at=None, answer=None, delivery_key=None),
    ),
    "a wrong user is told that it is unknown": ("loser_was_told_the_truth", having(refused(WRONG_USER, UNHEARD_OF))),
    "a stranger is told that it exists": (
        "loser_was_told_the_truth",
        having(refused(WRONG_ORGANIZATION, Reported(Reason.NOT_YOURS))),
    ),
    "another connection is told that it is answered": (
        "loser_was_told_the_truth",
        having(refused(WRONG_CONNECTION, Reported(Reason.ALREADY_ANSWERED))),
    ),
    "a stranger is told the answer": (
        "loser_was_told_the_truth",
        having(refused(WRONG_ORGANIZATION, replace(DEFEAT, reason=Reason.UNKNOWN_OR_EXPIRED))),
    ),
    "a wrong user is told who answered": (
        "loser_was_told_the_truth",
        having(refused(WRONG_USER, Reported(Reason.NOT_YOURS, answered_by="U1"))),
    ),
    "a rightful click is told that it is not theirs": (
        "loser_was_told_the_truth",
        having(refused(LOSER, Reported(Reason.NOT_YOURS))),
    ),
    "a rightful click is told that it is unknown": ("loser_was_told_the_truth", having(refused(LOSER, UNHEARD_OF))),
    "a loser is told another answer": (
        "loser_was_told_the_truth",
        having(refused(LOSER, replace(DEFEAT, answer="no"))),
    ),
    "a loser is told another time": ("loser_was_told_the_truth", having(refused(LOSER, replace(DEFEAT, at=LATER)))),
    "a loser is told another person": (
        "loser_was_told_the_truth",
        having(refused(LOSER, replace(DEFEAT, answered_by="U2"))),
    ),
    "a loser is told before a winner began": (
        "loser_was_told_the_truth",
        having(replace(LOSER, started_ns=10, ended_ns=50)),
    ),
    "a loser is told that it is answered and nobody won": (
        "loser_was_told_the_truth",
        only_extra(X_PUT, X_LOSER, row=replace(X_ROW, claimed_at=None, answer=None, delivery_key=None)),
    ),
    "the press that won is told that it lost": ("loser_was_told_the_truth", having(refused(REPEAT, DEFEAT))),
    "a press that is asked again under another key is told that it lost to its first try": (
        "loser_was_told_the_truth",
        having(lost(WINNER), NEW_KEY, history=without(REPEAT)),
    ),
    "the person is told something else than the store said": (
        "loser_was_told_the_truth",
        having(replace(LOSER, reply="answered")),
    ),
    "the winner's person is told that somebody else was quicker": (
        "loser_was_told_the_truth",
        having(replace(WINNER, reply="already_answered")),
    ),
    "an extra question's rightful click is told that it is not theirs": (
        "loser_was_told_the_truth",
        having(refused(X_TOO_LATE, Reported(Reason.NOT_YOURS))),
    ),
}
