"""What a refused claim prints, and leaves in the trail."""

from __future__ import annotations

from ..model import Claim, Click, Refusal, RefusalReason, operator_of
from ..trail import Presses, Step


def refusal_fields(refusal: Refusal) -> dict[str, object]:
    """Return the JSON fields of a refusal: whose question, why, and what is known of the answer that won."""
    fields: dict[str, object] = {"id": refusal.id, "reason": refusal.reason}
    if refusal.reason is RefusalReason.INVALID_ANSWER:
        fields |= {"options": list(refusal.options)}
    if refusal.reason is RefusalReason.ALREADY_ANSWERED:
        fields |= {"answered_by": refusal.answered_by, "answer": refusal.answer, "claimed_at": refusal.claimed_at}
    return fields


def pressed_in_vain(click: Click, result: Claim | Refusal, user_id: str) -> Presses:
    """Return what the trail has of a click that was refused, or repeats the one that won; `user_id` is whose it was."""
    return Presses(
        question_id=click.question_id,
        ask_number=click.ask_number,
        organization_id=click.organization_id,
        connection_id=click.connection_id,
        user_id=user_id,
        step=Step.REFUSED if isinstance(result, Refusal) else Step.REPEATED,
        reason=result.reason if isinstance(result, Refusal) else None,
        presses=1,
        seconds_ago=0,
    )


def in_words(refusal: Refusal) -> str:
    """Return why a claim was refused."""
    match refusal.reason:
        case RefusalReason.ALREADY_ANSWERED:
            answer = "" if refusal.answer is None else f" with {refusal.answer!r}"
            operator = operator_of(refusal.answered_by)
            by = "" if operator is None else f" by the operator {operator}"
            when = "" if refusal.claimed_at is None else f" at {refusal.claimed_at.isoformat(timespec='seconds')}"
            return f"already answered{by}{answer}{when}"
        case RefusalReason.NOT_YOURS:
            return "this question is for somebody else"
        case RefusalReason.INVALID_ANSWER:
            return f"not one of the options: {', '.join(refusal.options)}" if refusal.options else "not an answer"
        case RefusalReason.WITHDRAWN:
            return "the question was withdrawn"
        case RefusalReason.EXPIRED:
            return "the question has expired"
        case RefusalReason.SUPERSEDED:
            return "the question has changed since"
        case RefusalReason.OTHER_APPLICATION:
            return "the question belongs to another application (see --application)"
        case RefusalReason.UNKNOWN_OR_EXPIRED:
            return "unknown or expired"
