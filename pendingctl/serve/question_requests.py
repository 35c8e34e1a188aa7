"""What a client sends to ask a question, and what it reads of one. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from ..errors import InvalidInput
from ..inspected import PendingInteraction, PendingSummary
from ..model import Question, Scope
from ..payload import JsonObject, JsonValue, check_id, question_options
from ..platforms.slack.references import conversation_of, person_of
from ..words import read_duration
from .json_bodies import read_fields
from .problems import Problem
from .settings import Connection

# RFC 8941, section 3.3.3: a string; without its quotes a key is taken as well, as most clients send it.
_STRUCTURED_STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE_KEY = re.compile(r"[\x21\x23-\x7e]+")

_TEXTS = (
    *("id", "application", "connection_id", "user_id", "conversation_id", "text", "default", "escalate_to"),
    "stream",
)
_DURATIONS = ("expires_in", "remind_every", "escalate_after")
_FIELDS = frozenset({*_TEXTS, *_DURATIONS, "options", "remind_at_most"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a client asks, and of its request the key and a digest of all that it holds, if it has a key."""

    question: Question
    application: str | None
    request_key: str | None
    request_digest: str | None


def asked_by(organization_id: str, application: str, body: bytes, idempotency_key: str | None) -> Asked:
    """Return the question that a request's body asks.

    Its id is the client's; else it is made of the organization, the pods' application and the Idempotency-Key, so that
    a retry asks the same question on any pod. Raises Problem and InvalidInput.
    """
    fields = read_fields(body, _FIELDS, "a question")
    key = None if idempotency_key is None else _key(idempotency_key)
    id = _text(fields, "id")
    if id is None:
        if key is None:
            raise Problem(HTTPStatus.BAD_REQUEST, "name the question's id, or send an Idempotency-Key to have one made")
        id = _made_id(organization_id, application, key)
    user_id = _required(fields, "user_id")
    question = Question(
        id,
        Scope(organization_id, _required(fields, "connection_id"), user_id),
        _required(fields, "text"),
        _options(fields),
        # In direct messages, unless it names a place.
        _text(fields, "conversation_id") or person_of(user_id) or "",
        expires_in=_duration(fields, "expires_in"),
        default=_text(fields, "default"),
        remind_every=_duration(fields, "remind_every"),
        remind_at_most=_number(fields, "remind_at_most"),
        escalate_after=_duration(fields, "escalate_after"),
        escalate_to=_text(fields, "escalate_to"),
        stream=_text(fields, "stream"),
    )
    check_id(id, "id")
    return Asked(question, _text(fields, "application"), key, None if key is None else _digest(fields))


def check_people(question: Question, connection: Connection, installed: Container[tuple[str, str]]) -> None:
    """Raise InvalidInput for people who could never press the card's button under the name that the question has.

    Those of the connection's own workspace press without it (`Press.user_of`), and strangers to it not at all;
    `installed` are the apps with where they are installed.
    """
    asked = question.scope.expected_user_id
    for name, user_id in (("user_id", asked), ("escalate_to", question.escalate_to)):
        if user_id is None:
            continue
        person, (team, colon, _) = person_of(user_id), user_id.partition(":")
        if person is None:
            raise InvalidInput(f"{name!r} is {user_id[:80]!r}, which is no person's id in Slack, as in 'U0123456789'")
        if colon and team in connection.home:
            raise InvalidInput(f"{name!r} is {user_id!r}, of the connection's own workspace; name them as {person!r}")
        if colon and not connection.knows(team, installed):
            raise InvalidInput(
                f"{name!r} is {user_id!r}, of a workspace whose people may not answer here; have it added to the "
                "connection's allowed_teams"
            )
    place = conversation_of(question.conversation_id, asked)
    if question.escalate_to and place.is_direct:
        raise InvalidInput(
            "the question is escalated, and its card stands in direct messages that nobody else sees; name a channel "
            "as 'conversation_id'"
        )
    if place.is_person and place.id != person_of(asked):
        raise InvalidInput(
            f"the question asks {asked!r}, and its card would stand in the direct messages of {place.id!r}, who may "
            "not answer; leave 'conversation_id' out, or name a channel"
        )


def check_escalation(question: Question, max_age: timedelta) -> None:
    """Raise InvalidInput for an escalation that the sweep of this pod, which takes what has this age, forestalls."""
    if question.expires_in is None and question.escalate_after is not None and question.escalate_after >= max_age:
        raise InvalidInput(
            f"the question is escalated after {question.escalate_after}, when it may have been swept "
            f"(after {max_age}); give it a deadline"
        )


def shown_summary(row: PendingSummary) -> dict[str, JsonValue]:
    """Return what a list shows of a question."""
    return {
        "question_id": row.id,
        "ask_number": row.ask_number,
        "connection_id": row.connection_id,
        "user_id": row.expected_user_id,
        "conversation_id": row.conversation_id,
        "text": row.question,
        "state": row.state,
        "asked_at": _time(row.created_at),
        "expires_at": _time(row.expires_at),
        "ended_at": _time(row.claimed_at),
        "answered_by": row.answered_by,
    }


def shown_question(row: PendingInteraction) -> dict[str, JsonValue]:
    """Return all that a client reads of a question: how it has ended, or null while it is open."""
    return {
        **shown_summary(row),
        "options": list(question_options(row.payload)),
        "outcome": row.outcome,
        "value": row.answer,
        "is_posted": row.posted_at is not None,
    }


def _required(fields: JsonObject, name: str) -> str:
    value = _text(fields, name)
    if value is None:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the field {name!r} is missing")
    return value


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name!r} is no text")
    return value


def _number(fields: JsonObject, name: str) -> int | None:
    value = fields.get(name)
    if value is not None and type(value) is not int:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name!r} is no whole number")
    return value


def _duration(fields: JsonObject, name: str) -> timedelta | None:
    value = _text(fields, name)
    try:
        return None if value is None else read_duration(value)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name!r}: {error}") from None


def _options(fields: JsonObject) -> tuple[str, ...]:
    options = fields.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise Problem(HTTPStatus.BAD_REQUEST, "'options' is no list of texts")
    # The library takes any text as an answer where there are none; a card in Slack has nowhere to write one.
    if not options:
        raise Problem(HTTPStatus.BAD_REQUEST, "the question has no 'options': nobody could answer it in Slack")
    return tuple(options)


def _digest(fields: JsonObject) -> str:
    """Return what two bodies share if they hold the same, however they are written."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _key(header: str) -> str:
    if structured := _STRUCTURED_STRING.fullmatch(header):
        key = re.sub(r"\\(.)", r"\1", structured[1])
    elif _BARE_KEY.fullmatch(header):
        key = header
    else:
        raise Problem(HTTPStatus.BAD_REQUEST, "the Idempotency-Key is no string as RFC 8941 has it")
    check_id(key, "the Idempotency-Key")
    return key


def _made_id(organization_id: str, application: str, key: str) -> str:
    """Return an id that nobody else has: the lengths keep two triples from reading alike."""
    parts = "".join(f"{len(part)}:{part}" for part in (organization_id, application, key))
    return f"q-{hashlib.sha256(parts.encode()).hexdigest()[:40]}"


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
