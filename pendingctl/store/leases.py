"""Leases on the answers to deliver and the cards to edit, and the marks of what became of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row, kwargs_row, scalar_row

from ..model import MAX_AGE, Answer, Due, EditedCard, LeasedAnswer, LeasedCard, PostedCard, State
from ..payload import JsonObject, check_id, conversation_of
from ..postgres.connections import Borrowed, Connection, ConnectionSource, in_transaction
from . import lease_statements as statements

# What an error says is kept for the person on call, not as a log.
MAX_ERROR_CHARACTERS = 1_000


class Leases:
    """What a pod's loop works with: what is due, which pod has leased it, and what became of it.

    All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the database cannot do its part.
    """

    def __init__(self, source: ConnectionSource, application: str = "") -> None:
        self._source = source
        self._application = application

    async def due(self, connections: Collection[tuple[str, str]] = ()) -> Due:
        """Return whether answers wait for delivery, and cards of these (organization, connection) pairs for an edit."""
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(Due))
            due = await (await cursor.execute(statements.DUE, _connections(connections))).fetchone()
        assert due is not None
        return due

    async def lease(self, *, lease: timedelta, limit: int, most_attempts: int) -> list[LeasedAnswer]:
        """Take over at most `limit` answers whose lease has run out or whose next attempt is due, oldest first.

        No other pod gets them until `lease` has passed. An answer that was attempted `most_attempts` times without a
        mark becomes stuck instead.
        """
        parameters = {"lease": lease, "limit": limit, "most_attempts": most_attempts}
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=kwargs_row(_leased_answer))
            leased = await (await cursor.execute(statements.LEASE, parameters)).fetchall()
        return [each for each in leased if each is not None]

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        """Mark an answer as delivered; False when the lease was lost, and somebody else delivers it."""
        async with Borrowed(self._source, connection) as borrowed:
            cursor = await borrowed.execute(statements.MARK_DELIVERED, _lease_parameters(leased))
            return await cursor.fetchone() is not None

    async def mark_failed(
        self, leased: LeasedAnswer, error: str, *, retry_in: timedelta, most_attempts: int, permanent: bool = False
    ) -> State | None:
        """Give a lease back after a failure, and return whether the answer is still UNDELIVERED or by now STUCK.

        It is stuck, and waits for a person, when the failure is permanent or so many attempts were made; else it is
        due again when `retry_in` has passed. None when the lease was lost.
        """
        failed = {
            **_lease_parameters(leased),
            # Whatever a worker says is kept as far as Postgres can hold it.
            "error": error.replace("\0", "").encode(errors="replace").decode()[:MAX_ERROR_CHARACTERS],
            "retry_in": retry_in,
            "most_attempts": most_attempts,
            "permanent": permanent,
        }
        async with Borrowed(self._source) as borrowed:
            row = await (await borrowed.execute(statements.MARK_FAILED, failed)).fetchone()
        return None if row is None else State.STUCK if row[0] else State.UNDELIVERED

    async def redeliver(self, ids: Sequence[str]) -> list[str]:
        """Queue answers for delivery now, attempts reset; return the ids found.

        Stuck, undelivered and delivered answers alike; their idempotency keys stay the same.
        """
        for id in ids:
            check_id(id, "question id")
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            await cursor.execute(statements.REDELIVER, {"ids": list(ids)})
            return await cursor.fetchall()

    async def lease_cards(
        self, connections: Collection[tuple[str, str]], *, lease: timedelta, limit: int
    ) -> list[LeasedCard]:
        """Take over at most `limit` cards that show less than their rows, of these (organization, connection) pairs.

        One that is not marked is due again after `lease`, then after twice as long each time, an hour at most.
        """
        parameters = {**_connections(connections), "lease": lease, "limit": limit}
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(LeasedCard))
            return await (await cursor.execute(statements.LEASE_CARDS, parameters)).fetchall()

    async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
        """Note that cards were posted, and their references, with which any pod can edit them.

        Each is to be edited when its question is answered or withdrawn, and at the age of `max_age`, when that is
        stale. An asking that is over is passed by. Returns the ids of those that could not be noted yet, since
        somebody has locked their rows.
        """
        return await self._note(statements.MARK_POSTED, {**_noted(posted), "max_age": max_age})

    async def mark_edited(self, edited: Collection[EditedCard]) -> set[str]:
        """Note that cards were edited; one whose row has changed since that began, or its card, stays due.

        Returns the ids of those that could not be noted yet, since somebody has locked their rows.
        """
        claimed_at = [each.claimed_at for each in edited]
        return await self._note(statements.MARK_EDITED, {**_noted(edited), "claimed_at": claimed_at})

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction, for a mark beside a sink's own statement."""
        return in_transaction(self._source)

    async def _note(self, statement: LiteralString, parameters: Mapping[str, object]) -> set[str]:
        async with Borrowed(self._source) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            return set(await (await cursor.execute(statement, parameters)).fetchall())


def _leased_answer(
    *,
    question_id: str,
    ask_number: int,
    value: str | None,
    organization_id: str,
    connection_id: str,
    user_id: str,
    payload: JsonObject,
    claimed_at: datetime,
    token: UUID | None,
    attempt: int,
    leased_at: datetime,
) -> LeasedAnswer | None:
    """Return what a row of LEASE leases; None for an answer that has become stuck."""
    if token is None:
        return None
    answer = Answer(
        question_id=question_id,
        ask_number=ask_number,
        value=value,
        organization_id=organization_id,
        connection_id=connection_id,
        user_id=user_id,
        conversation_id=conversation_of(payload),
        payload=payload,
        claimed_at=claimed_at,
    )
    return LeasedAnswer(answer=answer, token=token, attempt=attempt, leased_at=leased_at)


def _lease_parameters(leased: LeasedAnswer) -> dict[str, str | int | UUID]:
    return {
        "id": leased.answer.question_id,
        "ask_number": leased.answer.ask_number,
        "lease_token": leased.token,
    }


def _noted(cards: Collection[PostedCard] | Collection[EditedCard]) -> dict[str, object]:
    return {
        "ids": [each.question_id for each in cards],
        "ask_numbers": [each.ask_number for each in cards],
        "cards": [each.card for each in cards],
    }


def _connections(connections: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    return {
        "organization_ids": [organization for organization, _ in connections],
        "connection_ids": [connection for _, connection in connections],
    }
