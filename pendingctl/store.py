"""The pending interactions of one database: store, claim, delete, sweep and read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from psycopg.errors import NotNullViolation
from psycopg.rows import class_row, dict_row, scalar_row

from . import statements
from .database import Borrowed, Connection, ConnectionSource
from .errors import DatabaseFailed, InvalidInput, ScopeMismatch, Undelivered
from .model import (
    MAX_PAYLOAD_BYTES,
    Answer,
    CardState,
    Claim,
    Click,
    Counts,
    Due,
    EditedCard,
    JsonObject,
    LeasedAnswer,
    LeasedCard,
    OrganizationCounts,
    PendingInteraction,
    PendingSummary,
    PostedCard,
    PutOutcome,
    Refusal,
    Scope,
    State,
    Stored,
    SweepTurn,
    Withdrawal,
    check_id,
    check_text,
    conversation_of,
    encode_payload,
)
from .refusal import FoundRow, judge

IfAnswered: TypeAlias = Literal["reopen", "keep"]

MAX_AGE = timedelta(hours=24)
BATCH_SIZE = 1_000
REMAINING_CAP = 10_000
READ_TIMEOUT = timedelta(seconds=30)
# What an error says is kept for the person on call, not as a log.
MAX_ERROR_CHARACTERS = 1_000

# A row can change hands between two statements of one call; each further try needs another such change.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows `find` returns; None takes all."""

    organization_id: str | None = None
    connection_id: str | None = None
    expected_user_id: str | None = None
    state: State | None = None
    older_than: timedelta | None = None
    card: CardState | None = None


class PendingStore:
    """The pending interactions of one database.

    `source` lends connections: a pool of `pendingctl.open_pool`, or another whose connections
    `database.prepare_connection` has made fit. Methods that take `connection` run inside the caller's
    transaction and leave its end to the caller; without it, what they did is durable when they return.

    All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the database cannot do its part, and
    InvalidInput, before any SQL, for ids and payloads that it cannot hold.
    """

    def __init__(self, source: ConnectionSource, *, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self._source = source
        self._max_payload_bytes = max_payload_bytes

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        if_answered: IfAnswered = "reopen",
        awaited_for: timedelta | None = None,
        connection: Connection | None = None,
    ) -> Stored:
        """Store a question, or store it again.

        The same scope, unclaimed: the payload is refreshed and the row keeps its age. Claimed: asked again under
        the next ask number, or left alone and reported as already answered: with `keep`, and while the answer is
        undelivered. `awaited_for` is how long the caller itself waits to read the answer (see `read_answer`); only
        after that do pods deliver it.

        Raises ScopeMismatch, changing nothing, when the id belongs to another scope, and NotFound when the
        organization does not exist.
        """
        check_id(id, "question id")
        row = {
            "id": id,
            **_scope_parameters(scope),
            "payload": encode_payload(payload, self._max_payload_bytes),
            "awaited_for": awaited_for,
        }
        attempts = [(statements.INSERT, PutOutcome.CREATED), (statements.REFRESH, PutOutcome.REFRESHED)]
        if if_answered == "reopen":
            attempts.append((statements.REOPEN, PutOutcome.REOPENED))
        async with self._writing(connection) as writing:
            for _ in range(_TRIES):
                for statement, outcome in attempts:
                    written = await (await writing.execute(statement, row)).fetchone()
                    if written is not None:
                        return Stored(id, outcome, *written)
                found = await _look(writing, id)
                if found is None:
                    continue
                if found.scope != scope:
                    raise ScopeMismatch(f"question {id!r} belongs to another scope; nothing was changed")
                if found.claimed_at is not None and (if_answered == "keep" or found.is_undelivered):
                    kept = PutOutcome.ALREADY_ANSWERED
                    return Stored(id, kept, found.ask_number, found.created_at, found.row_version)
        raise DatabaseFailed(f"question {id!r} changed {_TRIES} times while it was stored; try again")

    async def put_many(
        self,
        questions: Iterable[tuple[str, Scope, JsonObject]],
        *,
        if_answered: IfAnswered = "reopen",
        create_organizations: bool = False,
        on_stored: Callable[[int], None] | None = None,
        connection: Connection | None = None,
    ) -> dict[PutOutcome, int]:
        """Store many questions in one transaction and return how many had which outcome.

        All or none: whatever fails, an error that `questions` raises included, nothing is stored. `on_stored` is
        told the size of each batch as it is written. Raises as `put` and, with `create_organizations`, as
        `create_organization` does.
        """
        outcomes = Counter[PutOutcome]()
        known: set[str] = set()
        waiting = iter(questions)
        async with self._writing(connection) as writing, writing.transaction():
            while batch := {id: (scope, payload) for id, scope, payload in islice(waiting, BATCH_SIZE)}:
                if create_organizations:
                    for organization in sorted({scope.organization_id for scope, _ in batch.values()} - known):
                        await self.create_organization(organization, connection=writing)
                        known.add(organization)
                new = await self._insert(writing, batch)
                outcomes[PutOutcome.CREATED] += len(new)
                # In one order, so that two runs over the same ids do not wait for each other.
                for id in sorted(batch.keys() - new):
                    stored = await self.put(id, *batch[id], if_answered=if_answered, connection=writing)
                    outcomes[stored.outcome] += 1
                if on_stored is not None:
                    on_stored(len(batch))
        return outcomes

    async def _insert(self, writing: Connection, batch: Mapping[str, tuple[Scope, JsonObject]]) -> set[str]:
        for id in batch:
            check_id(id, "question id")
        scopes = [scope for scope, _ in batch.values()]
        columns = {
            "ids": list(batch),
            "organization_ids": [scope.organization_id for scope in scopes],
            "connection_ids": [scope.connection_id for scope in scopes],
            "expected_user_ids": [scope.expected_user_id for scope in scopes],
            "payloads": [encode_payload(payload, self._max_payload_bytes) for _, payload in batch.values()],
        }
        cursor = writing.cursor(row_factory=scalar_row)
        return set(await (await cursor.execute(statements.INSERT_MANY, columns)).fetchall())

    async def claim(self, click: Click, *, lease: timedelta | None = None, pod: str = "") -> Claim | Refusal:
        """Make the click the winner, or say why it is not.

        A claim is durable, with its answer, when this returns. Without a `lease` the caller has the answer, which
        counts as delivered. With one the row stays undelivered until it is marked: the claim has the token for that,
        unless somebody waits to read the answer, and once the lease has run out any pod may deliver it. `pod` names
        the claiming pod for the person on call.

        The same press delivered again (the delivery key and value that won) is told that it won, with `repeated`
        set, however often it asks: that is how to learn what became of a claim whose reply was lost.
        """
        asked = claim_parameters(click, lease, pod)
        async with self._writing(None) as writing:
            for _ in range(_TRIES):
                won = await (await writing.execute(statements.CLAIM, asked)).fetchone()
                if won is not None:
                    return Claim(click.question_id, *won)
                told = judge(click, await _look(writing, click.question_id))
                if told is not None:
                    return told
        raise DatabaseFailed(f"question {click.question_id!r} was reopened {_TRIES} times during one claim; try again")

    async def withdraw(
        self, id: str, organization_id: str, connection_id: str, *, connection: Connection | None = None
    ) -> Withdrawal:
        """Take a question back that nobody needs answered any more; a click that comes later is refused.

        It loses and wins against clicks as a click does. To another organization or connection the question is
        unknown.
        """
        for value, name in (
            (id, "question id"),
            (organization_id, "organization_id"),
            (connection_id, "connection_id"),
        ):
            check_id(value, name)
        asked = {"id": id, "organization_id": organization_id, "connection_id": connection_id}
        async with self._writing(connection) as writing:
            for _ in range(_TRIES):
                if await (await writing.execute(statements.WITHDRAW, asked)).fetchone() is not None:
                    return Withdrawal.WITHDRAWN
                found = await _look(writing, id)
                if found is None or (found.organization_id, found.connection_id) != (organization_id, connection_id):
                    return Withdrawal.UNKNOWN
                if found.claimed_at is not None:
                    return Withdrawal.ALREADY_WITHDRAWN if found.is_withdrawn else Withdrawal.ALREADY_ANSWERED
        raise DatabaseFailed(f"question {id!r} was reopened {_TRIES} times while it was withdrawn; try again")

    async def read_answer(self, id: str, scope: Scope, ask_number: int) -> Answer | Withdrawal | None:
        """Return the answer to a question that the caller waits for, None while there is none.

        What was read counts as delivered. WITHDRAWN when there will be no answer, UNKNOWN when the row or the asking
        is gone.
        """
        async with self._writing(None) as writing:
            found = await _look(writing, id)
            if found is None or found.scope != scope or found.ask_number != ask_number:
                return Withdrawal.UNKNOWN
            if found.claimed_at is None:
                return None
            if found.is_withdrawn:
                return Withdrawal.WITHDRAWN
            await writing.execute(statements.MARK_READ, {"id": id, "ask_number": ask_number})
        return _answer(
            id,
            ask_number,
            found.answer,
            scope.organization_id,
            scope.connection_id,
            scope.expected_user_id,
            found.entry_payload,
            found.claimed_at,
        )

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
            LeasedAnswer(_answer(*row), token, attempt, at) for *row, token, attempt, at in rows if token is not None
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

    async def stuck(self) -> list[str]:
        """Return the ids of the answers that wait for a person, the oldest first."""
        async with self._reading(None) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(statements.STUCK)
            return await cursor.fetchall()

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

    async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> None:
        """Note that cards were posted, and their references, with which any pod can edit them.

        Each is to be edited when its question is answered or withdrawn, and at the age of `max_age`, when that is
        stale. An asking that is over is passed by.
        """
        cards = sorted(posted, key=_by_question)
        asked = {**_askings(cards), "cards": [each.card for each in cards], "max_age": max_age}
        async with self._writing(None) as writing:
            await writing.execute(statements.MARK_POSTED, asked)

    async def lease_cards(
        self, connections: Collection[tuple[str, str]], *, lease: timedelta, limit: int
    ) -> list[LeasedCard]:
        """Take over at most `limit` cards that show less than their rows, of these (organization, connection) pairs.

        One that is not marked is due again after `lease`, then after twice as long each time, an hour at most.
        """
        asked = {**_connections(connections), "lease": lease, "limit": limit}
        async with self._writing(None) as writing:
            return [LeasedCard(*row) for row in await (await writing.execute(statements.LEASE_CARDS, asked)).fetchall()]

    async def mark_edited(self, edited: Collection[EditedCard]) -> None:
        """Note that cards were edited; one whose row has changed since that began stays due."""
        cards = sorted(edited, key=_by_question)
        asked = {**_askings(cards), "claimed_at": [each.claimed_at for each in cards]}
        async with self._writing(None) as writing:
            await writing.execute(statements.MARK_EDITED, asked)

    async def delete(
        self, id: str, scope: Scope, *, include_undelivered: bool = False, connection: Connection | None = None
    ) -> bool:
        """Delete the row of exactly this id and scope, claimed or not; return whether there was one.

        Raises Undelivered, deleting nothing, when its answer is not delivered yet, unless told to take it too.
        """
        check_id(id, "question id")
        asked = {"id": id, **_scope_parameters(scope), "include_undelivered": include_undelivered}
        async with self._writing(connection) as writing:
            for _ in range(_TRIES):
                if await (await writing.execute(statements.DELETE, asked)).fetchone() is not None:
                    return True
                found = await _look(writing, id)
                if found is None or found.scope != scope:
                    return False
                if found.is_undelivered:
                    raise Undelivered(f"the answer of question {id!r} is not delivered yet; nothing was deleted")
        raise DatabaseFailed(f"question {id!r} changed {_TRIES} times while it was deleted; try again")

    async def delete_untouched(self, stored: Stored, *, connection: Connection | None = None) -> bool:
        """Delete the row that a `put` created, if nobody has claimed it or put it again since.

        For a question whose card surely was not shown (law 4). Returns whether the row was deleted; a put that
        created no row deletes none.
        """
        if stored.outcome is not PutOutcome.CREATED:
            return False
        async with self._writing(connection) as writing:
            cursor = await writing.execute(
                statements.DELETE_UNTOUCHED, {"id": stored.id, "row_version": stored.row_version}
            )
            return await cursor.fetchone() is not None

    async def sweep(
        self,
        *,
        max_age: timedelta = MAX_AGE,
        limit: int | None = 1_000,
        batch_size: int = BATCH_SIZE,
        include_undelivered: bool = False,
    ) -> AsyncGenerator[list[str], None]:
        """Delete stale rows, claimed or not, oldest first, yielding the ids of each batch as it is gone.

        Undelivered and stuck answers stay, unless told to take them too. Never more than `limit` rows in all (None:
        until nothing stale is left), each batch a short transaction of its own that leaves rows alone that somebody
        has locked. Raises InvalidInput for a limit or a batch size below 1.
        """
        _check_positive(limit, "limit")
        _check_positive(batch_size, "batch size")
        left = limit
        while left is None or left > 0:
            size = batch_size if left is None else min(batch_size, left)
            async with self._writing(None) as writing:
                cursor = writing.cursor(row_factory=scalar_row)
                asked = {"max_age": max_age, "batch_size": size, "include_undelivered": include_undelivered}
                await cursor.execute(statements.SWEEP, asked)
                ids: list[str] = await cursor.fetchall()
            if ids:
                yield ids
            if len(ids) < size:
                return
            if left is not None:
                left -= len(ids)

    async def begin_sweep(self, every: timedelta, *, pod: str = "") -> SweepTurn:
        """Begin the cluster's next sweep cycle, if the last one began so long ago; of any number of pods one does."""
        async with self._writing(None) as writing:
            row = await (await writing.execute(statements.BEGIN_SWEEP, {"every": every, "pod": pod or None})).fetchone()
        if row is None:
            raise DatabaseFailed("the row of table sweep_cycle is gone; insert into sweep_cycle values (true, now())")
        return SweepTurn(*row)

    async def count_stale_undelivered(self, *, max_age: timedelta = MAX_AGE) -> int:
        """Return how many undelivered and stuck answers a sweep leaves alone."""
        async with self._reading(None) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(statements.COUNT_STALE_UNDELIVERED, {"max_age": max_age})
            return int(await cursor.fetchone() or 0)

    async def count_stale(
        self,
        *,
        max_age: timedelta = MAX_AGE,
        cap: int | None = REMAINING_CAP,
        include_undelivered: bool = False,
        connection: Connection | None = None,
    ) -> int:
        """Return how many rows a sweep would take, counted to `cap` at most, which keeps it quick (None: all)."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            asked = {"max_age": max_age, "cap": cap, "include_undelivered": include_undelivered}
            await cursor.execute(statements.COUNT_STALE, asked)
            counted = await cursor.fetchone()
        return int(counted or 0)

    async def get(
        self, id: str, *, max_age: timedelta = MAX_AGE, connection: Connection | None = None
    ) -> PendingInteraction | None:
        """Return one whole row, or None."""
        check_id(id, "question id")
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(statements.GET, {"id": id, "max_age": max_age})
            row = await cursor.fetchone()
        return None if row is None else PendingInteraction(**_with_state(row))

    async def find(
        self,
        filters: Filters = Filters(),
        *,
        limit: int = 100,
        max_age: timedelta = MAX_AGE,
        connection: Connection | None = None,
    ) -> list[PendingSummary]:
        """Return at most `limit` rows that pass the filters, the oldest first."""
        _check_positive(limit, "limit")
        for text in (filters.organization_id, filters.connection_id, filters.expected_user_id):
            check_text(text or "", "a filter")
        parameters = {
            "organization_id": filters.organization_id,
            "connection_id": filters.connection_id,
            "expected_user_id": filters.expected_user_id,
            "state": filters.state,
            "older_than": filters.older_than,
            "card": filters.card,
            "limit": limit,
            "max_age": max_age,
        }
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(statements.FIND, parameters)
            return [PendingSummary(**_with_state(row)) for row in await cursor.fetchall()]

    async def counts(self, *, max_age: timedelta = MAX_AGE, connection: Connection | None = None) -> Counts:
        """Return how many rows are in each state, in all and for each organization."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(statements.COUNT, {"max_age": max_age})
            total, *organizations = await cursor.fetchall()
        return Counts(
            pending=total["pending"],
            claimed=total["claimed"],
            withdrawn=total["withdrawn"],
            stale=total["stale"],
            undelivered=total["undelivered"],
            stuck=total["stuck"],
            oldest_pending_seconds=total["oldest_pending"],
            oldest_undelivered_seconds=total["oldest_undelivered"],
            organizations=tuple(
                OrganizationCounts(
                    row["organization_id"], row["pending"], row["stale"], row["undelivered"], row["stuck"]
                )
                for row in organizations
            ),
        )

    async def create_organization(self, id: str, *, connection: Connection | None = None) -> bool:
        """Create an organization that does not exist yet; return whether it was created.

        Raises InvalidInput when the application's own table has further columns that must be filled.
        """
        check_id(id, "organization_id")
        async with self._writing(connection) as writing:
            try:
                cursor = await writing.execute(statements.CREATE_ORGANIZATION, {"id": id})
            except NotNullViolation as error:
                raise InvalidInput(
                    f"table organization has a further column that must be filled ({error.diag.column_name}); "
                    "create the organization in the application that owns the table"
                ) from error
            return await cursor.fetchone() is not None

    async def delete_organization(self, id: str, *, connection: Connection | None = None) -> bool:
        """Delete an organization and, with it, all its rows; return whether there was one."""
        check_id(id, "organization_id")
        async with self._writing(connection) as writing:
            cursor = await writing.execute(statements.DELETE_ORGANIZATION, {"id": id})
            return await cursor.fetchone() is not None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, for methods that take `connection` and an application's own statements."""
        async with self._writing(None) as connection, connection.transaction():
            yield connection

    def _writing(self, connection: Connection | None) -> Borrowed:
        return Borrowed(self._source, connection)

    @asynccontextmanager
    async def _reading(self, connection: Connection | None) -> AsyncIterator[Connection]:
        """Reading never writes, and never runs for ever; a caller's own transaction stays as the caller made it."""
        async with self._writing(connection) as reading:
            if connection is not None:
                yield reading
                return
            async with reading.transaction():
                timeout = int(READ_TIMEOUT.total_seconds() * 1000)
                await reading.execute(f"set transaction read only; set local statement_timeout = {timeout}")
                yield reading


def claim_parameters(click: Click, lease: timedelta | None, pod: str) -> dict[str, object]:
    """Return the parameters of `statements.CLAIM`; each call has a lease token of its own."""
    return {
        "id": click.question_id,
        "organization_id": click.organization_id,
        "connection_id": click.connection_id,
        "expected_user_id": click.user_id,
        "ask_number": click.ask_number,
        "answer": click.value,
        "delivery_key": click.delivery_key,
        "lease": lease,
        "lease_token": None if lease is None else uuid4(),
        "pod": pod or None,
    }


def answer_of(click: Click, claim: Claim) -> Answer:
    """Return the answer that a click has given by its claim, which matched the whole scope."""
    return _answer(
        claim.id,
        claim.ask_number,
        click.value,
        click.organization_id,
        click.connection_id,
        click.user_id,
        claim.payload,
        claim.claimed_at,
    )


def _answer(
    id: str,
    ask_number: int,
    value: str | None,
    organization_id: str,
    connection_id: str,
    user_id: str,
    payload: JsonObject,
    claimed_at: datetime,
) -> Answer:
    return Answer(
        id,
        ask_number,
        value,
        organization_id,
        connection_id,
        user_id,
        conversation_of(payload),
        payload,
        claimed_at,
    )


async def _look(connection: Connection, id: str) -> FoundRow | None:
    cursor = connection.cursor(row_factory=class_row(FoundRow))
    return await (await cursor.execute(statements.LOOK, {"id": id})).fetchone()


def _scope_parameters(scope: Scope) -> dict[str, str]:
    return {
        "organization_id": scope.organization_id,
        "connection_id": scope.connection_id,
        "expected_user_id": scope.expected_user_id,
    }


def _lease_parameters(leased: LeasedAnswer) -> dict[str, str | int | UUID]:
    return {
        "id": leased.answer.question_id,
        "ask_number": leased.answer.ask_number,
        "lease_token": leased.token,
    }


def _by_question(card: PostedCard | EditedCard) -> str:
    """In one order, so that two pods that note the same cards do not wait for each other."""
    return card.question_id


def _askings(cards: Sequence[PostedCard] | Sequence[EditedCard]) -> dict[str, list[str] | list[int]]:
    return {"ids": [each.question_id for each in cards], "ask_numbers": [each.ask_number for each in cards]}


def _connections(connections: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    return {
        "organization_ids": [organization for organization, _ in connections],
        "connection_ids": [connection for _, connection in connections],
    }


def _with_state(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "state": State(row["state"])}


def _check_positive(value: int | None, name: str) -> None:
    if value is not None and value < 1:
        raise InvalidInput(f"the {name} is {value}; it must be at least 1")
