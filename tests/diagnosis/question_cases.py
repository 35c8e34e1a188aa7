"""What can be the matter with a question, and what is to be said of it: a table, hence its length."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pendingctl import State
from pendingctl.diagnosis.findings import Verdict
from pendingctl.inspected import Lease, Leased, PendingInteraction, Unposted
from pendingctl.model import Outcome
from pendingctl.trail import Step, TrailEntry
from tests.diagnosis.histories import NOW, NUMBER, ago, asked, entry, leased, pressed, row

OK, WARN, FAIL, UNKNOWN = Verdict.OK, Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN
ERROR = "the worker answered 500"
LATER = NOW + timedelta(seconds=25)
WITHDRAW = "pendingctl withdraw q42 --org acme --connection slack --user U1"
REDELIVER = "pendingctl redeliver q42"
REPAIR = "pendingctl repair-cards q42"
DOCTOR = "pendingctl doctor"
START = "start its pods, or see why they fail: PendingStore(pool, application='')"


def ended(outcome: Outcome = Outcome.ANSWERED, seconds_ago: float = 60, **changed: Any) -> PendingInteraction:
    fields = {
        "outcome": outcome,
        "state": State.CLAIMED,
        "claimed_at": ago(seconds_ago),
        "answered_by": "U1" if outcome is Outcome.ANSWERED else None,
        "pod": "bot-2",
        "delivered_at": ago(seconds_ago - 0.25),
    }
    return row(**{**fields, **changed})


def undelivered(seconds_ago: float, **changed: Any) -> PendingInteraction:
    return ended(seconds_ago=seconds_ago, **{"state": State.UNDELIVERED, "delivered_at": None} | changed)


def answered(seconds_ago: float = 60) -> TrailEntry:
    return pressed(None, "U1", seconds_ago, step=Step.ANSWERED, pod="bot-2", presses=None)


@dataclass(frozen=True)
class Case:
    """What is known of a question, and parts of what is to be said of it: of the sentence, and of the remedies."""

    name: str
    row: PendingInteraction | None
    entries: tuple[TrailEntry, ...]
    verdict: Verdict
    sentence: tuple[str, ...]
    remedies: tuple[str, ...] = ()
    lease: Lease | None = None


UNPOSTED: dict[str, Any] = {"posted_at": None, "card": None}

OPEN = [
    Case(
        "nobody has pressed",
        row(),
        (asked(), entry(Step.POSTED, 590)),
        OK,
        ("it waits for U1", "its card was posted 9 min 50 s ago by bot-1", "no press has arrived since"),
        ("if U1 did press, the press has reached no pod", "pendingctl why --user U1 --org acme --since 1h"),
    ),
    Case(
        "escalated",
        row(escalate_to="U9", escalated_at=ago(5), escalate_at=ago(6)),
        (asked(),),
        OK,
        ("it waits for U1 and U9",),
    ),
    Case(
        "about to be posted",
        row(**UNPOSTED, unposted=Unposted.TO_BE_POSTED, post_due_at=NOW),
        (asked(1),),
        WARN,
        ("its card is to be posted now", "serves acme/slack"),
    ),
    Case(
        "nobody serves the connection",
        row(**UNPOSTED, unposted=Unposted.TO_BE_POSTED, post_due_at=ago(600)),
        (asked(),),
        FAIL,
        ("its card has been due for 10 min", "no live pod of application '' seems to serve acme/slack"),
        (START + ", and that it registers acme/slack", DOCTOR),
    ),
    Case(
        "a pod is posting",
        row(**UNPOSTED, unposted=Unposted.TO_BE_POSTED, post_due_at=LATER, post_attempts=1),
        (asked(10), entry(Step.POSTING, 5, attempt=1)),
        WARN,
        ("pod bot-2 is posting its card", "another pod tries in 25 s"),
        lease=leased(Leased.POST, 5, 25),
    ),
    Case(
        "attempts to post fail",
        row(
            **UNPOSTED, unposted=Unposted.TO_BE_POSTED, post_due_at=LATER, post_attempts=4, post_error="no such channel"
        ),
        (asked(), entry(Step.NOT_POSTED, 5, attempt=4, detail="no such channel")),
        WARN,
        ("4 attempts failed", "the next one is due in 25 s", "no such channel"),
        (REPAIR,),
    ),
    Case(
        "posted again by hand",
        row(**UNPOSTED, unposted=Unposted.TO_BE_POSTED, post_due_at=NOW, post_error="no such channel"),
        (asked(), entry(Step.GIVEN_UP, 9, attempt=20, detail="no such channel"), entry(Step.REPAIRED, 1)),
        WARN,
        ("its card is to be posted again now, by a pod that serves acme/slack; the last error: no such channel",),
    ),
    Case(
        "given up",
        row(**UNPOSTED, unposted=Unposted.GIVEN_UP, post_attempts=20, post_error="no such channel"),
        (asked(), entry(Step.GIVEN_UP, 5, attempt=20, detail="no such channel")),
        FAIL,
        ("its card could not be posted, and nobody sees the question", "20 attempts", "no such channel"),
        (REPAIR,),
    ),
    Case(
        "its caller shows it, and never noted a card",
        row(**UNPOSTED, unposted=Unposted.BY_CALLER),
        (asked(),),
        WARN,
        ("whoever stored it shows it, and no card of it is known",),
        ("pendingctl enqueue … --id q42 --show",),
    ),
    Case(
        "its caller shows it, and somebody pressed",
        row(**UNPOSTED, unposted=Unposted.BY_CALLER),
        (asked(), pressed("not_yours", "U2")),
        WARN,
        ("it asks U1, and somebody else pressed: U2 pressed once",),
    ),
    Case(
        "stale",
        row(state=State.STALE, age_seconds=90_000.0),
        (asked(),),
        WARN,
        ("nobody has answered for 1 d 1 h", "stale", "a sweep will delete it"),
        (WITHDRAW,),
    ),
    Case(
        "past its deadline",
        row(expires_at=ago(2)),
        (asked(),),
        WARN,
        ("its deadline passed 2 s ago", "a pod ends it within a second or two"),
    ),
    Case(
        "past its deadline, and nobody ends it",
        row(expires_at=ago(300)),
        (asked(),),
        FAIL,
        ("its deadline passed 5 min ago, and no pod has ended it",),
        (START, DOCTOR),
    ),
    Case(
        "wrong user",
        row(),
        (
            asked(),
            pressed("not_yours", "U2", 90, presses=2),
            pressed("not_yours", "U3", 70),
            pressed("not_yours", "U2"),
        ),
        WARN,
        ("it asks U1, and somebody else pressed: U2 pressed 3 times, U3 pressed once, the last time 1 min ago",),
        ("ask U1 to press", WITHDRAW),
    ),
    Case(
        "older card",
        row(),
        (
            asked(900, ask_number=NUMBER - 1),
            asked(600, detail="superseded"),
            entry(Step.POSTED, 590),
            pressed("superseded", ask_number=NUMBER - 1),
        ),
        WARN,
        ("the button of an older card was pressed", "its card was posted 9 min 50 s ago", "U1 pressed once"),
        ("ask U1 to press on the newest card", REPAIR),
    ),
    Case(
        "older card, and the newer one was never posted",
        row(**UNPOSTED, unposted=Unposted.GIVEN_UP, post_attempts=1, post_error="no such channel"),
        (asked(detail="superseded"), pressed("superseded", ask_number=NUMBER - 1)),
        FAIL,
        ("its card could not be posted",),
        (REPAIR,),
    ),
    Case(
        "other application",
        row(application="billing"),
        (asked(), pressed("other_application", application="shop")),
        WARN,
        ("the presses reached pods of application 'shop', and the question is of 'billing'",),
        ("deliver the clicks of acme/slack to the pods of application 'billing'",),
    ),
    Case(
        "invalid answer",
        row(),
        (asked(), pressed("invalid_answer")),
        WARN,
        ("none of its options (yes, no)",),
        ("pendingctl show q42",),
    ),
    Case(
        "over another connection",
        row(),
        (asked(), pressed("unknown_or_expired", connection_id="teams")),
        WARN,
        ("the press came over acme/teams, and the question is of acme/slack",),
    ),
    Case(
        "a pod that does not serve the connection",
        row(),
        (asked(), pressed("cannot_serve", pod="bot-9")),
        WARN,
        ("could not serve it: bot-9 has not registered acme/slack", "U1 pressed once"),
        ("have every pod that receives the clicks of acme/slack register that", DOCTOR),
    ),
    Case(
        "another connection, which no pod serves",
        row(),
        (asked(), pressed("cannot_serve", pod="bot-9", connection_id="teams")),
        WARN,
        ("the press came over acme/teams, and the question is of acme/slack: U1 pressed once",),
    ),
    Case(
        "a storm of clicks",
        row(),
        (asked(), pressed("not_yours", "U2"), pressed("more", "U9", 5, user_id=None, connection_id=None, presses=900)),
        WARN,
        ("it asks U1, and somebody else pressed: U2 pressed once", "900 other presses were refused as well"),
    ),
    Case(
        "a reason of a later version",
        row(),
        (asked(), pressed("not_today"), pressed("something_else", "U1", 10)),
        WARN,
        ("refused (something else): U1 pressed once, the last time 10 s ago; 1 other press was refused as well",),
    ),
    Case(
        "the trail has nothing of it",
        row(),
        (),
        OK,
        ("it waits for U1", "its card was posted 9 min 50 s ago, and no press"),
    ),
]
ENDED = [
    Case(
        "delivered again by hand",
        undelivered(600, delivery_due_at=ago(1), delivery_error=ERROR),
        (asked(900), answered(600), entry(Step.STUCK, 300, attempt=20, detail=ERROR), entry(Step.REDELIVERED, 1)),
        WARN,
        ("that is to be delivered again now; the last error: the worker answered 500",),
        ("if that fails as well: pendingctl why q42",),
    ),
    Case(
        "nothing wrong",
        ended(),
        (asked(), answered(), entry(Step.DELIVERED, 59.75, attempt=1)),
        OK,
        ("nothing is wrong: it was answered by U1 1 min ago, and delivered 250 ms later",),
    ),
    Case("nothing wrong, by the row alone", ended(), (), OK, ("nothing is wrong: it was answered by U1 1 min ago",)),
    Case(
        "a pod delivers",
        undelivered(2, delivery_attempts=1, delivery_due_at=NOW + timedelta(seconds=28)),
        (asked(), answered(2)),
        OK,
        ("pod bot-2 delivers that, for 2 s now",),
        lease=leased(Leased.DELIVERY, 2, 28),
    ),
    Case(
        "a pod has had it for long",
        undelivered(12, delivery_attempts=1, delivery_due_at=NOW + timedelta(seconds=18)),
        (asked(), answered(12)),
        WARN,
        ("pod bot-2", "the pod has died after the claim", "another pod takes over in 18 s"),
        (REDELIVER,),
        lease=leased(Leased.DELIVERY, 12, 18),
    ),
    Case(
        "the lease has just run out",
        undelivered(35, delivery_attempts=1, delivery_due_at=ago(4)),
        (asked(), answered(35)),
        WARN,
        ("pod bot-2 died after the claim, or was cut off", "its lease ran out 4 s ago", "another pod takes over"),
        lease=leased(Leased.DELIVERY, 34, -4),
    ),
    Case(
        "nobody takes over",
        undelivered(630, delivery_attempts=1, delivery_due_at=ago(600)),
        (asked(), answered(630)),
        FAIL,
        (
            "pod bot-2 died after the claim, or was cut off",
            "it has been due for 10 min",
            "no pod of application '' seems to be alive",
        ),
        (START, DOCTOR),
        lease=leased(Leased.DELIVERY, 630, -600),
    ),
    Case(
        "the worker fails",
        undelivered(60, delivery_attempts=3, delivery_due_at=LATER, delivery_error=ERROR),
        (asked(), answered(), entry(Step.LEASED, 6, attempt=3), entry(Step.FAILED, 5, attempt=3, detail=ERROR)),
        WARN,
        ("the worker fails: 3 attempts so far, and the next one is due in 25 s", ERROR),
        (REDELIVER,),
    ),
    Case(
        "a pod died over a later attempt",
        undelivered(60, delivery_attempts=2, delivery_due_at=ago(3), delivery_error=ERROR),
        (asked(), answered(), entry(Step.FAILED, 50, detail=ERROR), entry(Step.LEASED, 33, pod="bot-5", attempt=2)),
        WARN,
        ("pod bot-5 died after the claim", ERROR),
        lease=leased(Leased.DELIVERY, 33, -3, pod="bot-5"),
    ),
    Case(
        "stuck",
        undelivered(60, state=State.STUCK, delivery_attempts=20, delivery_error=ERROR),
        (asked(), answered(), entry(Step.STUCK, 5, attempt=20, detail=ERROR)),
        FAIL,
        ("the worker has not taken that: 20 attempts, and no pod tries again", ERROR),
        (REDELIVER,),
    ),
    Case(
        "stuck, of an application",
        undelivered(60, state=State.STUCK, application="my shop", delivery_attempts=20),
        (),
        FAIL,
        ("no pod tries again",),
        ("pendingctl redeliver q42 --application 'my shop'",),
    ),
    Case(
        "left to the pods",
        undelivered(1, delivery_due_at=NOW),
        (asked(), answered(1)),
        OK,
        ("and that is to be delivered now",),
    ),
    Case(
        "its card is not edited",
        ended(card_due_at=LATER, card_attempts=4),
        (asked(), answered(), entry(Step.EDITING, 30, attempt=4)),
        WARN,
        ("its card still shows the buttons: 4 attempts to edit it; the next one is due in 25 s",),
        (REPAIR,),
    ),
    Case(
        "nobody edits its card",
        ended(card_due_at=ago(300)),
        (asked(), answered()),
        WARN,
        ("0 attempts to edit it; due for 5 min",),
        (REPAIR, "acme/slack"),
    ),
    Case(
        "its card is gone",
        ended(post_error="message_not_found"),
        (asked(), answered(), entry(Step.EDITED, 30, detail="message_not_found")),
        WARN,
        ("its card stays as it is, and is not edited again: message_not_found",),
        ("pendingctl list --card gone --connection slack",),
    ),
    Case("its card is just being edited", ended(card_due_at=LATER, card_attempts=1), (), OK, ("nothing is wrong",)),
    Case(
        "a storm of repetitions",
        ended(),
        (asked(), answered(), pressed(None, "U1", 50, step=Step.REPEATED, presses=7)),
        WARN,
        ("the winning press was delivered again 7 times", "replies reach it too late"),
        (DOCTOR,),
    ),
    Case(
        "somebody else was first",
        ended(),
        (asked(), answered(), pressed("already_answered", "U1", 30, presses=2)),
        OK,
        (
            "answered by U1 1 min ago",
            "other presses were refused (already answered): U1 pressed 2 times, the last time 30 s",
        ),
    ),
    Case(
        "withdrawn",
        ended(Outcome.WITHDRAWN, state=State.WITHDRAWN, delivered_at=None),
        (),
        OK,
        ("it was withdrawn 1 min ago",),
    ),
    Case(
        "expired",
        ended(Outcome.EXPIRED, state=State.EXPIRED, delivered_at=None),
        (asked(), pressed("expired", "U1", 5)),
        OK,
        ("it expired 1 min ago, and nobody had answered", "refused (expired): U1 pressed once"),
    ),
    Case(
        "expired without its default, as it was never posted",
        ended(Outcome.EXPIRED, state=State.EXPIRED, default_answer="no", posted_at=None),
        (),
        WARN,
        ("without its default, since its card was never posted, and that was delivered",),
        ("have a pod register acme/slack", DOCTOR),
    ),
    Case(
        "expired without a default, and never posted",
        ended(
            Outcome.EXPIRED,
            state=State.EXPIRED,
            posted_at=None,
            post_attempts=20,
            post_error="no such channel",
            delivered_at=None,
        ),
        (asked(),),
        WARN,
        ("its card is not known to have been posted: 20 attempts; the last error: no such channel",),
        ("have a pod register acme/slack", DOCTOR),
    ),
    Case(
        "ended, and pressed in vain for several reasons",
        ended(),
        (asked(), answered(), pressed("not_yours", "U8", 40), pressed("already_answered", "U1", 30)),
        OK,
        ("other presses were refused (already answered): U1 pressed once, the last time 30 s ago; 1 other one was",),
    ),
    Case(
        "expired without its default, which is no option",
        ended(Outcome.EXPIRED, state=State.EXPIRED, default_answer="maybe"),
        (),
        WARN,
        ("without its default, since that is none of its options",),
    ),
    Case(
        "defaulted",
        ended(Outcome.DEFAULTED, state=State.DEFAULTED, default_answer="no"),
        (),
        OK,
        ("nobody answered, and its default became the answer at its deadline",),
    ),
]
GONE = [
    Case(
        "swept while open",
        None,
        (asked(90_000), entry(Step.SWEPT, 300, pod="cron@db1", detail="open"), pressed("unknown_or_expired", "U1", 60)),
        WARN,
        ("swept 5 min ago by cron@db1", "nobody had answered for 1 d", "since then U1 pressed once"),
        ("ask the question again",),
    ),
    Case(
        "swept after its delivery",
        None,
        (asked(9_000), answered(8_000), entry(Step.DELIVERED, 7_999), entry(Step.SWEPT, 300, detail="answered")),
        OK,
        ("it was answered by U1 2 h 13 min ago, delivered 1 s later, and swept 5 min ago",),
    ),
    Case(
        "lost",
        None,
        (asked(900), answered(800), entry(Step.FAILED, 700, detail=ERROR), entry(Step.DELETED, 300, pod="ann@laptop")),
        FAIL,
        ("answered by U1", f"deleted 5 min ago by ann@laptop before its worker had taken that: {ERROR}"),
        ("the answer is lost",),
    ),
    Case(
        "taken by its caller",
        None,
        (asked(900), answered(800), entry(Step.SWEPT, 300, detail="answered")),
        WARN,
        ("the trail has no delivery of it",),
    ),
    Case(
        "expired, and swept",
        None,
        (asked(900), entry(Step.EXPIRED, 800), entry(Step.SWEPT, 300, detail="expired")),
        OK,
        ("it was expired", "swept"),
    ),
    Case(
        "its end is older than the trail",
        None,
        (entry(Step.SWEPT, 300, detail="answered"),),
        OK,
        ("it was answered, and swept 5 min ago",),
    ),
    Case("deleted", None, (asked(), entry(Step.DELETED, 10)), WARN, ("deleted 10 s ago by bot-1: it was open",)),
    Case(
        "gone without a step",
        None,
        (asked(), pressed("unknown_or_expired")),
        UNKNOWN,
        ("the trail has no sweep and no deletion of it; since then U1 pressed once",),
    ),
    Case(
        "pressed, and never asked",
        None,
        (pressed("unknown_or_expired", ask_number=None),),
        UNKNOWN,
        ("no question 'q42' is known, and its button was pressed: U1 pressed once",),
    ),
    Case("unknown", None, (), UNKNOWN, ("nothing is known of 'q42'", "the trail begins 1 d ago"), (DOCTOR,)),
]

LOCKED = "the database is busy: the row is locked"
ON_A_STREAM = [
    Case(
        "its card is about to be appended", row(stream="talk", stream_due_at=NOW), (asked(),), OK, ("it waits for U1",)
    ),
    Case(
        "its stream is locked",
        ended(stream="talk", stream_due_at=LATER, stream_attempts=3, stream_error=LOCKED),
        (asked(), answered()),
        WARN,
        ("that is not on its stream talk yet: 3 attempts so far, and the next one is due in 25 s", LOCKED),
        (DOCTOR,),
    ),
    Case(
        "no pod appends its card",
        row(stream="talk", stream_due_at=ago(90)),
        (asked(),),
        WARN,
        ("its card was posted, and nobody appends that to its stream talk: it has been due for 1 min 30 s",),
        (f"{START}, with InteractionBridge(…, streams=Streams(pool))", DOCTOR),
    ),
    Case(
        "its stream is closed",
        ended(stream="talk", stream_error="stream talk is closed, with 3 events"),
        (asked(), answered()),
        WARN,
        ("its stream talk lacks that for good: stream talk is closed, with 3 events",),
        ("name another stream",),
    ),
    Case(
        "the stream of a former asking is locked",
        row(stream_due_at=LATER, stream_attempts=2),
        (asked(),),
        WARN,
        ("that is not on the stream of a former asking yet: 2 attempts so far",),
    ),
]

CASES = [*OPEN, *ENDED, *GONE, *ON_A_STREAM]
