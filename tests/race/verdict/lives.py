"""A lawful history of questions that live in time: with a deadline, an escalation, reminders and cards of the pods."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pendingctl.race.history.history import (
    CardEdit,
    CardPost,
    History,
    Operation,
    Outcome,
    RacedSchedule,
    Reason,
    ReminderPost,
    Reported,
    Row,
)
from pendingctl.race.plan.operations import Transaction
from tests.race.verdict.histories import (
    CLAIM,
    DELIVER,
    EXTRA,
    HANDED,
    LAWFUL,
    PAYLOAD,
    PUT,
    SCOPE,
    WITHDRAW,
    WON_AT,
    operation,
    stored,
    victory,
)

ENDINGS = ("answered", "defaulted", "expired", "withdrawn")
OTHER = replace(SCOPE, expected_user_id="U9")


def shown(put: Operation, transaction: Transaction = Transaction.COMMITS) -> Operation:
    """A put by an application, which leaves the card to the pods."""
    return replace(put, planned=replace(put.planned, transaction=transaction))


def by_other(click: Operation) -> Operation:
    return replace(click, planned=replace(click.planned, scope=OTHER))


# A click comes after the deadline, between 7000 and 7010, and others when the default was the answer.
D_PUT = shown(operation(100, PUT, Outcome.OK, 6000, 6010, stored("created", 30), question="d"))
D_LATE = operation(
    101, CLAIM, Outcome.REFUSED, 7015, 7025, Reported(Reason.EXPIRED), question="d", pod="pod-2", ask_number=30
)
D_TOLD = operation(102, DELIVER, Outcome.OK, 7040, 7050, question="d", value="no", ask_number=30)
BY_DEFAULT = Reported(Reason.ALREADY_ANSWERED, None, "no", WON_AT)
D_LATER = operation(103, CLAIM, Outcome.REFUSED, 7060, 7070, BY_DEFAULT, question="d", ask_number=30)
D_WON = operation(
    104, CLAIM, Outcome.OK, 6990, 7005, victory(ask_number=30), question="d", key="key-d", value="no", ask_number=30
)
D_HANDED = replace(HANDED, question_id="d", ask_number=30, value="no", outcome="defaulted")
D_ROW = Row("d", SCOPE, PAYLOAD, WON_AT, 30, "no", None, outcome="defaulted", expires_at=WON_AT - timedelta(seconds=1))
D_CARD = CardPost("pod-1", "pod-1 5", "d", 30)
D_EDIT = CardEdit(
    "pod-2", "pod-1 5", "d", "Deploy?\nNobody answered in time; the answer is no (2026-01-01 12:00 UTC)", 7080
)

# One that was withdrawn.
E_PUT = shown(operation(110, PUT, Outcome.OK, 6000, 6010, stored("created", 31), question="e"))
E_WITHDRAWN = operation(111, WITHDRAW, Outcome.OK, 6900, 6910, question="e")
E_TOLD = replace(operation(112, DELIVER, Outcome.OK, 7040, 7050, question="e", ask_number=31))
E_TOLD = replace(E_TOLD, planned=replace(E_TOLD.planned, value=None))
E_HANDED = replace(HANDED, question_id="e", ask_number=31, value=None, outcome="withdrawn")
E_ROW = Row("e", SCOPE, PAYLOAD, None, 31, None, None, withdrawn=True, outcome="withdrawn")

# One that is escalated between 8100 and 8110, and reminded of.
S_PUT = shown(operation(120, PUT, Outcome.OK, 8000, 8010, stored("created", 32), question="s"))
S_EARLY = by_other(
    operation(121, CLAIM, Outcome.REFUSED, 8020, 8030, Reported(Reason.NOT_YOURS), question="s", ask_number=32)
)
S_WON = by_other(
    operation(122, CLAIM, Outcome.OK, 8105, 8130, victory(ask_number=32), question="s", key="key-s", ask_number=32)
)
BY_OTHER = Reported(Reason.ALREADY_ANSWERED, "U9", "yes", WON_AT)
S_LOST = operation(123, CLAIM, Outcome.REFUSED, 8140, 8150, BY_OTHER, question="s", pod="pod-2", ask_number=32)
S_TOLD = operation(124, DELIVER, Outcome.OK, 8160, 8170, question="s", ask_number=32)
S_HANDED = replace(HANDED, question_id="s", ask_number=32)
S_ROW = Row("s", SCOPE, PAYLOAD, WON_AT, 32, "yes", "key-s", outcome="answered", answered_by="U9")
S_CARD = CardPost("pod-1", "pod-1 6", "s", 32)
S_EDIT = CardEdit("pod-2", "pod-1 6", "s", "Deploy?\nAnswered by U9: yes (2026-01-01 12:00 UTC)", 8200)
REMINDED = ReminderPost("pod-1", "s", 32, is_escalation=False, at_ns=8041)
REMINDED_AGAIN = replace(REMINDED, pod="pod-2", at_ns=8085)
ESCALATED = replace(REMINDED, is_escalation=True, at_ns=8106)

# One whose put was rolled back, and one that is open, whose card is there although its pod does not know.
B_PUT = replace(
    shown(operation(130, PUT, Outcome.REFUSED, 9000, 9010, Reported(Reason.ROLLED_BACK), question="b")),
)
L_PUT = shown(operation(140, PUT, Outcome.OK, 9000, 9010, stored("created", 33), question="l"))
L_ROW = Row("l", SCOPE, PAYLOAD, None, 33, None, None)
L_LOST = CardPost("pod-1", "pod-1 7", "l", 33, is_lost=True)
L_CARD = CardPost("pod-2", "pod-2 0", "l", 33)

_LIVING = replace(EXTRA, conversation_id="C1", delivers=True, heard=ENDINGS)
LIVING = replace(
    LAWFUL,
    questions=(
        *LAWFUL.questions,
        replace(_LIVING, id="d", schedule=RacedSchedule(expires_in_ns=1_000, default="no")),
        replace(_LIVING, id="e", schedule=RacedSchedule(expires_in_ns=1_000)),
        replace(
            _LIVING,
            id="s",
            schedule=RacedSchedule(remind_every_ns=40, remind_at_most=2, escalate_after_ns=100, escalate_to="U9"),
        ),
        replace(_LIVING, id="b"),
        replace(_LIVING, id="l"),
    ),
    operations=(
        *LAWFUL.operations,
        *(D_PUT, D_LATE, D_TOLD, D_LATER),
        *(E_PUT, E_WITHDRAWN, E_TOLD),
        *(S_PUT, S_EARLY, S_WON, S_LOST, S_TOLD),
        *(B_PUT, L_PUT),
    ),
    hand_overs=(*LAWFUL.hand_overs, D_HANDED, E_HANDED, S_HANDED),
    rows=(*LAWFUL.rows, D_ROW, E_ROW, S_ROW, L_ROW),
    card_posts=(D_CARD, S_CARD, L_LOST, L_CARD),
    card_edits=(D_EDIT, S_EDIT),
    reminders=(REMINDED, REMINDED_AGAIN, ESCALATED),
)


def row_of(row: Row, **fields: object) -> History:
    """The history with this row changed."""
    changed = replace(row, **fields)  # type: ignore[arg-type]
    return replace(LIVING, rows=tuple(changed if each == row else each for each in LIVING.rows))
