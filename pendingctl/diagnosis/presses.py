"""Why a user's button does not react: what became of the presses of a user. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import trail
from ..inspected import PendingSummary, UserHistory
from ..model import RefusalReason
from ..trail import Step, TrailEntry
from ..words import age
from . import remedies
from .ended import STORM
from .findings import Finding, Verdict, unknown, warn

PRESSES = (Step.ANSWERED, Step.REFUSED, Step.REPEATED)


@dataclass(frozen=True, slots=True)
class Press:
    """What became of a press of a button, or of several that ended alike: `number` of them."""

    entry: TrailEntry
    number: int
    question: PendingSummary | None


def presses(history: UserHistory) -> list[Press]:
    """Return the presses of a user, oldest first."""
    rows = {row.id: row for row in history.questions}
    return [
        Press(entry, entry.presses or 1, rows.get(entry.question_id))
        for entry in history.entries
        if entry.step in PRESSES
    ]


def open_questions(history: UserHistory) -> list[PendingSummary]:
    """Return the open questions that this user was asked, oldest first."""
    return [row for row in history.questions if row.claimed_at is None and row.expected_user_id == history.user_id]


def judge_presses(history: UserHistory) -> Finding:
    """Return what became of the last presses of a user, or why none may have arrived."""
    pressed, waiting = presses(history), open_questions(history)
    if not pressed:
        return _judge_silence(history, waiting)
    last = pressed[-1]
    alike = [
        press
        for press in pressed
        if (press.entry.question_id, press.entry.step, press.entry.detail)
        == (last.entry.question_id, last.entry.step, last.entry.detail)
    ]
    number = sum(press.number for press in alike)
    ago = f"{age(history.record.now - last.entry.at)} ago"
    id, user = last.entry.question_id, history.user_id
    times = "once" if number == 1 else f"{number:,} times"
    why = remedies.why(id)
    match last.entry.step:
        case Step.ANSWERED:
            return Finding(Verdict.OK, f"{user} pressed on {id} {ago}, and that is the answer", (why,))
        case Step.REPEATED if number >= STORM:
            return warn(
                f"{user} answered {id}, and the press was delivered again {times}, the last time {ago}: replies reach "
                "the platform too late or not at all",
                why,
                remedies.DOCTOR,
            )
        case Step.REPEATED:
            return Finding(Verdict.OK, f"{user} pressed on {id} again, {ago}: the answer is this user's", (why,))
    return warn(f"{user} pressed {times} on {id}, {_refused(last)}; the last time {ago}", why)


def _refused(press: Press) -> str:
    entry, row = press.entry, press.question
    match entry.detail:
        case RefusalReason.NOT_YOURS if row is not None:
            return f"which asks {row.expected_user_id}"
        case RefusalReason.NOT_YOURS:
            return "which asked somebody else"
        case RefusalReason.ALREADY_ANSWERED if row is not None and row.answered_by is not None:
            return f"which {row.answered_by} had answered already"
        case RefusalReason.SUPERSEDED:
            return "on a card that a newer one has displaced"
        case RefusalReason.OTHER_APPLICATION:
            return f"and the press reached pods of application {entry.application or ''!r}, which is not the question's"
        case trail.CANNOT_SERVE:
            return "and the pod that received that could not serve it"
        case RefusalReason.UNKNOWN_OR_EXPIRED if row is None:
            return "which is not there: it was swept or deleted, or never asked here"
        case RefusalReason.UNKNOWN_OR_EXPIRED:
            return f"over {entry.organization_id}/{entry.connection_id}, which is not the question's"
    return f"and was refused: {(entry.detail or 'for an unknown reason').replace('_', ' ')}"


def _judge_silence(history: UserHistory, waiting: Sequence[PendingSummary]) -> Finding:
    """No press has arrived: nothing was written, or nothing came."""
    record = history.record
    if not record.is_kept:
        return unknown(
            "the trail is switched off (pendingctl.trail): presses leave nothing in it",
            *(remedies.why(row.id) for row in waiting),
        )
    if record.since is None or record.until is None:
        return unknown(
            "the trail is empty: no pod of this version has written to this database",
            "see whether the pods use another database or schema: pendingctl doctor",
        )
    covered = record.now - record.since
    since = age(history.since) if covered >= history.since else f"{age(covered)}, since the trail begins"
    sentence = (
        f"no press of {history.user_id} has arrived for {since}: the platform did not deliver it, or the pod could not "
        "reach the database"
    )
    last = f"the last entry of anybody in the trail is {age(record.now - record.until)} old"
    return warn(
        f"{sentence}; {last}",
        "see the platform's interactivity settings, the balancer, and the logs of the pods that receive the clicks",
        remedies.DOCTOR,
        *(remedies.why(row.id) for row in waiting[:5]),
    )
