"""Leases on what a pod has to do: answers, cards, posts and events, and the marks of what became of them.

Longer than other files: it is the one class that a pod's loop calls, and nearly each method one statement with its
parameters.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

from psycopg import Rollback
from psycopg.rows import class_row, kwargs_row, scalar_row

from ..inspected import State
from ..leased import (
    EditedCard,
    LeasedAnswer,
    LeasedCard,
    LeasedEvents,
    LeasedPost,
    PostedCard,
    RetiredCard,
    Unreadable,
)
from ..model import MAX_ASK_NUMBER, Due, Outcome
from ..payload import JsonObject, check_id
from ..pods import KEPT, Heartbeat
from ..postgres.connections import Borrowed, Connection, ConnectionSource, in_transaction
from ..postgres.time_limits import Purpose
from ..schedule import MAX_AGE
from . import card_statements
from . import lease_statements as statements
from .ending_statements import EXPIRE
from .event_statements import EVENTS_STILL_WAIT, LEASE_EVENTS, MARK_APPENDED, MARK_NOT_APPENDED
from .leased_rows import LEASED_POST_ROW, LEASED_ROW, leased_card
from .pod_statements import BEAT, HEAR, LEAVE
from .post_statements import GIVE_BACK_POSTS, LEASE_POSTS, MARK_NOT_POSTED

# What an error says is kept for the person on call, not as a log.
MAX_ERROR_CHARACTERS = 1_000
# A stream that somebody holds for longer is appended to later: the loop has few connections.
STREAM_LOCK_TIMEOUT = "200ms"


class Leases:
    """What a pod's loop works with: what is due, which pod has leased it, and what became of it.

    Of one application's rows alone. All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the
    database cannot do its part.
    """

    def __init__(
        self, source: ConnectionSource, application: str = "", *, pod: str = "", sinks: ConnectionSource | None = None
    ) -> None:
        self._source = source
        self._pod = pod
        self._sinks = sinks or source
        self._application = application

    async def due(self, connections: Collection[tuple[str, str]] = ()) -> Due:
        """Return whether answers wait for delivery, and cards of these (organization, connection) pairs for an edit."""
        parameters = {"application": self._application, "after": "", **_connections(connections)}
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(Due))
            due = await (await cursor.execute(statements.DUE, parameters)).fetchone()
        assert due is not None
        return due

    async def lease(
        self,
        *,
        lease: timedelta,
        limit: int,
        most_attempts: int,
        after: str = "",
        busy: Collection[str] = (),
        endings: bool = False,
    ) -> list[LeasedAnswer | Unreadable]:
        """Take over at most `limit` answers whose lease has run out or whose next attempt is due.

        Or `endings`, of questions that no person has answered: what they defaulted to, that they have expired, or that
        they were withdrawn.

        Tenants take turns: the oldest of each comes first, of at most `limit` organizations in the order of their ids
        that come `after` this one, and none of the `busy` ones. No other pod gets the answers until `lease` has passed.
        One that was attempted `most_attempts` times without a mark becomes stuck instead. One whose payload cannot be
        read is leased as well, to be marked as failed.
        """
        parameters = {
            "application": self._application,
            "pod": self._pod,
            "lease": lease,
            "limit": limit,
            "most_tenants": limit,
            "most_attempts": most_attempts,
            "after": after,
            "busy": list(busy),
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            cursor = borrowed.cursor(row_factory=LEASED_ROW)
            statement = statements.LEASE_ENDINGS if endings else statements.LEASE
            leased = await (await cursor.execute(statement, parameters)).fetchall()
        return [each for each in leased if each is not None]

    async def hear(self, outcomes: Collection[Outcome]) -> None:
        """Note of which endings the application's worker wants to hear; of others none is kept for it from now on."""
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            await borrowed.execute(HEAR, self._heard(outcomes))

    async def beat(self, outcomes: Collection[Outcome], heartbeat: Heartbeat) -> None:
        """Note what `hear` does, and that a pod lives; those of pods that died an hour ago are removed."""
        parameters = {**self._heard(outcomes), **asdict(heartbeat), "pod": self._pod, "kept": KEPT}
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            await borrowed.execute(BEAT, parameters)

    def _heard(self, outcomes: Collection[Outcome]) -> dict[str, object]:
        return {
            "application": self._application,
            "outcomes": sorted(outcomes),
            "lock_timeout": Purpose.LOOP.lock_timeout,
        }

    async def leave(self, instance: UUID) -> None:
        """Remove the note that this pod lives: it closes."""
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            await borrowed.execute(LEAVE, {"instance": instance})

    async def expire(self, *, limit: int) -> int:
        """End at most `limit` open questions whose deadline has passed, and return how many that were.

        With their default as the answer, or as expired. Rows that somebody has locked are left for the next time.
        """
        parameters = {
            "application": self._application,
            "limit": limit,
            "pod": self._pod,
            "awaited_by": None,
            "lock_timeout": Purpose.LOOP.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            return (await borrowed.execute(EXPIRE, parameters)).rowcount

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        """Mark an answer as delivered; False when the lease was lost, and another pod delivers it."""
        return await self._mark(statements.MARK_DELIVERED, _lease_parameters(leased), connection)

    async def mark_failed(
        self,
        leased: LeasedAnswer | Unreadable,
        error: str,
        *,
        retry_in: timedelta,
        most_attempts: int,
        permanent: bool = False,
    ) -> State | None:
        """Give a lease back after a failure, and return whether the answer is still UNDELIVERED or by now STUCK.

        It is stuck, and waits for a person, when the failure is permanent or so many attempts were made; else it is
        due again when `retry_in` has passed. None when the lease was lost.
        """
        failed = {
            **_lease_parameters(leased),
            "error": _storable(error),
            "retry_in": retry_in,
            "most_attempts": most_attempts,
            "permanent": permanent,
            "pod": self._pod,
            "lock_timeout": Purpose.MARK.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            row = await (await borrowed.execute(statements.MARK_FAILED, failed)).fetchone()
        return None if row is None else State.STUCK if row[0] else State.UNDELIVERED

    async def release(self, leased: LeasedAnswer) -> bool:
        """Give a lease back whose hand-over never began: no attempt is counted. False when the lease was lost."""
        return await self._mark(statements.RELEASE, _lease_parameters(leased), None)

    async def give_back(self, leased: Collection[LeasedAnswer], *, begun: Collection[UUID] = ()) -> set[str]:
        """Give leases back by one statement: their answers are due now. Those that were lost meanwhile are passed by.

        `begun` are the tokens of those that the worker may have: that attempt stays counted. Returns the ids of those
        that could not be given back yet, since their rows are locked.
        """
        parameters = {
            "ids": [each.answer.question_id for each in leased],
            "tokens": [each.token for each in leased],
            "begun": [each.token in begun for each in leased],
            "pod": self._pod,
            "lock_timeout": Purpose.MARK.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            return set(await (await cursor.execute(statements.GIVE_BACK, parameters)).fetchall())

    async def redeliver(self, ids: Sequence[str]) -> list[str]:
        """Queue answers for delivery now, attempts reset; return the ids found.

        Stuck, undelivered and delivered answers alike; their idempotency keys stay the same.
        """
        for id in ids:
            check_id(id, "question id")
        parameters = {
            "ids": list(ids),
            "application": self._application,
            "pod": self._pod,
            "lock_timeout": Purpose.MARK.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            await cursor.execute(statements.REDELIVER, parameters)
            return await cursor.fetchall()

    async def keep_waiting(self, id: str, ask_number: int, awaited_by: UUID, *, awaited_for: timedelta) -> bool:
        """Keep pods away from the answer that this asker waits for; False when the question has ended, or the turn."""
        return await self._mark(
            statements.KEEP_WAITING, {**_asker(id, ask_number, awaited_by), "awaited_for": awaited_for}, None
        )

    async def lease_awaited(
        self, id: str, ask_number: int, awaited_by: UUID, *, lease: timedelta
    ) -> LeasedAnswer | Unreadable | None:
        """Lease the ending that this asker waited for; None when a pod has leased it since."""
        parameters = {
            **_asker(id, ask_number, awaited_by),
            "lease": lease,
            "pod": self._pod,
            "lock_timeout": Purpose.MARK.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            cursor = borrowed.cursor(row_factory=LEASED_ROW)
            return await (await cursor.execute(statements.LEASE_AWAITED, parameters)).fetchone()

    async def stop_waiting(self, id: str, awaited_by: UUID) -> bool:
        """Leave the ending that this asker has waited for to the pods, at once."""
        return await self._mark(statements.STOP_WAITING, {"id": id, "awaited_by": awaited_by}, None)

    async def lease_cards(
        self,
        connections: Collection[tuple[str, str]],
        *,
        lease: timedelta,
        limit: int,
        max_age: timedelta = MAX_AGE,
    ) -> list[LeasedCard]:
        """Take over at most `limit` rows whose cards show less than they hold, of these connections.

        A connection is an (organization, connection) pair.

        Organizations take turns. One that is not marked is due again after `lease`, then after twice as long each time,
        an hour at most. `max_age` is the age at which a question is stale.
        """
        parameters = {
            "application": self._application,
            **_connections(connections),
            "pod": self._pod,
            "lease": lease,
            "limit": limit,
            "max_age": max_age,
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            cursor = borrowed.cursor(row_factory=kwargs_row(leased_card))
            return await (await cursor.execute(card_statements.LEASE_CARDS, parameters)).fetchall()

    async def give_back_cards(self, leased: Collection[LeasedCard]) -> None:
        """Give leases back by one statement, of cards that were not edited: they are due now."""
        parameters = {
            "ids": [each.question_id for each in leased],
            "ask_numbers": [each.ask_number for each in leased],
            "attempts": [each.attempts for each in leased],
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            await borrowed.execute(card_statements.GIVE_BACK_CARDS, parameters)

    async def lease_posts(
        self,
        connections: Collection[tuple[str, str]],
        *,
        lease: timedelta,
        limit: int,
        most_attempts: int,
        most_doubts: int,
    ) -> list[LeasedPost]:
        """Take over at most `limit` cards to post, reminders and escalations of these connections.

        Organizations take turns. A card that is not marked is due again after `lease`. After `most_attempts`, or
        `most_doubts` of which nobody knows whether they have posted it, it waits for a person instead. A reminder and
        an escalation are leased once: nobody else posts them, and what was missed meanwhile is merged into one.
        """
        parameters = {
            "application": self._application,
            **_connections(connections),
            "pod": self._pod,
            "lease": lease,
            "limit": limit,
            "most_attempts": most_attempts,
            "most_doubts": most_doubts,
            "lock_timeout": Purpose.LOOP.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            cursor = borrowed.cursor(row_factory=LEASED_POST_ROW)
            leased = await (await cursor.execute(LEASE_POSTS, parameters)).fetchall()
        return [each for each in leased if each is not None]

    async def mark_not_posted(
        self,
        id: str,
        ask_number: int,
        error: str,
        *,
        attempt: int,
        is_sure: bool,
        retry_in: timedelta,
        most_attempts: int,
        most_doubts: int,
        permanent: bool = False,
    ) -> bool | None:
        """Note that an attempt to post a card has failed, and return whether the card waits for a person now.

        `is_sure` says that it surely was not shown; else an attempt in doubt is counted. It is due again when
        `retry_in` has passed, unless the failure is permanent or so many attempts were made. None when the card is
        known to be there, the question has ended, or another attempt has begun.
        """
        parameters = {
            "id": id,
            "ask_number": ask_number,
            "error": _storable(error),
            "attempt": attempt,
            "is_sure": is_sure,
            "retry_in": retry_in,
            "most_attempts": most_attempts,
            "most_doubts": most_doubts,
            "permanent": permanent,
            "pod": self._pod,
            "lock_timeout": Purpose.MARK.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            row = await (await borrowed.execute(MARK_NOT_POSTED, parameters)).fetchone()
        return None if row is None else bool(row[0])

    async def give_back_posts(self, leased: Collection[LeasedPost], *, most_attempts: int) -> set[str]:
        """Give leases back by one statement, of cards of which nothing was sent: due now, and none is given up.

        Those that were lost meanwhile are passed by. Returns the ids of those that could not be given back yet, since
        their rows are locked.
        """
        parameters = {
            "ids": [each.question_id for each in leased],
            "ask_numbers": [each.ask_number for each in leased],
            "attempts": [each.attempt for each in leased],
            "most_attempts": most_attempts,
            "pod": self._pod,
            "lock_timeout": Purpose.MARK.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            return set(await (await cursor.execute(GIVE_BACK_POSTS, parameters)).fetchall())

    async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
        """Note that cards were posted, and their references, with which any pod can edit them.

        Each is to be edited when its question is answered or withdrawn, and at the age of `max_age`, when that is
        stale. An asking that is over is passed by. Returns the ids of those that could not be noted yet, since
        their rows are locked.
        """
        notes = [{"ask_number": each.ask_number, "card": each.card} for each in posted]
        ids = [each.question_id for each in posted]
        return await self._note(card_statements.MARK_POSTED, ids, notes, max_age)

    async def mark_edited(self, edited: Collection[EditedCard]) -> set[str]:
        """Note that cards were edited; one whose row has changed since that began, its card or its lease, stays due.

        Returns the ids of those that could not be noted yet, since their rows are locked.
        """
        notes = [
            {
                "ask_number": each.ask_number,
                "card": each.card,
                "claimed_at": None if each.claimed_at is None else each.claimed_at.isoformat(),
                "attempts": each.attempts,
                "gone": None if each.gone is None else _storable(each.gone),
            }
            for each in edited
        ]
        ids = [each.question_id for each in edited]
        locked = await self._note(card_statements.MARK_EDITED, ids, notes, MAX_AGE)
        if expired := [place for place, each in enumerate(edited) if each.claimed_at is None]:
            old = [ids[place] for place in expired], [notes[place] for place in expired]
            locked |= await self._note(card_statements.RETIRE_AGAIN, *old, MAX_AGE)
        return locked

    async def mark_retired(self, id: str, retired: Collection[RetiredCard], *, max_age: timedelta = MAX_AGE) -> bool:
        """Forget the cards of former askings that were edited, so that only what is left to edit stays due.

        Of an asking with several cards they are all edited, or none is given.
        """
        numbers = [each.ask_number for each in retired]
        parameters = {
            "id": id,
            "retired": list(map(str, numbers)),
            # What a row holds may be no ask number at all.
            "retired_numbers": [int(number) if 0 <= number <= MAX_ASK_NUMBER else None for number in numbers],
            "max_age": max_age,
        }
        return await self._mark(card_statements.MARK_RETIRED, parameters, None)

    async def lease_events(self, *, lease: timedelta, longest: timedelta, limit: int) -> list[LeasedEvents]:
        """Take over what is to be appended to the streams of at most `limit` questions, of each the first asking's.

        Organizations take turns. What is not marked is due again after `lease`, then after twice as long each time,
        `longest` at most.
        """
        parameters = {
            "application": self._application,
            "after": "",
            "lease": lease,
            "longest": longest,
            "limit": limit,
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(LeasedEvents))
            return await (await cursor.execute(LEASE_EVENTS, parameters)).fetchall()

    async def append_events(
        self, leased: LeasedEvents, append: Callable[[Connection], Awaitable[object]], *, error: str | None = None
    ) -> bool:
        """Have `append` append what was leased, and mark it, in one transaction: both or neither.

        `append` waits for a lock 200 ms at most. With `error` it was left out, for this reason. Returns False, with
        nothing done, where another pod was first, the row has changed or somebody has locked it: then it stays due.
        Raises what `append` raises.
        """
        parameters = {
            "id": leased.question_id,
            "asking": leased.asking,
            "error": None if error is None else _storable(error),
            "lock_timeout": STREAM_LOCK_TIMEOUT,
        }
        is_marked = False
        async with in_transaction(self._source, purpose=Purpose.APPEND) as connection:
            if await (await connection.execute(EVENTS_STILL_WAIT, parameters)).fetchone() is not None:
                await append(connection)
                is_marked = await (await connection.execute(MARK_APPENDED, parameters)).fetchone() is not None
            if not is_marked:
                raise Rollback
        return is_marked

    async def mark_not_appended(self, leased: LeasedEvents, error: str) -> None:
        """Note why what was leased was not appended this time; nothing, where the row has changed or is locked."""
        parameters = {
            "id": leased.question_id,
            "asking": leased.asking,
            "error": _storable(error),
            "lock_timeout": Purpose.LOOP.lock_timeout,
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            await borrowed.execute(MARK_NOT_APPENDED, parameters)

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction, for a mark beside a sink's own statement."""
        return in_transaction(self._sinks, purpose=Purpose.SINK)

    async def _mark(
        self, statement: LiteralString, parameters: Mapping[str, object], connection: Connection | None
    ) -> bool:
        lock_timeout = None if connection is not None else Purpose.MARK.lock_timeout
        async with Borrowed(self._source, connection, purpose=Purpose.MARK) as borrowed:
            cursor = await borrowed.execute(statement, {**parameters, "pod": self._pod, "lock_timeout": lock_timeout})
            return await cursor.fetchone() is not None

    async def _note(
        self, statement: LiteralString, ids: list[str], notes: Sequence[JsonObject], max_age: timedelta
    ) -> set[str]:
        parameters = {"ids": ids, "notes": json.dumps(notes), "max_age": max_age, "pod": self._pod}
        async with Borrowed(self._source, purpose=Purpose.MARK) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            return set(await (await cursor.execute(statement, parameters)).fetchall())


def _lease_parameters(leased: LeasedAnswer | Unreadable) -> dict[str, str | int | UUID]:
    answer = leased.answer if isinstance(leased, LeasedAnswer) else leased
    return {"id": answer.question_id, "ask_number": answer.ask_number, "lease_token": leased.token}


def _storable(error: str) -> str:
    """Return what a worker or a platform says as far as Postgres can hold it."""
    return error.replace("\0", "").encode(errors="replace").decode()[:MAX_ERROR_CHARACTERS]


def _asker(id: str, ask_number: int, awaited_by: UUID) -> dict[str, str | int | UUID]:
    return {"id": id, "ask_number": ask_number, "awaited_by": awaited_by}


def _connections(connections: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    return {
        "organization_ids": [organization for organization, _ in connections],
        "connection_ids": [connection for _, connection in connections],
    }
