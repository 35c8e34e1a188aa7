"""The checker on histories written by hand: it passes what is lawful, and each law is reported when it is broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pendingctl.model import Scope
from pendingctl.payload import JsonObject
from pendingctl.race.history.history import (
    Fault,
    HandOver,
    History,
    Operation,
    Outcome,
    RacedQuestion,
    Reason,
    Reported,
    Row,
)
from pendingctl.race.plan.operations import OperationKind, PlannedOperation, Wrong
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.verdict import linearization
from pendingctl.race.verdict.checker import CHECKS, Verdict, Violation, judge

SCOPE = Scope("acme", "slack", "U1")
FOREIGN = {
    Wrong.USER: Scope("acme", "slack", "U2"),
    Wrong.CONNECTION: Scope("acme", "teams", "U1"),
    Wrong.ORGANIZATION: Scope("globex", "slack", "U1"),
}
PAYLOAD: JsonObject = {"question": {"text": "Deploy?", "options": ["yes", "no"], "conversation_id": "C1"}}
OTHER_PAYLOAD: JsonObject = {"question": {"text": "Deploy!"}}
STALE_AFTER = timedelta(milliseconds=30)
WON_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = WON_AT + timedelta(seconds=1)
CREATED, REOPENED, CREATED_AGAIN = (WON_AT + timedelta(minutes=each) for each in (1, 2, 3))
STALE = CREATED_AGAIN + STALE_AFTER + timedelta(milliseconds=1)

PUT, CLAIM, DELETE, SWEEP, DELIVER, ASK = OperationKind
DEFEAT = Reported(Reason.ALREADY_ANSWERED, "U1", "yes", WON_AT)
UNHEARD_OF = Reported(Reason.UNKNOWN_OR_EXPIRED)
NO_SUCH_ROW = Reported(Reason.NO_SUCH_ROW)


def victory(payload: JsonObject = PAYLOAD, at: datetime = WON_AT, ask_number: int = 1) -> Reported:
    return Reported(at=at, payload=payload, ask_number=ask_number)


def stored(put: str, ask_number: int = 1, at: datetime | None = None) -> Reported:
    return Reported(at=at, ask_number=ask_number, put=put)


def operation(
    number: int,
    kind: OperationKind,
    outcome: Outcome,
    started: int,
    ended: int | None,
    reported: Reported = Reported(),  # noqa: B008
    *,
    pod: str = "pod-1",
    question: str = "q",
    wrong: Wrong | None = None,
    key: str | None = None,
    value: str | None = "yes",
    ask_number: int | None = 1,
    reopens: bool = False,
    limit: int | None = None,
) -> Operation:
    """An operation as a pod writes it, the reply that is due to a click included."""
    scope = SCOPE if wrong is None else FOREIGN[wrong]
    name = f"{question}.{number}"
    planned = PlannedOperation(name, int(pod[-1]) - 1, kind, question, scope, wrong, reopens=reopens, limit=limit)
    reply = None
    if kind is DELIVER:
        planned = replace(planned, value=value, ask_number=ask_number)
    if kind is CLAIM:
        planned = replace(planned, delivery_key=key or f"key-{number}", value=value, ask_number=ask_number)
        reply = "answered" if outcome in (Outcome.OK, Outcome.REPEATED) else str(reported.reason or "cannot_serve")
    return Operation(pod, number, planned, started, ended, outcome, reported, reply)


def lost(lawful: Operation, *, ended: int | None = None) -> Operation:
    """The same operation, of which nobody saw what came of it."""
    return replace(
        lawful, outcome=Outcome.UNKNOWN, reported=Reported(), ended_ns=ended, reply=None, detail="connection lost"
    )


def refused(lawful: Operation, reported: Reported) -> Operation:
    return replace(lawful, outcome=Outcome.REFUSED, reported=reported, reply=reported.reason)


def won(lawful: Operation, reported: Reported | None = None, outcome: Outcome = Outcome.OK) -> Operation:
    return replace(lawful, outcome=outcome, reported=reported or victory(), reply="answered")


WINNER = operation(0, CLAIM, Outcome.OK, 100, 200, victory(), key="key-a")
LOSER = operation(1, CLAIM, Outcome.REFUSED, 150, 300, DEFEAT, pod="pod-2", key="key-b", value="no")
REPEAT = operation(2, CLAIM, Outcome.REPEATED, 210, 260, victory(), pod="pod-2", key="key-a")
WRONG_USER = operation(3, CLAIM, Outcome.REFUSED, 90, 180, Reported(Reason.NOT_YOURS), pod="pod-2", wrong=Wrong.USER)
WRONG_CONNECTION = operation(4, CLAIM, Outcome.REFUSED, 90, 210, UNHEARD_OF, wrong=Wrong.CONNECTION)
WRONG_ORGANIZATION = operation(5, CLAIM, Outcome.REFUSED, 250, 280, UNHEARD_OF, wrong=Wrong.ORGANIZATION)
STORED_AGAIN = operation(6, PUT, Outcome.REFUSED, 220, 230, Reported(Reason.ALREADY_ANSWERED), pod="pod-2")
FOREIGN_PUT = operation(7, PUT, Outcome.REFUSED, 95, 105, Reported(Reason.OTHER_SCOPE), wrong=Wrong.USER)
ON_COUNTED = (WINNER, LOSER, REPEAT, WRONG_USER, WRONG_CONNECTION, WRONG_ORGANIZATION, STORED_AGAIN, FOREIGN_PUT)

# The extra question's life: put twice, won, asked again, deleted, put, swept; the claims in between lose.
X_PUT = operation(10, PUT, Outcome.OK, 1000, 1010, stored("created", 1, CREATED), question="x", reopens=True)
X_REFRESH = operation(11, PUT, Outcome.OK, 1005, 1015, stored("refreshed"), pod="pod-2", question="x", reopens=True)
X_WINNER = operation(12, CLAIM, Outcome.OK, 1020, 1030, victory(), question="x", key="key-x")
X_LOSER = operation(13, CLAIM, Outcome.REFUSED, 1020, 1040, DEFEAT, pod="pod-2", question="x", value="no")
X_REOPEN = operation(14, PUT, Outcome.OK, 1050, 1060, stored("reopened", 2, REOPENED), question="x", reopens=True)
X_LATE = operation(
    15, CLAIM, Outcome.REFUSED, 1062, 1068, DEFEAT, pod="pod-2", question="x", key="key-late", value="no"
)
X_DELETE = operation(16, DELETE, Outcome.OK, 1070, 1080, pod="pod-2", question="x")
X_TOO_LATE = operation(17, CLAIM, Outcome.REFUSED, 1090, 1095, UNHEARD_OF, question="x")
X_PUT_AGAIN = operation(
    18, PUT, Outcome.OK, 1100, 1110, stored("created", 3, CREATED_AGAIN), question="x", reopens=True
)
X_SWEEP = operation(19, SWEEP, Outcome.OK, 1120, 1130, Reported(at=STALE, ids=("x",)), question="x", limit=5)
X_KEPT = operation(22, DELETE, Outcome.REFUSED, 1070, 1080, Reported(Reason.UNDELIVERED), pod="pod-2", question="x")
X_GONE = operation(20, DELETE, Outcome.REFUSED, 1140, 1150, NO_SUCH_ROW, question="x")
# X_LATE comes after the reopening, so the button that it presses is that of an asking that is over.
ON_EXTRA = (
    *(X_PUT, X_REFRESH, X_WINNER, X_LOSER, X_REOPEN, X_LATE),
    *(X_DELETE, X_TOO_LATE, X_PUT_AGAIN, X_SWEEP, X_GONE),
)

ASKED = RacedQuestion("q", SCOPE, PAYLOAD, "C1", ask_number=1)
EXTRA = RacedQuestion("x", SCOPE, PAYLOAD, "C2", is_extra=True)
ROW = Row("q", SCOPE, PAYLOAD, WON_AT, 1, "yes", "key-a")
UNCLAIMED = replace(ROW, claimed_at=None, answer=None, delivery_key=None)
X_ROW = replace(ROW, id="x", delivery_key="key-x")
HANDED = HandOver("pod-1", "q", 1, "yes", "U1", "C1")
X_HANDED = replace(HANDED, question_id="x", conversation_id="C2")

LAWFUL = History(
    (ASKED, EXTRA),
    (*ON_COUNTED, *ON_EXTRA),
    (HANDED, X_HANDED),
    (ROW,),
    planned_kinds=frozenset(OperationKind) - {DELIVER, ASK},
    stale_after=STALE_AFTER,
)

# The same with answers that the pods deliver, the counted one by another pod than it was claimed by.
DELIVERED = operation(30, DELIVER, Outcome.OK, 205, 240, pod="pod-2")
X_DELIVERED = operation(31, DELIVER, Outcome.OK, 1032, 1045, question="x")
DELIVERING = replace(
    LAWFUL,
    questions=(replace(ASKED, delivers=True), replace(EXTRA, delivers=True)),
    operations=(*LAWFUL.operations, DELIVERED, X_DELIVERED),
    planned_kinds=frozenset(OperationKind) - {ASK},
)


# An answer that another application has to deliver.
BESIDE_ANOTHER = replace(
    LAWFUL,
    questions=(*LAWFUL.questions, replace(ASKED, id="o", is_of_another_application=True)),
    rows=(ROW, replace(ROW, id="o", undelivered=True)),
)


# Somebody asked this one and waited for its answer.
A_ASKED = operation(70, ASK, Outcome.OK, 2000, 2050, Reported(answer="yes", ask_number=7), question="w")
A_WON = operation(71, CLAIM, Outcome.OK, 2020, 2030, victory(ask_number=7), question="w", key="key-w", ask_number=7)
A_HANDED = replace(HANDED, question_id="w", ask_number=7, by_asker=True)
AWAITED = replace(
    LAWFUL,
    questions=(*LAWFUL.questions, replace(EXTRA, id="w", conversation_id="C1", delivers=True, is_awaited=True)),
    operations=(*LAWFUL.operations, A_ASKED, A_WON),
    hand_overs=(*LAWFUL.hand_overs, A_HANDED),
    rows=(ROW, replace(ROW, id="w", ask_number=7, delivery_key="key-w")),
    planned_kinds=frozenset(OperationKind) - {DELIVER},
)


# Somebody held rows of acme while globex was clicked.
IN_GLOBEX = Scope("globex", "slack", "U1")
N_WON = operation(80, CLAIM, Outcome.OK, 3020, 3030, victory(), question="n", key="key-n")
N_WON = replace(N_WON, planned=replace(N_WON.planned, scope=IN_GLOBEX))
N_DELIVERED = operation(82, DELIVER, Outcome.OK, 3040, 3050, question="n")
N_DELIVERED = replace(N_DELIVERED, planned=replace(N_DELIVERED.planned, scope=IN_GLOBEX))
NEIGHBOURED = replace(
    LAWFUL,
    questions=(*LAWFUL.questions, replace(ASKED, id="n", scope=IN_GLOBEX, delivers=True)),
    hand_overs=(*LAWFUL.hand_overs, replace(HANDED, question_id="n")),
    operations=(*LAWFUL.operations, N_WON, N_DELIVERED),
    rows=(ROW, replace(ROW, id="n", scope=IN_GLOBEX, delivery_key="key-n")),
    faults=(Fault(0, FaultKind.LOCK, None, 3000, 3100, landed=True, organization_id="acme"),),
)


def having(*changed: Operation, history: History = LAWFUL) -> History:
    """The history with these operations, each in the place of the one of its number or added."""
    operations = {each.number: each for each in history.operations} | {each.number: each for each in changed}
    return replace(history, operations=tuple(operations.values()))


def without(*dropped: Operation, history: History = LAWFUL) -> History:
    return replace(history, operations=tuple(each for each in history.operations if each not in dropped))


def only_extra(*operations: Operation, row: Row | None = None, hand_overs: tuple[HandOver, ...] = ()) -> History:
    """The counted question as it was, and these operations alone on the extra one."""
    rows = (ROW,) if row is None else (ROW, row)
    return replace(LAWFUL, operations=(*ON_COUNTED, *operations), rows=rows, hand_overs=(HANDED, *hand_overs))


def with_row(**fields: object) -> History:
    return replace(LAWFUL, rows=(replace(ROW, **fields),))  # type: ignore[arg-type]


def delivering(*hand_overs: HandOver) -> History:
    return replace(DELIVERING, hand_overs=hand_overs)


def handing(*hand_overs: HandOver) -> History:
    return replace(LAWFUL, hand_overs=hand_overs)


def laws_broken(history: History) -> set[str]:
    return {violation.law for violation in judge(history).violations}


def verdicts(history: History) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in judge(history).checks}


def test_a_lawful_history_passes() -> None:
    judgement = judge(LAWFUL)

    assert (judgement.verdict, judgement.violations, judgement.reasons) == ("pass", (), ())
    assert verdicts(LAWFUL) == dict.fromkeys(CHECKS, Verdict.PASS) | {"asker_or_pods": Verdict.SKIPPED}
    assert judgement.contended == 1


# The claim that comes back under another key, its first try unknown, is another press.
NEW_KEY = replace(LOSER, planned=replace(WINNER.planned, delivery_key="key-a-again"), number=30)
X_SECOND = operation(31, CLAIM, Outcome.OK, 1020, 1040, victory(), pod="pod-2", question="x", value="no")
# Whichever asking was open by then.
OPEN = replace(victory(), ask_number=None)
AFTER_THE_DELETE = operation(32, CLAIM, Outcome.OK, 1090, 1094, OPEN, question="x", key="key-z", ask_number=None)
AFTER_THE_SWEEP = operation(33, CLAIM, Outcome.OK, 1135, 1138, OPEN, question="x", key="key-z", ask_number=None)
WON_AGAIN = operation(
    60, CLAIM, Outcome.OK, 1111, 1115, victory(ask_number=3), question="x", key="key-again", ask_number=3
)
X_STRANGER = operation(34, CLAIM, Outcome.REFUSED, 1025, 1035, UNHEARD_OF, question="x", wrong=Wrong.ORGANIZATION)
Y_EXTRA = replace(EXTRA, id="y")
Y_PUT = operation(40, PUT, Outcome.OK, 1100, 1110, stored("created", 1, CREATED_AGAIN), question="y", reopens=True)


def sweeping(**reported: object) -> Operation:
    return replace(X_SWEEP, reported=replace(X_SWEEP.reported, **reported))  # type: ignore[arg-type]


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
        replace(BESIDE_ANOTHER, rows=(ROW, replace(ROW, id="o"))),
    ),
    "another application's row is gone": ("only_its_application", replace(BESIDE_ANOTHER, rows=(ROW,))),
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


@pytest.mark.parametrize(("law", "history"), LAWLESS.values(), ids=LAWLESS.keys())
def test_a_broken_law_is_named(law: str, history: History) -> None:
    assert law in laws_broken(history)
    assert judge(history).verdict == "fail"
    assert verdicts(history)[law] == "fail"


def test_every_check_has_been_seen_to_fail() -> None:
    assert {law for law, _ in LAWLESS.values()} == set(CHECKS)


@pytest.mark.parametrize(
    "lie",
    [
        "a foreign put gets through",
        "a loser is told another time",
        "a wrong user is told who answered",
        "the winner is given another payload",
        "the answer is never handed over",
        "two answers are handed over under one key",
        "two puts both create the row",
        "two deletes both take one row",
        "an extra question's row is gone though nobody took it",
        "a sweep takes a young row",
        "a sweep takes a row that is exactly of the maximum age",
        "a sweep takes a row that was asked again since it was stale",
        "a sweep takes an answer that is not delivered",
        "a sweep takes more than its limit",
        "a sweep takes a row that is not the run's",
        "a row is left behind",
    ],
)
def test_one_lie_breaks_one_law(lie: str) -> None:
    law, history = LAWLESS[lie]

    assert laws_broken(history) - {"linearizable"} == {law} - {"linearizable"}


def test_a_violation_names_its_question_and_its_operations() -> None:
    (violation,) = [each for each in judge(having(won(LOSER))).violations if each.law == "single_winner"]

    assert violation.question_id == "q"
    assert violation.detail == "2 clicks were told that they won: claim q.0 of pod-1, claim q.1 of pod-2"


def test_what_is_left_behind_is_counted_and_not_listed_without_end() -> None:
    history = replace(LAWFUL, left_behind=tuple(f"question {each}" for each in range(7)))

    (violation,) = judge(history).violations
    assert violation.question_id is None
    assert violation.detail.endswith("question 4 and 2 more")


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
        having(refused(A_ASKED, Reported(Reason.CANCELLED)), history=AWAITED),
        hand_overs=(*LAWFUL.hand_overs, replace(A_HANDED, by_asker=False)),
    ),
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


# What proves nothing, and how the judgement says so.
X_ROW_LEFT = replace(UNCLAIMED, id="x")
VACUOUS = {
    "one after the other": ("no question was contended", having(replace(LOSER, started_ns=200))),
    "on one pod": ("no question was contended", having(replace(LOSER, pod="pod-1"), history=without(REPEAT))),
    "only strangers and an extra question's clicks were in flight": ("no question was contended", without(LOSER)),
    "only the same press was in flight twice": (
        "no question was contended",
        having(replace(REPEAT, started_ns=110), history=without(LOSER)),
    ),
    "nobody saw the rival's end": ("no question was contended", having(lost(LOSER))),
    "no put": ("no put succeeded", replace(LAWFUL, operations=ON_COUNTED, hand_overs=(HANDED,))),
    "no claim": (
        "no claim succeeded",
        replace(
            LAWFUL,
            operations=(lost(WINNER, ended=200), lost(LOSER, ended=300), X_PUT, X_DELETE, X_PUT_AGAIN, X_SWEEP),
            rows=(UNCLAIMED,),
            hand_overs=(),
        ),
    ),
    "no delete": ("no delete succeeded", only_extra(X_PUT, X_SWEEP)),
    "no sweep": ("no sweep succeeded", only_extra(X_PUT, X_DELETE)),
    "no sweep that took something": ("no sweep succeeded", only_extra(X_PUT, X_DELETE, sweeping(ids=()))),
    "a fault did not land": (
        "the fault kill (after sending) never landed: the pod was gone",
        replace(LAWFUL, faults=(Fault(0, FaultKind.KILL, Moment.AFTER_SENDING, 1, detail="the pod was gone"),)),
    ),
    "a fault was not struck": (
        "the fault sweep never landed: it was not struck",
        replace(LAWFUL, faults=(Fault(0, FaultKind.SWEEP, None, 1),)),
    ),
    "a click's fate was never learnt": (
        "clicks whose outcome was never learnt: 1, the first claim q.60 of pod-2: connection lost",
        having(lost(operation(60, CLAIM, Outcome.UNKNOWN, 140, None, pod="pod-2"))),
    ),
    "a click was asked again and failed": (
        "clicks whose outcome was never learnt: 1",
        having(
            lost(operation(60, CLAIM, Outcome.UNKNOWN, 140, None)),
            replace(operation(60, CLAIM, Outcome.FAILED, 160, 170), number=61),
        ),
    ),
    "an operation failed without a fault": (
        "operations that failed: 1, the first put x.62 of pod-1: the pool was full",
        having(replace(operation(62, PUT, Outcome.FAILED, 1131, 1134, question="x"), detail="the pool was full")),
    ),
    "the run says so itself": (
        "pod-1 was ended by SIGKILL",
        replace(LAWFUL, reasons=("pod-1 was ended by SIGKILL",)),
    ),
}


@pytest.mark.parametrize(("reason", "history"), VACUOUS.values(), ids=VACUOUS.keys())
def test_what_proves_nothing_is_inconclusive_and_says_why(reason: str, history: History) -> None:
    judgement = judge(history)

    assert (judgement.verdict, judgement.violations) == ("inconclusive", ())
    assert any(said.startswith(reason) for said in judgement.reasons), judgement.reasons


LANDED = Fault(0, FaultKind.DISCONNECT, Moment.AFTER_COMMIT, 1, 2, landed=True)


def test_operations_may_fail_under_a_fault() -> None:
    failed = operation(62, CLAIM, Outcome.FAILED, 110, 120)

    assert judge(replace(having(failed), faults=(LANDED,))).verdict == "pass"


def test_an_operation_other_than_a_click_may_stay_unknown_under_a_fault() -> None:
    unknown = lost(operation(62, DELETE, Outcome.UNKNOWN, 1145, None, question="x"))

    assert judge(replace(having(unknown), faults=(LANDED,))).verdict == "pass"


def test_a_question_with_too_many_orders_is_undecided_and_reports_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearization, "MOST_CONFIGURATIONS", 3)

    judgement = judge(LAWFUL)

    assert (judgement.verdict, judgement.violations) == ("inconclusive", ())
    assert "questions with too many orders to search: 1" in judgement.reasons


def test_a_sweep_is_not_accused_where_the_search_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Any order explains the second row's sweep, one alone that of the first, which was stale.
    history = only_extra(
        replace(X_PUT, started_ns=1001, ended_ns=1200),
        replace(X_DELETE, started_ns=1002, ended_ns=1200),
        replace(X_PUT_AGAIN, started_ns=1003, ended_ns=1200),
        replace(sweeping(at=CREATED + timedelta(minutes=1)), started_ns=1004, ended_ns=1200),
    )
    accused: list[Violation] = []
    for most in range(1, 20):
        monkeypatch.setattr(linearization, "MOST_CONFIGURATIONS", most)
        accused += judge(history).violations

    assert accused == []


def test_a_broken_law_outweighs_a_reason() -> None:
    assert judge(replace(with_row(answer="no"), reasons=("pod-1 was ended by SIGKILL",))).verdict == "fail"


@pytest.mark.parametrize(
    ("kinds", "skipped"),
    [
        ({CLAIM}, {"terminal_stays_terminal", "sweep_took_only_stale_rows", "sweep_was_bounded"}),
        ({PUT, CLAIM, DELETE}, {"sweep_took_only_stale_rows", "sweep_was_bounded"}),
        ({PUT, CLAIM, SWEEP}, set()),
        (set(OperationKind) - {ASK}, set()),
    ],
)
def test_a_check_is_skipped_when_the_plan_held_nothing_for_it(kinds: set[OperationKind], skipped: set[str]) -> None:
    found = verdicts(replace(LAWFUL, planned_kinds=frozenset(kinds)))

    assert {name for name, verdict in found.items() if verdict == "skipped"} == skipped | {"asker_or_pods"}
    assert {verdict for name, verdict in found.items() if name not in skipped | {"asker_or_pods"}} == {"pass"}


def test_what_a_check_finds_counts_whatever_was_planned() -> None:
    history = replace(having(sweeping(ids=("x", "theirs"))), planned_kinds=frozenset({CLAIM}))

    assert verdicts(history)["sweep_was_bounded"] == "fail"
