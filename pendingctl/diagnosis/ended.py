"""What is the matter with a question that has ended: its delivery, its card, or presses that came again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..inspected import Lease, PendingInteraction, State
from ..model import Outcome
from ..trail import MORE, Step, TrailEntry
from ..words import age, counted
from . import remedies
from .askings import (
    Asking,
    delivered_when,
    due_in,
    ended_how,
    number_of,
    reason_of,
    who_pressed,
)
from .findings import Finding, Verdict, fail, warn
from .serving import Life, Noted, life_of, nobody_serves
from .work import LATE_SECONDS

# So often a press is delivered again before that says anything: platforms repeat one whose reply was lost.
STORM = 3
_LATE = timedelta(seconds=LATE_SECONDS)
# What takes longer is worth a word: pods do at once what is due.
SLOW = timedelta(seconds=5)


def judge_ended(row: PendingInteraction, lease: Lease | None, asking: Asking, now: datetime, pods: Noted) -> Finding:
    ended = ended_how(row, now)
    tries = counted(row.delivery_attempts, "attempt", "attempts")
    error = f"; the last error: {row.delivery_error}" if row.delivery_error else ""
    if row.state is State.STUCK:
        return fail(
            f"{ended}, and the worker has not taken that: {tries}, and no pod tries again{error}",
            f"when the worker is mended: {remedies.redeliver(row)}",
        )
    if row.delivery_due_at is not None:
        return _judge_undelivered(row, lease, now, pods)
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
    if row.posted_at is not None and row.post_error is not None:
        return warn(
            f"{ended}{delivered_when(row)}; its card stays as it is, and is not edited again: {row.post_error}",
            "a press on its buttons, where they are still seen, is answered truly; to see what else the platform "
            f"refuses there: pendingctl list --card gone --connection {remedies.quoted(row.connection_id)}",
        )
    if (
        row.outcome is Outcome.EXPIRED
        and row.posted_at is None
        and (row.default_answer is not None or row.post_attempts)
    ):
        return _judge_unseen(row, ended)
    if row.outcome is Outcome.EXPIRED and row.default_answer is not None:
        return warn(f"{ended}{delivered_when(row)}", "give as the default one of the options")
    repeated = asking.presses(Step.REPEATED)
    if (number := number_of(repeated)) >= STORM:
        return warn(
            f"{ended}, and the winning press was delivered again {counted(number, 'time', 'times')}: the platform "
            "repeats it, since replies reach it too late or not at all",
            "see how long a round trip takes, and what waits for locks or connections: pendingctl doctor",
        )
    later = asking.presses(Step.REFUSED)
    if later:
        return Finding(Verdict.OK, f"{ended}{delivered_when(row)}; {_refused(later, now)}")
    return Finding(Verdict.OK, f"nothing is wrong: {ended}{delivered_when(row)}")


def _judge_unseen(row: PendingInteraction, ended: str) -> Finding:
    unseen = "" if row.default_answer is not None else ", and its card is not known to have been posted"
    tries = f": {counted(row.post_attempts, 'attempt', 'attempts')}" if row.post_attempts else ""
    error = f"; the last error: {row.post_error}" if row.post_error else ""
    return warn(
        f"{ended}{unseen}{tries}{delivered_when(row)}{error}",
        f"have a pod register {row.organization_id}/{row.connection_id}, and mend what its posts fail by; then ask the "
        "question again",
        remedies.DOCTOR,
    )


def _refused(presses: Sequence[TrailEntry], now: datetime) -> str:
    """Return why presses were refused as the last one was, and how many for another reason."""
    last = next((entry for entry in reversed(presses) if entry.detail != MORE), presses[-1])
    alike = [entry for entry in presses if entry.detail == last.detail]
    others = number_of(presses) - number_of(alike)
    more = f"; {counted(others, 'other one was', 'other ones were')} refused as well" if others else ""
    return (
        f"other presses were refused ({reason_of(last)}): {who_pressed(alike)}, the last time "
        f"{age(now - last.at)} ago{more}"
    )


def _judge_undelivered(row: PendingInteraction, lease: Lease | None, now: datetime, pods: Noted) -> Finding:
    assert row.delivery_due_at is not None
    ended, overdue = ended_how(row, now), now - row.delivery_due_at
    error = f"; the last error: {row.delivery_error}" if row.delivery_error else ""
    holder = "the pod that has claimed it" if lease is None or lease.pod is None else f"pod {lease.pod}"
    held_for = timedelta() if lease is None or lease.since is None else now - lease.since
    life = None if lease is None else life_of(pods, lease.pod, held_for.total_seconds())
    is_dead = life is not None and not life.is_alive
    died = (
        f"{holder} died after the claim{_last_seen(life)}"
        if is_dead
        else f"{holder} died after the claim, or was cut off"
    )
    if lease is not None and timedelta() < overdue < _LATE:
        next = nobody_serves(row, pods) if overdue >= SLOW else "another pod takes over within a second or two"
        return warn(
            f"{ended}; {died}: its lease ran out {age(overdue)} ago, and {next}{error}",
            f"if no pod takes over: {remedies.start_pods(row.application)}",
        )
    if overdue >= SLOW:
        return (fail if overdue >= _LATE else warn)(
            f"{ended}, and nobody delivers that: {died + '; ' if lease is not None else ''}it has been due for "
            f"{age(overdue)}; {nobody_serves(row, pods)}{error}",
            remedies.start_pods(row.application),
            remedies.DOCTOR,
        )
    at_once = (
        "it needs no command; to have it delivered at once, also if the worker may have it by now: "
        f"{remedies.redeliver(row)}"
    )
    if is_dead:
        return warn(f"{ended}; {died}; another pod takes over {due_in(row.delivery_due_at, now)}{error}", at_once)
    if lease is not None:
        sentence = f"{ended}; {holder} delivers that, for {age(held_for)} now"
        if held_for < SLOW:
            return Finding(Verdict.OK, f"{sentence}{error}")
        if life is not None:
            return warn(f"{sentence}: the pod is alive, and its worker slow{error}", "see the worker", at_once)
        return warn(
            f"{sentence}: its worker is slow, or the pod has died after the claim; another pod takes over "
            f"{due_in(row.delivery_due_at, now)}{error}",
            at_once,
        )
    if row.delivery_error and not row.delivery_attempts:
        # Somebody has had it delivered again: whether the worker is mended, the next attempt shows.
        return warn(
            f"{ended}, and that is to be delivered again {due_in(row.delivery_due_at, now)}{error}",
            f"if that fails as well: {remedies.why(row.id)}",
        )
    if row.delivery_error:
        tries = counted(row.delivery_attempts, "attempt", "attempts")
        return warn(
            f"{ended}, and the worker fails: {tries} so far, and the next one is due "
            f"{due_in(row.delivery_due_at, now)}{error}",
            f"mend the worker; the pods try again by themselves, or at once: {remedies.redeliver(row)}",
        )
    return Finding(Verdict.OK, f"{ended}, and that is to be delivered {due_in(row.delivery_due_at, now)}")


def _last_seen(life: Life | None) -> str:
    return "" if life is None else f" (last seen {age(life.seen_seconds_ago)} ago)"
