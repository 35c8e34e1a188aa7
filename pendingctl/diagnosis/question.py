"""Why a question is as it is: the likely cause of what a person complains of, and what mends it. Pure.

The row comes first, as far as it is there, since it is the truth; the trail explains how it came to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from .. import trail
from ..inspected import Lease, PendingInteraction, QuestionHistory, Record, State, Unposted
from ..model import RefusalReason
from ..payload import question_options
from ..trail import MORE, Step, TrailEntry
from ..words import age, counted
from . import remedies
from .appends import judge_stream
from .askings import (
    Asking,
    asked_of,
    askings,
    due_in,
    number_of,
    posted_when,
    reason_of,
    who_pressed,
)
from .ended import SLOW, judge_ended
from .findings import Finding, Verdict, fail, warn
from .gone import judge_gone
from .serving import Noted, nobody_serves
from .work import LATE_SECONDS

_LATE = timedelta(seconds=LATE_SECONDS)


def judge_question(history: QuestionHistory) -> Finding:
    """Return the likely cause of what is wrong with the last asking of a question, or that nothing is."""
    groups = askings(history)
    last = groups[-1] if groups else Asking(None, ())
    now, row, lease, pods = history.record.now, history.row, history.lease, history.pods
    if row is None:
        return judge_gone(history, last)
    if row.outcome is None:
        finding = _judge_open(row, lease, last, history.record, pods)
    else:
        finding = judge_ended(row, lease, last, now, pods)
    behind = judge_stream(row, now, pods) if finding.verdict in (Verdict.OK, Verdict.UNKNOWN) else None
    return behind or finding


def _judge_open(row: PendingInteraction, lease: Lease | None, asking: Asking, record: Record, pods: Noted) -> Finding:
    now = record.now
    if row.expires_at is not None and row.expires_at <= now:
        passed = f"its deadline passed {age(now - row.expires_at)} ago"
        if now - row.expires_at < SLOW:
            return warn(f"{passed}, and clicks are refused as expired; a pod ends it within a second or two")
        return (fail if now - row.expires_at >= _LATE else warn)(
            f"{passed}, and no pod has ended it: {nobody_serves(row, pods)}",
            remedies.start_pods(row.application),
            remedies.DOCTOR,
        )
    refused = asking.presses(Step.REFUSED)
    if row.unposted is not None and not (row.unposted is Unposted.BY_CALLER and refused):
        return _judge_unposted(row, lease, now, pods)
    if refused:
        return _judge_refused(row, refused, asking, now)
    silence = f"{posted_when(row, asking, now)}, and {_no_press(asking, record)}"
    if row.state is State.STALE:
        return warn(
            f"nobody has answered for {age(row.age_seconds)}, and it is stale: {silence}; a sweep will delete it",
            remedies.withdraw(row),
            remedies.presses_of(row),
        )
    return Finding(
        Verdict.OK if record.is_kept else Verdict.UNKNOWN,
        f"it waits for {asked_of(row)}: {silence}",
        (
            f"if {row.expected_user_id} did press, the press has reached no pod: see the platform's interactivity "
            "settings and the balancer",
            remedies.presses_of(row),
        ),
    )


def _no_press(asking: Asking, record: Record) -> str:
    """Return that no press has arrived, as far as the trail would have it."""
    if not record.is_kept:
        return "whether a press was refused since is not known: the trail is switched off (pendingctl.trail)"
    if asking.last(Step.ASKED) is None:
        return "no press is known since, but the trail does not go back to when it was asked"
    return "no press has arrived since"


def _judge_unposted(row: PendingInteraction, lease: Lease | None, now: datetime, pods: Noted) -> Finding:
    error = f"; the last error: {row.post_error}" if row.post_error else ""
    tries = counted(row.post_attempts, "attempt", "attempts")
    if row.unposted is Unposted.GIVEN_UP:
        return fail(
            f"its card could not be posted, and nobody sees the question: {tries}, and no other{error}",
            f"when the cause is mended: {remedies.repair_card(row)}",
        )
    if row.unposted is Unposted.BY_CALLER:
        return warn(
            "whoever stored it shows it, and no card of it is known: perhaps nobody sees the question",
            "look in the conversation; where no card is, ask the question with show=True, or: "
            f"pendingctl enqueue … --id {remedies.quoted(row.id)} --show",
        )
    due = row.post_due_at or now
    where = f"{row.organization_id}/{row.connection_id}"
    if now - due >= SLOW:
        return (fail if now - due >= _LATE else warn)(
            f"its card has been due for {age(now - due)}, and nobody posts it: "
            f"{nobody_serves(row, pods, of_connection=True)}{error}",
            f"{remedies.start_pods(row.application)}, and that it registers {where}",
            remedies.DOCTOR,
        )
    if row.post_error and not row.post_attempts:
        return warn(f"its card is to be posted again {due_in(due, now)}, by a pod that serves {where}{error}")
    if lease is not None:
        pod = f"pod {lease.pod}" if lease.pod else "a pod"
        return warn(f"{pod} is posting its card; if it has died, another pod tries {due_in(due, now)}{error}")
    if row.post_error:
        return warn(
            f"its card is not posted yet: {tries} failed; the next one is due {due_in(due, now)}{error}",
            f"when the cause is mended, to try at once: {remedies.repair_card(row)}",
        )
    return warn(f"its card is to be posted {due_in(due, now)}, by a pod that serves {where}")


def _judge_refused(row: PendingInteraction, refused: Sequence[TrailEntry], asking: Asking, now: datetime) -> Finding:
    """Judge by the reason of the last press: others before it are named by their number."""
    # Of a storm of clicks some are only counted, of whatever users and for whatever reasons.
    last = next((entry for entry in reversed(refused) if entry.detail != MORE), refused[-1])
    alike = [entry for entry in refused if entry.detail == last.detail]
    others = number_of(refused) - number_of(alike)
    more = f"; {counted(others, 'other press was', 'other presses were')} refused as well" if others else ""
    pressed = f"{who_pressed(alike)}, the last time {age(now - last.at)} ago{more}"
    match last.detail:
        case RefusalReason.NOT_YOURS:
            return warn(
                f"it asks {asked_of(row)}, and somebody else pressed: {pressed}",
                f"ask {row.expected_user_id} to press; if nobody needs the answer:",
                remedies.withdraw(row),
            )
        case RefusalReason.SUPERSEDED:
            return warn(
                f"the button of an older card was pressed: the question was asked anew, and "
                f"{posted_when(row, asking, now)}; {pressed}",
                f"ask {row.expected_user_id} to press on the newest card",
                f"to take the buttons off the older one: {remedies.repair_card(row)}",
            )
        case RefusalReason.OTHER_APPLICATION:
            return warn(
                f"the presses reached pods of application {last.application or ''!r}, and the question is of "
                f"{row.application!r}: {pressed}",
                f"have the platform deliver the clicks of {row.organization_id}/{row.connection_id} to the pods of "
                f"application {row.application!r}",
            )
        case RefusalReason.UNKNOWN_OR_EXPIRED | trail.CANNOT_SERVE if (last.organization_id, last.connection_id) != (
            row.organization_id,
            row.connection_id,
        ):
            return warn(
                f"the press came over {last.organization_id}/{last.connection_id}, and the question is of "
                f"{row.organization_id}/{row.connection_id}: {pressed}",
                "register the connection under the organization and id with which its questions are stored",
            )
        case trail.CANNOT_SERVE:
            where = f"{row.organization_id}/{row.connection_id}"
            return warn(
                f"the pod that received the press could not serve it: {last.pod or 'it'} has not registered {where}, "
                f"was closing, or could not reach the database in time; {pressed}",
                f"have every pod that receives the clicks of {where} register that; for what is in the way of the "
                "database:",
                remedies.DOCTOR,
            )
        case RefusalReason.INVALID_ANSWER:
            options = ", ".join(question_options(row.payload)) or "any text"
            return warn(
                f"the value of the press is none of its options ({options}): {pressed}",
                "compare the values of the card's buttons with the options that were stored:",
                remedies.show(row.id),
            )
    return warn(
        f"it is open, and presses were refused ({reason_of(last)}): {pressed}",
        f"ask {row.expected_user_id} to press again",
    )
