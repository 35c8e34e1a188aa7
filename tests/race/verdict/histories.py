"""A lawful history written by hand, and how a test changes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pendingctl.model import Scope
from pendingctl.payload import JsonObject
from pendingctl.race.history.history import (
    CardEdit,
    CardPost,
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
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.verdict.checker import Verdict, judge

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

PUT, CLAIM, DELETE, SWEEP, DELIVER, ASK, WITHDRAW = OperationKind
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


def pressing(winner: Operation, option: int) -> Operation:
    """The click that won pressed the button at this place, and was answered as it was."""
    planned = replace(winner.planned, ask_number=1, option=option)
    return replace(winner, planned=planned, reported=replace(winner.reported, answer=winner.planned.value))


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
    planned_kinds=frozenset(OperationKind) - {DELIVER, ASK, WITHDRAW},
    stale_after=STALE_AFTER,
)

# The same with answers that the pods deliver, the counted one by another pod than it was claimed by.
DELIVERED = operation(30, DELIVER, Outcome.OK, 205, 240, pod="pod-2")
X_DELIVERED = operation(31, DELIVER, Outcome.OK, 1032, 1045, question="x")
DELIVERING = replace(
    LAWFUL,
    questions=(replace(ASKED, delivers=True), replace(EXTRA, delivers=True)),
    operations=(*LAWFUL.operations, DELIVERED, X_DELIVERED),
    planned_kinds=frozenset(OperationKind) - {ASK, WITHDRAW},
)


# An answer that another application has to deliver, and a question of it that is open; both are clicked.
OTHERS = replace(ASKED, id="o", is_of_another_application=True)
O_CLICKED = operation(50, CLAIM, Outcome.REFUSED, 4000, 4010, Reported(Reason.OTHER_APPLICATION), question="o")
O_CLICKED = replace(O_CLICKED, reply="cannot_serve")
OPEN_CLICKED = replace(O_CLICKED, number=51, planned=replace(O_CLICKED.planned, question_id="o-open"))
BESIDE_ANOTHER = replace(
    LAWFUL,
    questions=(*LAWFUL.questions, replace(OTHERS, answer="yes"), replace(OTHERS, id="o-open")),
    operations=(*LAWFUL.operations, O_CLICKED, OPEN_CLICKED),
    rows=(ROW, replace(ROW, id="o", undelivered=True), replace(UNCLAIMED, id="o-open")),
)


# An answer that nobody can read.
STUCK = replace(ROW, id="p", undelivered=True, is_stuck=True, error="the payload is no object")
POISONED = replace(LAWFUL, questions=(*LAWFUL.questions, replace(ASKED, id="p", is_poisoned=True)), rows=(ROW, STUCK))


# A question whose card was posted, then changed, then answered; the old card's edit landed last.
C_POST = operation(90, PUT, Outcome.OK, 5000, 5010, stored("created", 20, CREATED), question="c")
C_CHANGE = operation(91, PUT, Outcome.OK, 5020, 5030, stored("superseded", 21, REOPENED), question="c")
C_CHANGE = replace(C_CHANGE, planned=replace(C_CHANGE.planned, request_key="event", edition=1))
C_WON = operation(92, CLAIM, Outcome.OK, 5040, 5050, victory(ask_number=21), question="c", key="key-c", ask_number=21)
C_WON = replace(C_WON, reported=replace(C_WON.reported, payload=OTHER_PAYLOAD))
OLD_CARD, CARD = CardPost("pod-1", "pod-1 0", "c", 20), CardPost("pod-2", "pod-2 0", "c", 21)
EXPIRED = CardEdit("pod-1", "pod-2 0", "c", "Deploy!\nNobody has answered yet.", 5035)
SHOWN = CardEdit("pod-2", "pod-2 0", "c", "Deploy!\nAnswered by U1: yes (2026-01-01 12:00 UTC)", 5060)
CHANGED = CardEdit("pod-2", "pod-1 0", "c", "Deploy?\nThis question has changed; answer the newer card.", 5070)
SHOWING = replace(
    LAWFUL,
    questions=(*LAWFUL.questions, replace(EXTRA, id="c", editions=(OTHER_PAYLOAD,))),
    operations=(*LAWFUL.operations, C_POST, C_CHANGE, C_WON),
    hand_overs=(*LAWFUL.hand_overs, replace(HANDED, question_id="c", ask_number=21, conversation_id="C2")),
    rows=(ROW, replace(ROW, id="c", payload=OTHER_PAYLOAD, ask_number=21, delivery_key="key-c")),
    card_posts=(OLD_CARD, CARD),
    card_edits=(SHOWN, CHANGED, EXPIRED),
)


# Somebody asked this one and waited for its answer.
A_PUT = operation(69, PUT, Outcome.OK, 2000, 2010, stored("created", 7, CREATED), question="w")
A_ASKED = operation(70, ASK, Outcome.OK, 2000, 2050, Reported(answer="yes", ask_number=7), question="w")
A_WON = operation(71, CLAIM, Outcome.OK, 2020, 2030, victory(ask_number=7), question="w", key="key-w", ask_number=7)
A_DELIVERED = operation(73, DELIVER, Outcome.OK, 2060, 2070, question="w", ask_number=7)
A_HANDED = replace(HANDED, question_id="w", ask_number=7, by_asker=True)
AWAITED = replace(
    LAWFUL,
    questions=(*LAWFUL.questions, replace(EXTRA, id="w", conversation_id="C1", delivers=True, is_awaited=True)),
    operations=(*LAWFUL.operations, A_PUT, A_ASKED, A_WON),
    hand_overs=(*LAWFUL.hand_overs, A_HANDED),
    rows=(ROW, replace(ROW, id="w", ask_number=7, delivery_key="key-w")),
    planned_kinds=frozenset(OperationKind) - {DELIVER, WITHDRAW},
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


# Whichever asking was open by then.
OPEN = replace(victory(), ask_number=None)
AFTER_THE_DELETE = operation(32, CLAIM, Outcome.OK, 1090, 1094, OPEN, question="x", key="key-z", ask_number=None)
AFTER_THE_SWEEP = operation(33, CLAIM, Outcome.OK, 1135, 1138, OPEN, question="x", key="key-z", ask_number=None)


def sweeping(**reported: object) -> Operation:
    return replace(X_SWEEP, reported=replace(X_SWEEP.reported, **reported))  # type: ignore[arg-type]
