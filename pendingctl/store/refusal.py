"""Why a click or a put matched no row. Pure: it judges a row that the store has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..errors import KeyReused, RequestRefused, ScopeMismatch, UnreadablePayload
from ..model import ANSWERS, Claim, Click, Operator, Outcome, PutOutcome, Refusal, RefusalReason, Scope
from ..payload import JsonObject, JsonValue, accepts, option_at, question_options, read_json, read_payload, read_time


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRow:
    """A row as it is read after a statement that did not match it; nothing of its content for another tenant."""

    organization_id: str
    connection_id: str
    expected_user_id: str
    application: str
    ask_number: int
    created_at: datetime
    claimed_at: datetime | None
    payload: str | None
    answer: str | None
    answered_by: str | None
    escalated_to: str | None
    previous: str | None
    delivery_key: str | None
    lease_token: UUID | None
    ending: str | None
    is_past_its_deadline: bool | None
    request_key: str | None
    displaced_keys: Sequence[str] | None
    request_digest: str | None
    awaited_by: UUID | None
    is_awaited: bool | None
    is_undelivered: bool
    is_to_be_appended: bool
    row_version: str

    @property
    def scope(self) -> Scope:
        """The scope that it belongs to."""
        return Scope(self.organization_id, self.connection_id, self.expected_user_id)

    @property
    def outcome(self) -> Outcome | None:
        """How the question has ended; None while it is open."""
        return None if self.ending is None else Outcome(self.ending)

    @property
    def is_to_expire(self) -> bool:
        """Whether the question is open although its deadline has passed, since no pod has ended it yet."""
        return self.claimed_at is None and self.is_past_its_deadline is True

    @property
    def question(self) -> JsonObject | None:
        """The payload; None where it cannot be read or shown."""
        try:
            return None if self.payload is None else read_payload(self.payload)
        except UnreadablePayload:
            return None


def judge(
    click: Click,
    found: FoundRow | None,
    application: str,
    lease_token: UUID | None = None,
    operator: Operator | None = None,
) -> Claim | Refusal | None:
    """Return the answer to a click whose claim matched no row; None when it would match by now.

    Organization and connection come first, so that a stranger cannot tell a foreign question from an unknown one;
    then whether this application may answer, the user, and the state. A press that had won is answered by its win.
    """
    id = click.question_id
    if found is None or (found.organization_id, found.connection_id) != (click.organization_id, click.connection_id):
        return Refusal(id, RefusalReason.UNKNOWN_OR_EXPIRED)
    if found.application != application:
        return Refusal(id, RefusalReason.OTHER_APPLICATION)
    if click.ask_number is not None and click.ask_number != found.ask_number:
        return _judge_other_asking(click, found, click.ask_number)
    if click.user_id not in (found.expected_user_id, found.escalated_to):
        return Refusal(id, RefusalReason.NOT_YOURS)
    if found.is_to_expire:
        return Refusal(id, RefusalReason.EXPIRED)
    if found.claimed_at is None:
        question = found.question
        # What cannot be read here, the claim has read, and refused.
        if question is not None and _is_answered(question, click):
            return None
        return Refusal(id, RefusalReason.INVALID_ANSWER, options=question_options(question or {}))
    if found.outcome is Outcome.WITHDRAWN:
        return Refusal(id, RefusalReason.WITHDRAWN)
    if found.outcome is Outcome.EXPIRED:
        return Refusal(id, RefusalReason.EXPIRED)
    answered_by = None if found.outcome is Outcome.DEFAULTED else found.answered_by or found.expected_user_id
    by = click.user_id if operator is None else operator.answered_by
    is_the_press = (found.delivery_key, answered_by) == (click.delivery_key, by)
    if is_the_press and _is_the_answer(click, found.answer, found.question):
        is_own = lease_token is not None and found.lease_token == lease_token
        return Claim(
            id,
            found.ask_number,
            found.expected_user_id,
            found.question or {},
            found.answer,
            found.claimed_at,
            lease_token if is_own else None,
            repeated=not is_own,
        )
    return Refusal(id, RefusalReason.ALREADY_ANSWERED, answered_by, found.answer, found.claimed_at)


def _judge_other_asking(click: Click, found: FoundRow, number: int) -> Claim | Refusal:
    """Of the asking before the row's present one its ending is known, of older ones that they are superseded."""
    id = click.question_id
    stored = read_json(found.previous)
    previous = stored if isinstance(stored, Mapping) and stored.get("ask_number") == number else {}
    if click.user_id not in (found.expected_user_id, previous.get("escalated_to")):
        return Refusal(id, RefusalReason.NOT_YOURS)
    if number > found.ask_number:
        return Refusal(id, RefusalReason.UNKNOWN_OR_EXPIRED)
    if not previous:
        return Refusal(id, RefusalReason.SUPERSEDED)
    ending, at = previous.get("ending"), read_time(previous.get("at"))
    if ending in (Outcome.WITHDRAWN, Outcome.EXPIRED):
        return Refusal(id, RefusalReason(ending))
    if ending not in ANSWERS:
        return Refusal(id, RefusalReason.SUPERSEDED)
    answered_by = previous.get("answered_by")
    answer = stored_answer if isinstance(stored_answer := previous.get("answer"), str) else None
    is_the_press = (previous.get("delivery_key"), answered_by) == (click.delivery_key, click.user_id)
    if at is not None and is_the_press and _is_the_answer(click, answer, None):
        return Claim(id, number, found.expected_user_id, {}, answer, at, repeated=True)
    return Refusal(
        id, RefusalReason.ALREADY_ANSWERED, answered_by if isinstance(answered_by, str) else None, answer, at
    )


def _is_answered(question: JsonObject, click: Click) -> bool:
    """Whether the click has an answer to the question, as the claim sees it."""
    if click.option is None:
        return accepts(question, click.value)
    return option_at(question, click.option) is not None


def _is_the_answer(click: Click, answer: str | None, question: JsonObject | None) -> bool:
    """Whether the click gave this answer. Of an option that can no longer be read its key and user have decided."""
    if click.option is None:
        return click.value == answer
    return question is None or option_at(question, click.option) == answer


def check_request(
    id: str, scope: Scope, application: str, request_key: str | None, request_digest: str | None, found: FoundRow
) -> None:
    """Refuse a request key that has asked this id in another request, of the same organization and application.

    Before the scope: the request may differ in that. To another organization the row says nothing.

    Raises KeyReused.
    """
    is_own = (found.organization_id, found.application) == (scope.organization_id, application)
    has_its_key = request_key is not None and request_key == found.request_key
    digests = {found.request_digest, request_digest} - {None}
    if is_own and has_its_key and len(digests) > 1:
        raise KeyReused(
            f"request key {request_key!r} has asked question {id!r} in another request; nothing was changed"
        )


def judge_put(
    id: str,
    scope: Scope,
    application: str,
    request_key: str | None,
    found: FoundRow,
    payload: JsonObject,
    *,
    keeps: bool,
    waits: bool,
) -> PutOutcome | None:
    """Return how a question has ended that a put leaves alone; None when the put would match by now.

    Raises ScopeMismatch and RequestRefused.
    """
    if found.scope != scope:
        raise ScopeMismatch(f"question {id!r} belongs to another scope; nothing was changed")
    if found.application != application:
        raise ScopeMismatch(f"question {id!r} belongs to another application; nothing was changed")
    if request_key is not None and request_key in (found.displaced_keys or ()):
        raise RequestRefused(
            f"request {request_key!r} comes too late: question {id!r} was asked anew since; nothing was changed"
        )
    if found.claimed_at is not None:
        if keeps or found.is_undelivered or (request_key is not None and request_key == found.request_key):
            return _AS_PUT[found.outcome or Outcome.ANSWERED]
        return None
    has_its_key = None in (request_key, found.request_key) or request_key == found.request_key
    if has_its_key and _shown(found.question or {}) == _shown(payload) and not (waits and found.is_awaited):
        # Somebody has asked the same since the statements looked: this one is a retry by now.
        return None
    if request_key is not None and request_key == found.request_key and not found.is_awaited:
        raise KeyReused(f"request {request_key!r} has asked question {id!r} with another content; nothing was changed")
    if found.is_awaited:
        raise RequestRefused(
            f"somebody waits for the answer to question {id!r}; ask under another id, or try again later"
        )
    return None


_AS_PUT = {
    Outcome.ANSWERED: PutOutcome.ALREADY_ANSWERED,
    Outcome.DEFAULTED: PutOutcome.ALREADY_ANSWERED,
    Outcome.WITHDRAWN: PutOutcome.WITHDRAWN,
    Outcome.EXPIRED: PutOutcome.EXPIRED,
}


def _shown(payload: JsonObject) -> tuple[JsonValue, ...]:
    """Return what a card shows of a payload, as the statements of a put compare it."""
    question = payload.get("question")
    fields = question if isinstance(question, Mapping) else {}
    return fields.get("text"), fields.get("options") or [], fields.get("conversation_id") or ""
