"""What is the matter with a question that has ended: its delivery, its card, or presses that came again. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..inspected import PendingInteraction, State
from ..trail import Step
from ..words import age, counted
from . import remedies
from .askings import (
    Asking,
    Serving,
    delivered_when,
    due_in,
    ended_how,
    nobody_serves,
    number_of,
    reason_of,
    who_pressed,
)
from .findings import Finding, Verdict, fail, warn
from .work import LATE_SECONDS

# So often a press is delivered again before that says anything: platforms repeat one whose reply was lost.
STORM = 3
_LATE = timedelta(seconds=LATE_SECONDS)
# A hand-over that takes longer is worth a word: a pod delivers what it has claimed at once.
_SLOW = timedelta(seconds=5)


def judge_ended(row: PendingInteraction, asking: Asking, now: datetime, serving: Serving) -> Finding:
    ended = ended_how(row, now)
    tries = counted(row.delivery_attempts, "attempt", "attempts")
    error = f"; the last error: {row.delivery_error}" if row.delivery_error else ""
    if row.state is State.STUCK:
        return fail(
            f"{ended}, and the worker has not taken that: {tries}, and no pod tries again{error}",
            f"when the worker is mended: {remedies.redeliver(row)}",
        )
    if row.delivery_due_at is not None:
        return _judge_undelivered(row, asking, now, serving)
    if row.card_due_at is not None and (row.card_attempts > 1 or now - row.card_due_at >= _LATE):
        edits = counted(row.card_attempts, "attempt", "attempts")
        overdue = now - row.card_due_at
        when = f"due for {age(overdue)}" if overdue >= _LATE else f"the next one is due {due_in(row.card_due_at, now)}"
        return warn(
            f"{ended}, but its card still shows the buttons: {edits} to edit it; {when}",
            f"when the platform takes edits again, at once: {remedies.repair_card(row)}",
            "if nobody edits it, a pod that registers "
            f"{row.organization_id}/{row.connection_id} is missing: {remedies.DOCTOR}",
        )
    repeated = asking.presses(Step.REPEATED)
    if (number := number_of(repeated)) >= STORM:
        return warn(
            f"{ended}, and the winning press was delivered again {counted(number, 'time', 'times')}: the platform "
            "repeats it, since replies reach it too late or not at all",
            "see how long a round trip takes, and what waits for locks or connections: pendingctl doctor",
        )
    later = asking.presses(Step.REFUSED)
    if later:
        return Finding(
            Verdict.OK,
            f"{ended}{delivered_when(row)}; other presses were refused ({reason_of(later[-1])}): {who_pressed(later)}, "
            f"the last time {age(now - later[-1].at)} ago",
        )
    return Finding(Verdict.OK, f"nothing is wrong: {ended}{delivered_when(row)}")


def _judge_undelivered(row: PendingInteraction, asking: Asking, now: datetime, serving: Serving) -> Finding:
    assert row.delivery_due_at is not None
    ended, overdue = ended_how(row, now), now - row.delivery_due_at
    error = f"; the last error: {row.delivery_error}" if row.delivery_error else ""
    leased = asking.last(Step.LEASED, Step.ANSWERED)
    pod = (leased.pod if leased is not None else None) or row.pod
    holder = f"pod {pod}" if pod else "the pod that has claimed it"
    failed = asking.last(Step.FAILED)
    is_leased = row.delivery_attempts > 0 and (
        row.delivery_error is None or (leased is not None and (failed is None or failed.id < leased.id))
    )
    if overdue >= _LATE:
        died = f"{holder} has died over it, or was cut off, and " if is_leased else ""
        return fail(
            f"{ended}, and nobody delivers that: {died}it has been due for {age(overdue)}; "
            f"{nobody_serves(row, serving)}{error}",
            remedies.start_pods(row.application),
            remedies.DOCTOR,
        )
    if is_leased and overdue > timedelta():
        return warn(
            f"{ended}; {holder} died after the claim, or was cut off: its lease ran out {age(overdue)} ago, and "
            f"another pod takes over within a second or two{error}",
            f"if none does: {remedies.start_pods(row.application)}",
        )
    if is_leased:
        since = now - (leased.at if leased is not None else row.claimed_at or now)
        sentence = f"{ended}; {holder} delivers that, for {age(since)} now"
        if since < _SLOW:
            return Finding(Verdict.OK, f"{sentence}{error}")
        return warn(
            f"{sentence}: its worker is slow, or the pod has died after the claim; another pod takes over "
            f"{due_in(row.delivery_due_at, now)}{error}",
            "it needs no command; to have it delivered at once, also if the worker may have it by now: "
            f"{remedies.redeliver(row)}",
        )
    if row.delivery_error:
        tries = counted(row.delivery_attempts, "attempt", "attempts")
        return warn(
            f"{ended}, and the worker fails: {tries} so far, and the next one is due "
            f"{due_in(row.delivery_due_at, now)}{error}",
            f"mend the worker; the pods try again by themselves, or at once: {remedies.redeliver(row)}",
        )
    return Finding(Verdict.OK, f"{ended}, and that is to be delivered {due_in(row.delivery_due_at, now)}")
