"""What leased rows become: answers to deliver, cards to edit, and what is to be posted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from psycopg.rows import kwargs_row

from ..errors import UnreadablePayload
from ..leased import Duty, LeasedAnswer, LeasedCard, LeasedPost, RetiredCard, Unreadable
from ..logged import about
from ..model import Answer, Outcome
from ..payload import JsonValue, conversation_of, read_json, read_payload, read_time

_log = logging.getLogger(__name__)


def _leased_answer(
    *,
    question_id: str,
    ask_number: int,
    value: str | None,
    organization_id: str,
    connection_id: str,
    user_id: str,
    payload: str,
    claimed_at: datetime,
    answered_by: str | None,
    outcome: str | None,
    reason: str | None,
    token: UUID | None,
    attempt: int,
    leased_at: datetime,
) -> LeasedAnswer | Unreadable | None:
    """Return what was leased; None for an answer that has become stuck. One bad row must not fail its batch."""
    if token is None:
        return None
    unreadable = partial(
        Unreadable, question_id=question_id, ask_number=ask_number, organization_id=organization_id, token=token
    )
    try:
        question = read_payload(payload)
    except UnreadablePayload as error:
        return unreadable(reason=str(error))
    if outcome is None:
        return unreadable(reason="the question is open")
    answer = Answer(
        question_id=question_id,
        ask_number=ask_number,
        value=value,
        organization_id=organization_id,
        connection_id=connection_id,
        user_id=user_id,
        conversation_id=conversation_of(question),
        payload=question,
        claimed_at=claimed_at,
        answered_by=answered_by,
        outcome=Outcome(outcome),
        reason=reason,
    )
    return LeasedAnswer(answer=answer, token=token, attempt=attempt, leased_at=leased_at)


LEASED_ROW = kwargs_row(_leased_answer)


def leased_card(
    *,
    question_id: str,
    ask_number: int,
    organization_id: str,
    connection_id: str,
    user_id: str,
    card: str | None,
    payload: str,
    answer: str | None,
    answered_by: str,
    claimed_at: datetime | None,
    outcome: str | None,
    is_stale: bool,
    attempts: int,
    retired_cards: str | None,
) -> LeasedCard:
    """Return what a row of LEASE_CARDS leases. What cannot be read is taken for nothing: one row fails no batch."""
    retired = read_json(retired_cards)
    question = read_json(payload)
    return LeasedCard(
        question_id=question_id,
        ask_number=ask_number,
        organization_id=organization_id,
        connection_id=connection_id,
        user_id=user_id,
        card=read_json(card),
        payload=question if isinstance(question, Mapping) else {},
        answer=answer,
        answered_by=answered_by,
        claimed_at=claimed_at,
        outcome=None if outcome is None else Outcome(outcome),
        is_stale=is_stale,
        attempts=attempts,
        retired=tuple(map(_retired_card, retired)) if isinstance(retired, list) else (),
    )


def _leased_post(
    *,
    question_id: str,
    ask_number: int,
    organization_id: str,
    connection_id: str,
    user_id: str,
    payload: str,
    what: str,
    card: str | None,
    attempt: int,
    is_in_doubt: bool,
    escalated_to: str | None,
    expires_at: datetime | None,
) -> LeasedPost | None:
    """Return what was leased; None for a card that is given up, and where no reminder is left."""
    if what == "given up":
        with about(organization=organization_id, question=question_id):
            _log.error(
                "the card of question %r is given up: the pods that attempted it died; it may be there", question_id
            )
    if what in ("given up", "nothing"):
        return None
    question = read_json(payload)
    return LeasedPost(
        question_id=question_id,
        ask_number=ask_number,
        organization_id=organization_id,
        connection_id=connection_id,
        user_id=user_id,
        payload=question if isinstance(question, Mapping) else {},
        duty=Duty(what),
        card=read_json(card),
        attempt=attempt,
        is_in_doubt=is_in_doubt,
        escalated_to=escalated_to,
        expires_at=expires_at,
    )


LEASED_POST_ROW = kwargs_row(_leased_post)


def _retired_card(stored: JsonValue) -> RetiredCard:
    fields = stored if isinstance(stored, Mapping) else {}
    number = fields.get("ask_number")
    texts = {name: value for name in ("text", "answer", "answered_by") if isinstance(value := fields.get(name), str)}
    return RetiredCard(
        ask_number=number if isinstance(number, int) else 0,
        card=fields.get("card"),
        text=texts.get("text"),
        ending=str(fields.get("ending")),
        answer=texts.get("answer"),
        answered_by=texts.get("answered_by"),
        at=read_time(fields.get("at")),
    )
