"""Why a question is not there any more, by what the trail has of it. Pure."""

from __future__ import annotations

from ..inspected import QuestionHistory
from ..trail import Step
from ..words import age
from .askings import Asking, by_pod, by_user, who_pressed
from .findings import Finding, Verdict, fail, unknown, warn


def judge_gone(history: QuestionHistory, asking: Asking) -> Finding:
    now, record = history.record.now, history.record
    if not asking.entries:
        covers = "the trail is empty" if record.since is None else f"the trail begins {age(now - record.since)} ago"
        switched_off = "" if record.is_kept else "; the trail is switched off (pendingctl.trail)"
        return unknown(
            f"nothing is known of {history.id!r}: it was never asked here, or before that ({covers}){switched_off}",
            "see whether the id, the database and its schema are the right ones: pendingctl doctor",
            "pendingctl list --org ORGANIZATION --sort newest",
        )
    gone = asking.last(Step.SWEPT, Step.DELETED)
    later = [entry for entry in asking.presses(Step.REFUSED) if gone is None or entry.at > gone.at]
    pressed = f"; since then {who_pressed(later)}, the last time {age(now - later[-1].at)} ago" if later else ""
    asked = asking.last(Step.ASKED)
    if gone is None:
        if later and asked is None:
            return unknown(
                f"no question {history.id!r} is known, and its button was pressed: {who_pressed(later)}, the last time "
                f"{age(now - later[-1].at)} ago",
                "the card is older than the trail, or another database's: see where its pods connect to",
            )
        return unknown(
            f"its row is gone, and the trail has no sweep and no deletion of it{pressed}: it went with its "
            "organization, by SQL, or by a pod of the version before",
            "see who deletes from pending_interactions, or whether the organization was deleted",
        )
    what = f"{gone.step} {age(now - gone.at)} ago{by_pod(gone)}"
    ended = asking.last(Step.ANSWERED, Step.DEFAULTED, Step.EXPIRED, Step.WITHDRAWN)
    if ended is None:
        open_for = "" if asked is None else f" for {age(gone.at - asked.at)}"
        if gone.detail not in (None, "open"):
            return Finding(Verdict.OK, f"it was {gone.detail}, and {what}{pressed}")
        nobody = "nobody had answered" if gone.step is Step.SWEPT else "it was open"
        return warn(
            f"it was {what}: {nobody}{open_for}, and its buttons do nothing any more{pressed}",
            "ask the question again; with expires_in and default it ends by itself",
        )
    was = f"it was {ended.step}{by_user(ended)} {age(now - ended.at)} ago"
    delivered = asking.last(Step.DELIVERED)
    if delivered is not None and delivered.id > ended.id:
        return Finding(Verdict.OK, f"{was}, delivered {age(delivered.at - ended.at)} later, and {what}{pressed}")
    failed = asking.last(Step.FAILED, Step.STUCK)
    if failed is not None and failed.id > ended.id:
        return fail(
            f"{was}, and {what} before its worker had taken that: {failed.detail}{pressed}",
            "the answer is lost: ask the question again",
        )
    if ended.step is Step.ANSWERED:
        return warn(
            f"{was}, and {what}; the trail has no delivery of it: the caller took the answer (claim --take), or it was "
            f"deleted with --include-undelivered{pressed}",
            "ask the worker whether it has the answer; if not, ask the question again",
        )
    return Finding(Verdict.OK, f"{was}, and {what}{pressed}")
