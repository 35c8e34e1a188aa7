"""Histories that each break a law, with the check that must report it; one table, so that no check can be missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pendingctl.race.history.history import Outcome, Reported
from tests.race.verdict.histories import (
    A_HANDED,
    AFTER_THE_DELETE,
    AFTER_THE_SWEEP,
    ASKED,
    AWAITED,
    BESIDE_ANOTHER,
    CLAIM,
    CREATED,
    CREATED_AGAIN,
    DEFEAT,
    DELIVERED,
    DELIVERING,
    EXTRA,
    HANDED,
    LAWFUL,
    N_DELIVERED,
    N_WON,
    NEIGHBOURED,
    NO_SUCH_ROW,
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
    X_DELETE,
    X_DELIVERED,
    X_GONE,
    X_HANDED,
    X_KEPT,
    X_LATE,
    X_LOSER,
    X_PUT,
    X_PUT_AGAIN,
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
    pressing,
    refused,
    stored,
    sweeping,
    victory,
    with_row,
    without,
    won,
)
from tests.race.verdict.lawless_appends import LAWLESS_APPENDS
from tests.race.verdict.lawless_clicks import LAWLESS_CLICKS
from tests.race.verdict.lawless_lives import LAWLESS_LIVES
from tests.race.verdict.lawless_neighbours import LAWLESS_NEIGHBOURS
from tests.race.verdict.lawless_trails import LAWLESS_TRAILS

X_SECOND = operation(31, CLAIM, Outcome.OK, 1020, 1040, victory(), pod="pod-2", question="x", value="no")
WON_AGAIN = operation(
    60, CLAIM, Outcome.OK, 1111, 1115, victory(ask_number=3), question="x", key="key-again", ask_number=3
)
Y_EXTRA = replace(EXTRA, id="y")
Y_PUT = operation(40, PUT, Outcome.OK, 1100, 1110, stored("created", 1, CREATED_AGAIN), question="y", reopens=True)

LAWLESS = LAWLESS_CLICKS | {
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
        having(replace(X_REFRESH, reported=stored("created", 0, CREATED))),
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
            having(WON_AGAIN, history=DELIVERING),
            hand_overs=(HANDED, X_HANDED, replace(X_HANDED, ask_number=3)),
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
        having(WON_AGAIN, history=DELIVERING),
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
    "a card's question was changed under it": (
        "answered_what_was_shown",
        having(won(X_WINNER, victory(OTHER_PAYLOAD))),
    ),
    "an answer is given to another edition than the card's": (
        "answered_what_was_shown",
        replace(
            having(won(X_WINNER, victory(OTHER_PAYLOAD))),
            questions=(ASKED, replace(EXTRA, editions=(OTHER_PAYLOAD,))),
        ),
    ),
    "a button's place is looked up among other options": (
        "answered_what_was_shown",
        having(pressing(X_WINNER, 1)),
    ),
    "a button's place is beyond the options": (
        "answered_what_was_shown",
        having(pressing(X_WINNER, 2)),
    ),
    "a counted question's button answers another option": (
        "answered_what_was_shown",
        having(pressing(WINNER, 1)),
    ),
    "a number comes back after a delete": (
        "key_never_reused",
        having(replace(X_PUT_AGAIN, reported=stored("created", 1, CREATED_AGAIN))),
    ),
    "a number is smaller than one before": (
        "key_never_reused",
        having(
            replace(X_PUT, reported=stored("created", 5, CREATED)),
            replace(X_PUT_AGAIN, reported=stored("created", 4, CREATED_AGAIN)),
        ),
    ),
    "an answer goes to its asker and to the pods": (
        "asker_or_pods",
        replace(AWAITED, hand_overs=(*AWAITED.hand_overs, replace(A_HANDED, by_asker=False))),
    ),
    "an answer goes neither to its asker nor to the pods": (
        "asker_or_pods",
        replace(AWAITED, hand_overs=LAWFUL.hand_overs),
    ),
    "another application's answer is handed over": (
        "only_its_application",
        replace(BESIDE_ANOTHER, hand_overs=(*LAWFUL.hand_overs, replace(HANDED, question_id="o"))),
    ),
    "another application's answer is marked as delivered": (
        "only_its_application",
        replace(BESIDE_ANOTHER, rows=(ROW, replace(ROW, id="o"), BESIDE_ANOTHER.rows[2])),
    ),
    "another application's row is gone": (
        "only_its_application",
        replace(BESIDE_ANOTHER, rows=BESIDE_ANOTHER.rows[:2]),
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
    "a neighbour's click is told to try again while a tenant is in trouble": (
        "others_unharmed",
        replace(NEIGHBOURED, operations=(*LAWFUL.operations, replace(N_WON, reply="cannot_serve"))),
    ),
    "a neighbour's click gets no reply while a tenant is in trouble": (
        "others_unharmed",
        replace(NEIGHBOURED, operations=(*LAWFUL.operations, N_WON, lost(replace(N_WON, number=81)))),
    ),
    "a neighbour's answer waits while a tenant is in trouble": (
        "others_unharmed",
        replace(
            NEIGHBOURED,
            operations=(*LAWFUL.operations, N_WON, replace(N_DELIVERED, started_ns=3 * 10**9, ended_ns=4 * 10**9)),
        ),
    ),
    "a row is left behind": ("nothing_left_behind", replace(LAWFUL, left_behind=("question q",))),
}

LAWLESS |= LAWLESS_NEIGHBOURS | LAWLESS_LIVES | LAWLESS_TRAILS | LAWLESS_APPENDS
