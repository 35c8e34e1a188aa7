"""Leases on what is to be delivered and edited, and the marks of what became of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

from psycopg.rows import scalar_row

from ..model import MAX_AGE, Answer, Due, EditedCard, LeasedAnswer, LeasedCard, PostedCard, State
from ..payload import check_id
from ..postgres.connections import Borrower, Connection
from . import statements

# What an error says is kept for the person on call, not as a log.
MAX_ERROR_CHARACTERS = 1_000


class Leases(Borrower):
    """The part of the store that a pod's loop works with: what is due, whose it is, and what became of it."""

    async def due(self, connections: Collection[tuple[str, str]] = ()) -> Due:
        """Return what waits: answers for their delivery, and cards of these (organization, connection) pairs."""
        async with self._writing(None) as reading:
            row = await (await reading.execute(statements.DUE, _connections(connections))).fetchone()
        assert row is not None
        return Due(*row)

    async def lease(self, *, lease: timedelta, limit: int, most_attempts: int) -> list[LeasedAnswer]:
        """Take over at most `limit` answers whose lease has run out or whose next attempt is due, oldest first.

        Nobody else gets them until `lease` has passed. One that was attempted `most_attempts` times, and not marked,
        becomes stuck instead.
        """
        asked = {"lease": lease, "limit": limit, "most_attempts": most_attempts}
        async with self._writing(None) as writing:
            rows = await (await writing.execute(statements.LEASE, asked)).fetchall()
        return [
            LeasedAnswer(Answer.of(*row), token, attempt, at) for *row, token, attempt, at in rows if token is not None
        ]

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        """Mark an answer as delivered; False when the lease was lost, and somebody else delivers it."""
        async with self._writing(connection) as writing:
            cursor = await writing.execute(statements.MARK_DELIVERED, _lease_parameters(leased))
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
        async with self._writing(None) as writing:
            row = await (await writing.execute(statements.MARK_FAILED, failed)).fetchone()
        return None if row is None else State.STUCK if row[0] else State.UNDELIVERED

    async def redeliver(self, ids: Sequence[str]) -> list[str]:
        """Have answers delivered, now and with all attempts before them, and return the ids of those that there were.

        Stuck and undelivered ones, and also those that were delivered already; their idempotency key stays the same.
        """
        for id in ids:
            check_id(id, "question id")
        async with self._writing(None) as writing:
            cursor = writing.cursor(row_factory=scalar_row)
            await cursor.execute(statements.REDELIVER, {"ids": list(ids)})
            return await cursor.fetchall()

    async def lease_cards(
        self, connections: Collection[tuple[str, str]], *, lease: timedelta, limit: int
    ) -> list[LeasedCard]:
        """Take over at most `limit` cards that show less than their rows, of these (organization, connection) pairs.

        One that is not marked is due again after `lease`, then after twice as long each time, an hour at most.
        """
        asked = {**_connections(connections), "lease": lease, "limit": limit}
        async with self._writing(None) as writing:
            return [LeasedCard(*row) for row in await (await writing.execute(statements.LEASE_CARDS, asked)).fetchall()]

    async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
        """Note that cards were posted, and their references, with which any pod can edit them.

        Each is to be edited when its question is answered or withdrawn, and at the age of `max_age`, when that is
        stale. An asking that is over is passed by. Returns the ids of those that could not be noted yet, since
        somebody has locked their rows.
        """
        asked = {**_noted(posted), "max_age": max_age}
        return await self._note(statements.MARK_POSTED, asked)

    async def mark_edited(self, edited: Collection[EditedCard]) -> set[str]:
        """Note that cards were edited; one whose row has changed since that began, or its card, stays due.

        Returns the ids of those that could not be noted yet, since somebody has locked their rows.
        """
        asked = {**_noted(edited), "claimed_at": [each.claimed_at for each in edited]}
        return await self._note(statements.MARK_EDITED, asked)

    async def _note(self, statement: LiteralString, asked: Mapping[str, object]) -> set[str]:
        async with self._writing(None) as writing:
            cursor = writing.cursor(row_factory=scalar_row)
            return set(await (await cursor.execute(statement, asked)).fetchall())


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
