"""What is known of the work: what is due, and the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..words import age, counted
from .findings import Finding, fail, ok, warn

# A pod looks once a second, and leases what is due for 30 s.
LATE_SECONDS = 60.0
NOBODY_SECONDS = 300.0
# Sweeps run every few minutes.
LATE_SWEEP_SECONDS = 3600.0

# Rows are counted up to so many, which keeps it quick.
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Due:
    """What rows of an application ask of the pods, of one kind.

    `overdue` of them are due, and `given_up` wait for a person; each number stops at about MOST_COUNTED.
    `oldest_seconds` is the age of the oldest ending or question, `overdue_seconds` for how long the longest has been
    due, which a pod that is there keeps short. `example` names the organization and connection of that one.
    """

    application: str
    kind: str
    rows: int
    overdue: int
    given_up: int
    oldest_seconds: float | None
    overdue_seconds: float | None
    example: str | None


def judge_deliveries(due: Sequence[Due]) -> Finding:
    """How old the oldest ending is that its worker does not have."""
    endings = [each for each in due if each.kind == "ending"]
    waiting = sum(each.rows for each in endings)
    stuck = [each for each in endings if each.given_up]
    oldest = max((each.oldest_seconds or 0 for each in endings), default=0.0)
    if stuck:
        number = sum(each.given_up for each in stuck)
        return fail(
            f"{_counted(number, 'ending is', 'endings are')} stuck: no pod tries again; "
            f"the oldest undelivered ending is {age(oldest)} old",
            "pendingctl list --state stuck, and pendingctl show ID for the error",
            *(f"when the worker is mended: pendingctl redeliver --all-stuck{_of(each)}" for each in stuck),
        )
    if not waiting:
        return ok("no ending waits for its delivery")
    sentence = f"{_counted(waiting, 'ending is', 'endings are')} undelivered, the oldest for {age(oldest)}"
    if oldest < NOBODY_SECONDS:
        return ok(sentence)
    return warn(sentence, "pendingctl list --state undelivered, and pendingctl show ID for the error")


def judge_cards(due: Sequence[Due]) -> Finding:
    """How long the oldest card has been to be posted, and how many were given up."""
    posts = [each for each in due if each.kind == "post"]
    given_up = sum(each.given_up for each in posts)
    overdue = max((each.overdue_seconds or 0 for each in posts), default=0.0)
    look = "pendingctl list --card never-posted shows the reasons"
    if given_up:
        return warn(
            f"{_counted(given_up, 'card was', 'cards were')} given up: nobody sees these questions",
            look,
            "when the cause is mended: pendingctl repair-cards --card never-posted",
        )
    if overdue >= LATE_SECONDS:
        return warn(f"the oldest card, reminder or call has been due for {age(overdue)}", look)
    return ok("no card, reminder or call is overdue")


def judge_appends(due: Sequence[Due]) -> Finding:
    """How long the oldest card or ending has waited to be appended to its question's stream."""
    events = [each for each in due if each.kind == "event"]
    waiting = sum(each.rows for each in events)
    if not waiting:
        return ok("no card or ending waits for its stream")
    oldest = max((each.oldest_seconds or 0 for each in events), default=0.0)
    sentence = (
        f"{_counted(waiting, 'question waits', 'questions wait')} to be appended to a stream, the oldest for "
        f"{age(oldest)}"
    )
    if oldest < NOBODY_SECONDS:
        return ok(sentence)
    return warn(
        sentence,
        "pendingctl stats --by error for the errors; of a stream that somebody has locked, locks says who holds it",
        "pods append by themselves, 5 minutes after the lock is gone at the latest",
    )


def judge_orphans(due: Sequence[Due]) -> Finding:
    """Which applications nobody serves, as far as rows show it: a pod takes what is due within a second or two."""
    late = sorted(
        (each for each in due if (each.overdue_seconds or 0) >= LATE_SECONDS),
        key=lambda each: -(each.overdue_seconds or 0),
    )
    if not late:
        return ok("nothing has been due for long: each application that has something due is served")
    first = late[0]
    sentence = f"of application {first.application!r} {_what(first)} for {age(first.overdue_seconds or 0)}"
    others = sorted({each.application for each in late} - {first.application})
    if others:
        sentence += f" (and of {', '.join(map(repr, others[:5]))})"
    if (first.overdue_seconds or 0) < NOBODY_SECONDS:
        return warn(f"{sentence}: its pods are slow, or busy", "see connections and locks; run more pods")
    where = f", and that it registers {first.example}" if first.kind in ("post", "edit") and first.example else ""
    if first.kind == "event":
        where = "; it appends where its bridge has streams: InteractionBridge(…, streams=Streams(pool))"
    return fail(
        f"{sentence}: no pod serves it",
        f"start its pods, or see why they fail: PendingStore(pool, application={first.application!r}){where}",
    )


def _what(due: Due) -> str:
    match due.kind:
        case "ending":
            return f"{_counted(due.overdue, 'ending waits', 'endings wait')} to be delivered, the longest"
        case "post":
            return f"{_counted(due.overdue, 'card waits', 'cards wait')} to be posted, the longest"
        case "event":
            return f"{_counted(due.overdue, 'question waits', 'questions wait')} to be appended to streams, the longest"
        case "edit":
            return f"{_counted(due.overdue, 'card waits', 'cards wait')} to be edited, the longest"
        case _:
            return f"{_counted(due.overdue, 'deadline has', 'deadlines have')} passed unnoticed, the longest"


def _counted(number: int, one: str, many: str) -> str:
    return ("at least " if number >= MOST_COUNTED else "") + counted(number, one, many)


def _of(due: Due) -> str:
    return f" --application {due.application}" if due.application else ""


@dataclass(frozen=True, slots=True)
class SweepLag:
    """How many rows a sweep would take (up to a cap), and how long ago the oldest of them became stale.

    `cycle_seconds_ago` is when a `sweep --every` last began a cycle; None where none ever has, as with cron.
    """

    stale: int
    is_capped: bool
    overdue_seconds: float | None
    cycle_seconds_ago: float | None
    pod: str | None
    max_age_seconds: float


def judge_sweep(facts: SweepLag) -> Finding:
    """Whether somebody sweeps."""
    if facts.cycle_seconds_ago is None:
        cycle = "no sweep --every has begun a cycle"
    else:
        cycle = f"the last cycle of sweep --every began {age(facts.cycle_seconds_ago)} ago" + (
            f" on {facts.pod}" if facts.pod else ""
        )
    overdue = facts.overdue_seconds or 0.0
    if not facts.stale:
        return ok(f"no row is older than {age(facts.max_age_seconds)}; {cycle}")
    more = "more than " if facts.is_capped else ""
    sentence = f"{more}{counted(facts.stale, 'row is', 'rows are')} stale, the oldest since {age(overdue)}; {cycle}"
    if overdue < LATE_SWEEP_SECONDS:
        return ok(sentence)
    remedies = ("pendingctl sweep --limit 10000", "from then on by cron, or beside a pod: pendingctl sweep --every 5m")
    if overdue < facts.max_age_seconds:
        return warn(f"the sweep is late: {sentence}", *remedies)
    return fail(f"nobody sweeps: {sentence}", *remedies)
