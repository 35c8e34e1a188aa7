"""A history with an example of each kind of record, and how a race writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pendingctl.model import Scope
from pendingctl.payload import JsonObject
from pendingctl.race.history.files import (
    FAULTS,
    HistoryFile,
    card_record,
    end_record,
    fault_record,
    hand_over_record,
    reminder_record,
    start_record,
    write_end,
    write_questions,
    write_race,
)
from pendingctl.race.history.history import (
    AppendedEvent,
    CardEdit,
    CardPost,
    Fault,
    HandOver,
    History,
    Operation,
    Outcome,
    RacedQuestion,
    RacedSchedule,
    Reason,
    ReminderPost,
    Reported,
    Row,
)
from pendingctl.race.plan.operations import Fate, OperationKind, PlannedOperation, PostTrouble, Transaction, Wrong
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.trail import Step, TrailEntry

SETTINGS = RaceSettings(
    pods=2,
    questions=20,
    clicks=8,
    seed=2**70,
    implementation="no-user",
    organization_id="Käse ⏳",
    faults=(FaultKind.SWEEP, FaultKind.KILL),
    duration_seconds=1.5,
)
SCOPE = Scope("acme", "slack", "U1")
PAYLOAD: JsonObject = {"question": {"text": 'später\n\u2028"x" \\', "options": ["yes", "no"]}}
AT = datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
PUT, CLAIM, DELETE, SWEEP, DELIVER, ASK, WITHDRAW = OperationKind


def planned(kind: OperationKind = CLAIM, name: str = "q0.1", wrong: Wrong | None = None) -> PlannedOperation:
    return PlannedOperation(name, 1, kind, "run-q0", SCOPE, wrong)


CLICK = replace(planned(), delivery_key="key", value="später ⏳", ask_number=1)
EACH_OF_A_KIND = (
    Operation(
        "pod-1",
        0,
        CLICK,
        10,
        20,
        Outcome.OK,
        Reported(at=AT, payload=PAYLOAD, ask_number=1),
        "answered",
        4711,
    ),
    Operation("pod-1", 1, CLICK, 11, 21, Outcome.REPEATED, Reported(at=AT, payload={}, ask_number=2), "answered", 0),
    Operation(
        "pod-1",
        2,
        replace(CLICK, wrong=Wrong.CONNECTION),
        12,
        22,
        Outcome.REFUSED,
        Reported(Reason.ALREADY_ANSWERED, "U1", "", AT),
        "already_answered",
    ),
    Operation(
        "pod-1",
        3,
        replace(CLICK, option=1),
        13,
        23,
        Outcome.FAILED,
        reply="cannot_serve",
        detail="statement timeout\nat line 1",
    ),
    Operation("pod-1", 4, CLICK, 14, 24, Outcome.UNKNOWN, detail="connection lost"),
    Operation("pod-1", 5, replace(planned(PUT), reopens=True), 15, 25, Outcome.OK, Reported(put="created", at=AT)),
    Operation("pod-1", 6, planned(PUT), 16, 26, Outcome.REFUSED, Reported(Reason.OTHER_SCOPE)),
    Operation("pod-1", 7, planned(DELETE), 17, 27, Outcome.OK),
    Operation("pod-1", 8, planned(DELETE), 18, 28, Outcome.REFUSED, Reported(Reason.NO_SUCH_ROW)),
    Operation(
        "pod-1", 9, replace(planned(SWEEP), limit=5), 19, 29, Outcome.OK, Reported(at=AT, ids=("run-x0", "run-x1"))
    ),
    Operation("pod-1", 10, replace(planned(SWEEP), limit=1), 20, 30, Outcome.OK, Reported(at=AT)),
    Operation("pod-1", 11, replace(planned(DELIVER), value="no", ask_number=2), 21, 31, Outcome.OK),
    Operation("pod-1", 12, planned(DELIVER), 22, 32, Outcome.REFUSED, Reported(Reason.LEASE_LOST)),
    Operation(
        "pod-1", 14, replace(planned(ASK), fate=Fate.CANCELLED), 23, 33, Outcome.REFUSED, Reported(Reason.CANCELLED)
    ),
    Operation("pod-1", 16, planned(WITHDRAW), 23, 33, Outcome.REFUSED, Reported(Reason.WITHDRAWN)),
    Operation(
        "pod-1",
        15,
        replace(planned(PUT), request_key="key", edition=1, posts=True, trouble=PostTrouble.SHOWN),
        24,
        34,
        Outcome.OK,
        Reported(put="superseded", at=AT, ask_number=2**30),
    ),
    Operation(
        "pod-1",
        17,
        replace(planned(PUT), transaction=Transaction.ROLLS_BACK),
        25,
        35,
        Outcome.REFUSED,
        Reported(Reason.ROLLED_BACK),
    ),
)
NEVER_ENDED = Operation("pod-1", 13, CLICK, 31, None, Outcome.UNKNOWN, detail="its end was never seen")

HISTORY = History(
    questions=(
        RacedQuestion("run-q0", SCOPE, PAYLOAD, "C1"),
        RacedQuestion(
            "run-x0", Scope("globex", "teams", "U2"), {}, "", is_extra=True, delivers=True, editions=(PAYLOAD,)
        ),
        RacedQuestion("run-w0", SCOPE, PAYLOAD, "", is_extra=True, is_awaited=True),
        RacedQuestion("run-o0", SCOPE, PAYLOAD, "", ask_number=2**30, is_of_another_application=True, answer="no"),
        RacedQuestion("run-p0", SCOPE, PAYLOAD, "", answer="no", is_poisoned=True),
        RacedQuestion(
            "run-d0",
            SCOPE,
            PAYLOAD,
            "C1",
            is_extra=True,
            schedule=RacedSchedule(500_000_000, "no", 250_000_000, 2, 400_000_000, "später ⏳"),
            heard=("answered", "expired"),
            application="run ⏳",
            stream="run",
        ),
    ),
    operations=(*EACH_OF_A_KIND, NEVER_ENDED, replace(EACH_OF_A_KIND[0], pod="pod-2")),
    hand_overs=(
        HandOver("pod-1", "run-q0", 1, "später ⏳", "U1", "C1"),
        HandOver("pod-2", "run-x0", 2, None, "U2", ""),
        HandOver("pod-2", "run-w0", 3, "no", "U2", "", by_asker=True),
        HandOver("pod-2", "run-d0", 4, None, "U1", "C1", outcome="expired"),
    ),
    rows=(
        Row("run-q0", SCOPE, PAYLOAD, AT, 1, "später ⏳", "key", undelivered=True),
        Row("run-x0", Scope("globex", "teams", "U2"), {}, None, 2, None, None, withdrawn=True),
        Row("run-p0", SCOPE, {}, AT, 3, "no", "key", undelivered=True, is_stuck=True, error="it has no object"),
        Row("run-d0", SCOPE, {}, AT, 3, "no", None, outcome="defaulted", expires_at=AT - timedelta(seconds=1)),
        Row("run-d1", SCOPE, {}, AT, 3, "no", "key", outcome="answered", answered_by="U2"),
        Row("run-d2", SCOPE, {}, None, 3, None, None, not_shown="the conversation is gone"),
        Row(
            "run-d3",
            SCOPE,
            {},
            AT,
            3,
            "no",
            "key",
            outcome="answered",
            card_shows_the_end=True,
            has_cards_to_retire=True,
            pod="pod-2",
            is_posted=True,
        ),
    ),
    planned_kinds=frozenset({PUT, CLAIM}),
    stale_after=timedelta(milliseconds=30),
    faults=(
        Fault(0, FaultKind.KILL, Moment.AFTER_COMMIT, 5, 6, landed=True, detail="pod-1 by SIGKILL"),
        Fault(1, FaultKind.SKEW, None, 5),
        Fault(2, FaultKind.LOCK, None, 5, 6, landed=True, organization_id="acme"),
    ),
    left_behind=("question run-q0",),
    reasons=("pod-2 was ended by SIGKILL",),
    card_posts=(
        CardPost("pod-1", "pod-1 0", "run-c0", 2**30),
        CardPost("pod-1", "pod-1 1", "run-d0", 3, is_lost=True, can_be_found=True),
    ),
    card_edits=(CardEdit("pod-2", "pod-1 0", "run-c0", "später\nAnswered", 40),),
    reminders=(ReminderPost("pod-2", "run-d0", 3, is_escalation=True, at_ns=41),),
    trail=(
        TrailEntry(
            id=2**40,
            at=AT,
            question_id="run-q0",
            ask_number=2**30,
            organization_id="acme",
            step=Step.ASKED,
            pod="pod-1",
            user_id="U1",
            connection_id="slack",
            application="run ⏳",
            request_key="key",
            attempt=1,
            presses=None,
            detail="created",
        ),
        TrailEntry(
            id=2**40 + 1,
            at=AT,
            question_id="run-q0",
            ask_number=None,
            organization_id="acme",
            step=Step.REFUSED,
            pod=None,
            user_id=None,
            connection_id=None,
            application=None,
            request_key=None,
            attempt=None,
            presses=3,
            detail="not_yours",
        ),
    ),
    events=(AppendedEvent("run-d0", 2**30), AppendedEvent("run-d0", 2**30, "defaulted", "später ⏳")),
)


def write(folder: Path, history: History, race: RaceSettings = SETTINGS, seconds: float = 1.25) -> None:
    """Write a history as the coordinator and its pods do."""
    write_race(folder, race)
    write_questions(folder, list(history.questions[:1]))
    write_questions(folder, list(history.questions[1:]))
    pods = {each.pod for each in history.operations} | {each.pod for each in history.hand_overs}
    for pod in pods:
        _write_pod(folder / f"{pod}.jsonl", pod, history)
    with written(folder / FAULTS) as file:
        for fault in history.faults:
            file.append(fault_record(replace(fault, ended_ns=None, landed=False, detail="")))
        for fault in history.faults:
            file.append(fault_record(fault))
    write_end(folder, history, seconds)


def _write_pod(path: Path, pod: str, history: History) -> None:
    """All operations are under way at the same time, and the last that began ends first."""
    operations = [each for each in history.operations if each.pod == pod]
    with written(path) as file:
        for each in operations:
            file.append(start_record(each.number, each.planned, each.started_ns))
        for each in reversed(operations):
            if each.ended_ns is not None:
                file.append(end_record(each))
        cards: list[CardPost | CardEdit] = [*history.card_posts, *history.card_edits]
        for card in cards:
            if card.pod == pod:
                file.append(card_record(card))
        for reminder in history.reminders:
            if reminder.pod == pod:
                file.append(reminder_record(reminder))
        for handed in history.hand_overs:
            if handed.pod == pod:
                file.append(hand_over_record(handed))


@contextmanager
def written(path: Path) -> Iterator[HistoryFile]:
    file = HistoryFile(path)
    yield file
    file.close()
