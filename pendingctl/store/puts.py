"""Storing questions: which of the statements does it, and what is reported where none does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from psycopg.rows import args_row, scalar_row

from ..errors import DatabaseFailed
from ..model import PutOutcome, Scope, Stored
from ..payload import JsonObject, check_id, check_stream_name
from ..postgres.connections import Connection
from ..schedule import Schedule, ScheduleParameters
from . import put_statements as statements
from .endings import expire_one
from .refusal import check_request, judge_put
from .rows import TRIES, look, scope_parameters

IfAnswered: TypeAlias = Literal["reopen", "keep"]

# How long an asker that waits keeps pods away from the answer, unless it renews that.
AWAITED_FOR = timedelta(seconds=15)
# Of requests that a later asking has displaced so many are remembered, the latest ones.
MOST_DISPLACED_KEYS = 100


class PutOptions(Schedule, total=False):
    """The options of `PendingStore.put`, for whoever passes them on."""

    show: bool
    request_key: str | None
    request_digest: str | None
    if_answered: IfAnswered
    awaited_by: UUID | None
    posting: timedelta | None
    stream: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A question that is to be stored, see `PendingStore.put`; `encoded` is its payload as JSON text, with its digest.

    Raises InvalidInput for an id that Postgres cannot hold, and for what is no name of a stream.
    """

    id: str
    scope: Scope
    payload: JsonObject
    encoded: str
    schedule: ScheduleParameters
    application: str
    pod: str
    show: bool
    request_key: str | None = None
    request_digest: str | None = None
    if_answered: IfAnswered = "reopen"
    awaited_by: UUID | None = None
    posting: timedelta | None = None
    stream: str | None = None
    lock_timeout: str | None = None

    def __post_init__(self) -> None:
        check_id(self.id, "question id")
        if self.stream is not None:
            check_stream_name(self.stream)


def _stored(
    id: str, outcome: str, ask_number: int, created_at: datetime, row_version: str, is_to_be_posted: bool
) -> Stored:
    return Stored(id, PutOutcome(outcome), ask_number, created_at, row_version, is_to_be_posted)


# By place, as a claim is read, since names cost time.
_STORED_ROW = args_row(_stored)


async def put(connection: Connection, question: Put) -> Stored:
    """Store a question, or leave one alone that has ended, and return what was done.

    Raises ScopeMismatch and RequestRefused, and DatabaseFailed where the row changes all the time.
    """
    parameters = {
        "id": question.id,
        **scope_parameters(question.scope),
        **question.schedule,
        "application": question.application,
        "pod": question.pod,
        "payload": question.encoded,
        "show": question.show,
        "request_key": question.request_key,
        "request_digest": question.request_digest,
        "reopens": question.if_answered == "reopen",
        "awaited_by": question.awaited_by,
        "awaited_for": None if question.awaited_by is None else AWAITED_FOR,
        "posting": question.posting,
        "stream": question.stream,
        "most_displaced_keys": MOST_DISPLACED_KEYS,
        "lock_timeout": question.lock_timeout,
    }
    for _ in range(TRIES):
        for statement in (statements.INSERT, statements.REFRESH, statements.ASK_AGAIN):
            cursor = connection.cursor(row_factory=_STORED_ROW)
            if (stored := await (await cursor.execute(statement, parameters)).fetchone()) is not None:
                return stored
        found = await look(connection, question.id, question.scope)
        if found is None:
            continue
        check_request(
            *(question.id, question.scope, question.application, question.request_key, question.request_digest, found)
        )
        if found.is_to_expire and found.scope == question.scope and found.application == question.application:
            await expire_one(
                *(connection, question.id, found.ask_number), pod=question.pod, lock_timeout=question.lock_timeout
            )
            continue
        ending = judge_put(
            *(question.id, question.scope, question.application, question.request_key, found, question.payload),
            keeps=question.if_answered == "keep",
            waits=question.awaited_by is not None,
        )
        if ending is not None:
            return Stored(question.id, ending, found.ask_number, found.created_at, found.row_version)
    raise DatabaseFailed(f"question {question.id!r} changed {TRIES} times while it was stored; try again")


async def put_batch(connection: Connection, questions: Mapping[str, Put]) -> Counter[PutOutcome]:
    """Store questions by their ids, as `put` does, and return how many had which outcome.

    All are of the first one's application, pod, schedule and stream.
    """
    new = await _insert(connection, list(questions.values()))
    outcomes = Counter({PutOutcome.CREATED: len(new)})
    # In one order, so that two runs over the same ids do not wait for each other.
    for id in sorted(questions.keys() - new):
        outcomes[(await put(connection, questions[id])).outcome] += 1
    return outcomes


async def _insert(connection: Connection, questions: Sequence[Put]) -> set[str]:
    """Store those of the questions whose ids no row has, by one statement, and return these ids."""
    first = questions[0]
    parameters = {
        "ids": [each.id for each in questions],
        "organization_ids": [each.scope.organization_id for each in questions],
        "connection_ids": [each.scope.connection_id for each in questions],
        "expected_user_ids": [each.scope.expected_user_id for each in questions],
        "payloads": [each.encoded for each in questions],
        **first.schedule,
        "application": first.application,
        "pod": first.pod,
        "show": first.show,
        "stream": first.stream,
        "lock_timeout": None,
    }
    cursor = connection.cursor(row_factory=scalar_row)
    return set(await (await cursor.execute(statements.INSERT_MANY, parameters)).fetchall())
