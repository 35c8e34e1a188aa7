"""Histories that each break a law, with the check that must report it; one table, so that no check can be missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pendingctl.race.history.history import Outcome, Reason, Reported
from pendingctl.race.plan.plan import Wrong
from tests.race.verdict.histories import (
    AFTER_THE_DELETE,
    AFTER_THE_SWEEP,
    ASKED,
    CLAIM,
    CREATED,
    CREATED_AGAIN,
    DEFEAT,
    DELETE,
    DELIVERED,
    DELIVERING,
    EXTRA,
    FOREIGN,
    FOREIGN_PUT,
    HANDED,
    LATER,
    LAWFUL,
    LOSER,
    NO_SUCH_ROW,
    ON_EXTRA,
    OTHER_PAYLOAD,
    PUT,
    REOPENED,
    REPEAT,
    ROW,
    STALE_AFTER,
    STORED_AGAIN,
    UNCLAIMED,
    UNHEARD_OF,
    WINNER,
    WRONG_CONNECTION,
    WRONG_ORGANIZATION,
    WRONG_USER,
    X_DELETE,
    X_DELIVERED,
    X_GONE,
    X_HANDED,
    X_KEPT,
    X_LATE,
    X_LOSER,
    X_PUT,
    X_REFRESH,
    X_REOPEN,
    X_ROW,
    X_SWEEP,
    X_TOO_LATE,
    X_WINNER,
    delivering,
    handing,
    having,
    lost,
    only_extra,
    operation,
    refused,
    stored,
    sweeping,
    victory,
    with_row,
    without,
    won,
)

# The claim that comes back under another key, its first try unknown, is another press.
NEW_KEY = replace(LOSER, planned=replace(WINNER.planned, delivery_key="key-a-again"), number=30)
X_SECOND = operation(31, CLAIM, Outcome.OK, 1020, 1040, victory(), pod="pod-2", question="x", value="no")
X_STRANGER = operation(34, CLAIM, Outcome.REFUSED, 1025, 1035, UNHEARD_OF, question="x", wrong=Wrong.ORGANIZATION)
Y_EXTRA = replace(EXTRA, id="y")
Y_PUT = operation(40, PUT, Outcome.OK, 1100, 1110, stored("created", 1, CREATED_AGAIN), question="y", reopens=True)

LAWLESS = {
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
    "two clicks win one asking of an extra question": (
        "linearizable",
        replace(having(X_SECOND), hand_overs=(HANDED, X_HANDED, replace(X_HANDED, pod="pod-2", value="no"))),
    ),
    "two deletes both take one row": (
        "linearizable",
        having(replace(X_DELETE, number=36, pod="pod-1", started_ns=1071)),
    ),
    "a delete and a sweep both take one row": (
        "linearizable",
        having(replace(X_GONE, started_ns=1115, outcome=Outcome.OK, reported=Reported())),
    ),
    "a delete finds no row where one is": ("linearizable", having(refused(X_DELETE, NO_SUCH_ROW))),
    "two puts both create the row": (
        "linearizable",
        having(replace(X_REFRESH, reported=stored("created", 1, CREATED))),
    ),
    "a put refreshes an answered question": (
        "linearizable",
        having(replace(X_REOPEN, reported=stored("refreshed", 1))),
    ),
    "a put that reopens loses count": (
        "linearizable",
        having(replace(X_REOPEN, reported=stored("reopened", 1, REOPENED))),
    ),
    "a put is told that nothing is answered yet": (
        "linearizable",
        having(replace(STORED_AGAIN, outcome=Outcome.OK, reported=stored("refreshed"))),
    ),
    "a claim is told again that it won before anybody has": (
        "linearizable",
        only_extra(X_PUT, won(X_WINNER, outcome=Outcome.REPEATED)),
    ),
    "a claim is told again that it won after the question was asked again": (
        "linearizable",
        having(won(X_LATE, outcome=Outcome.REPEATED)),
    ),
    "a claim is told that an open question is gone": (
        "linearizable",
        having(refused(replace(X_LOSER, started_ns=1016, ended_ns=1019), UNHEARD_OF)),
    ),
    "a claim is told the answer of a question that is gone": ("linearizable", having(refused(X_TOO_LATE, DEFEAT))),
    "an extra question's loser is told another answer": (
        "linearizable",
        having(refused(X_LOSER, replace(DEFEAT, answer="no"))),
    ),
    "an extra question's row comes back from nowhere": (
        "linearizable",
        replace(LAWFUL, rows=(ROW, replace(UNCLAIMED, id="x"))),
    ),
    "an extra question's row is gone though nobody took it": (
        "linearizable",
        only_extra(X_PUT, X_WINNER, X_LOSER, hand_overs=(X_HANDED,)),
    ),
    "an extra question's winner is not stored": (
        "linearizable",
        only_extra(X_PUT, X_WINNER, row=replace(UNCLAIMED, id="x"), hand_overs=(X_HANDED,)),
    ),
    "the payload changed": ("payload_intact", with_row(payload=OTHER_PAYLOAD)),
    "the row is gone": ("payload_intact", replace(LAWFUL, rows=())),
    "the winner is given another payload": ("payload_intact", having(won(WINNER, victory(OTHER_PAYLOAD)))),
    "the winner is given another payload when told again": (
        "payload_intact",
        having(won(REPEAT, victory(OTHER_PAYLOAD))),
    ),
    "an extra question's winner is given another payload": (
        "payload_intact",
        having(won(X_WINNER, victory(OTHER_PAYLOAD))),
    ),
    "an extra question's payload changed": (
        "payload_intact",
        only_extra(X_PUT, X_WINNER, row=replace(X_ROW, payload=OTHER_PAYLOAD), hand_overs=(X_HANDED,)),
    ),
    "a click wins after a delete": ("terminal_stays_terminal", having(AFTER_THE_DELETE)),
    "a click wins after a sweep": ("terminal_stays_terminal", having(AFTER_THE_SWEEP)),
    "a click is told again that it won after a delete": (
        "terminal_stays_terminal",
        having(won(X_TOO_LATE, outcome=Outcome.REPEATED)),
    ),
    "a click wins between a delete and the next put": (
        "terminal_stays_terminal",
        having(replace(AFTER_THE_DELETE, ended_ns=1099)),
    ),
    "a click wins after a sweep, and only a put that failed was in between": (
        "terminal_stays_terminal",
        having(AFTER_THE_SWEEP, operation(37, PUT, Outcome.FAILED, 1131, 1134, question="x", reopens=True)),
    ),
    "a sweep takes a young row": (
        "sweep_took_only_stale_rows",
        having(sweeping(at=CREATED_AGAIN + timedelta(milliseconds=1))),
    ),
    "a sweep takes a row that is exactly of the maximum age": (
        "sweep_took_only_stale_rows",
        having(sweeping(at=CREATED_AGAIN + STALE_AFTER)),
    ),
    "a sweep takes a row that was asked again since it was stale": (
        "sweep_took_only_stale_rows",
        only_extra(
            X_PUT,
            X_WINNER,
            X_REOPEN,
            replace(sweeping(at=REOPENED + timedelta(milliseconds=9)), started_ns=1070, ended_ns=1080),
            hand_overs=(X_HANDED,),
        ),
    ),
    "a sweep takes an answer that is not delivered": (
        "sweep_took_only_stale_rows",
        replace(
            having(replace(X_WINNER, number=60, started_ns=1111, ended_ns=1115), history=DELIVERING),
            hand_overs=(HANDED, X_HANDED, X_HANDED),
        ),
    ),
    "a sweep takes a counted question's row": (
        "sweep_took_only_stale_rows",
        replace(having(sweeping(ids=("x", "q"))), rows=()),
    ),
    "the answer is never handed over": ("every_answer_delivered", delivering(X_HANDED)),
    "another asking's answer is handed over instead": (
        "every_answer_delivered",
        delivering(replace(HANDED, ask_number=2), X_HANDED),
    ),
    "an answer that nobody was told of is never handed over": (
        "every_answer_delivered",
        replace(having(lost(WINNER), history=without(REPEAT, history=DELIVERING)), hand_overs=(X_HANDED,)),
    ),
    "the answer is undelivered at the end": (
        "every_answer_delivered",
        replace(without(DELIVERED, history=DELIVERING), rows=(replace(ROW, undelivered=True),)),
    ),
    "an extra question's answer is never handed over": ("every_answer_delivered", delivering(HANDED)),
    "an extra question is won twice and handed over once": (
        "every_answer_delivered",
        having(replace(X_WINNER, number=60, started_ns=1111, ended_ns=1115), history=DELIVERING),
    ),
    "two answers are handed over under one key": (
        "applied_once",
        handing(HANDED, replace(HANDED, value="no"), X_HANDED),
    ),
    "the answer goes to another user": ("applied_once", handing(replace(HANDED, user_id="U2"), X_HANDED)),
    "the answer goes to another conversation": (
        "applied_once",
        handing(replace(HANDED, conversation_id="C2"), X_HANDED),
    ),
    "another answer is handed over": ("applied_once", handing(replace(HANDED, value="no"), X_HANDED)),
    "an extra question's answer is handed over with which nobody won": (
        "applied_once",
        handing(HANDED, X_HANDED, replace(X_HANDED, value="perhaps")),
    ),
    "an extra question's answer goes to another user": (
        "applied_once",
        handing(HANDED, replace(X_HANDED, user_id="U2")),
    ),
    "an answer is marked as delivered twice": (
        "linearizable",
        having(replace(DELIVERED, number=61, started_ns=250, ended_ns=260), history=DELIVERING),
    ),
    "an answer is marked as delivered before it was given": (
        "linearizable",
        having(replace(DELIVERED, started_ns=20, ended_ns=30), history=DELIVERING),
    ),
    "an undelivered question is asked again": (
        "linearizable",
        having(replace(X_DELIVERED, started_ns=1062, ended_ns=1066), history=DELIVERING),
    ),
    "an undelivered question is deleted": (
        "linearizable",
        replace(
            only_extra(X_PUT, X_WINNER, X_DELETE, hand_overs=(X_HANDED,)),
            questions=(ASKED, replace(EXTRA, delivers=True)),
        ),
    ),
    "a delivered question is not deleted for want of its delivery": (
        "linearizable",
        replace(
            only_extra(X_PUT, X_WINNER, X_DELIVERED, X_KEPT, row=X_ROW, hand_overs=(X_HANDED,)),
            questions=(ASKED, replace(EXTRA, delivers=True)),
        ),
    ),
    "a sweep takes more than its limit": (
        "sweep_was_bounded",
        replace(
            having(
                replace(sweeping(ids=("x", "y")), planned=replace(X_SWEEP.planned, limit=1)),
                Y_PUT,
            ),
            questions=(*LAWFUL.questions, Y_EXTRA),
        ),
    ),
    "a sweep takes a row that is not the run's": ("sweep_was_bounded", having(sweeping(ids=("x", "theirs")))),
    "a row is left behind": ("nothing_left_behind", replace(LAWFUL, left_behind=("question q",))),
}
