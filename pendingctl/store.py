"""The pending interactions of one database: store, claim, delete, sweep and read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, Literal, TypeAlias

from psycopg.errors import NotNullViolation
from psycopg.rows import class_row, dict_row, scalar_row

from . import statements
from .database import Connection, ConnectionSource, translated_errors
from .errors import DatabaseFailed, InvalidInput, ScopeMismatch
from .model import (
    MAX_PAYLOAD_BYTES,
    Claim,
    Click,
    Counts,
    JsonObject,
    OrganizationCounts,
    PendingInteraction,
    PendingSummary,
    PutOutcome,
    Refusal,
    Scope,
    State,
    Stored,
    check_id,
    check_text,
    encode_payload,
)
from .refusal import FoundRow, judge

IfAnswered: TypeAlias = Literal["reopen", "keep"]

MAX_AGE = timedelta(hours=24)
BATCH_SIZE = 1_000
REMAINING_CAP = 10_000
READ_TIMEOUT = timedelta(seconds=30)

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
        connection: Connection | None = None,
    ) -> Stored:
        """Store a question, or store it again.

        The same scope, unclaimed: the payload is refreshed and the row keeps its age. Claimed: asked again under
        the next ask number, or with `keep` left alone and reported as already answered.

        Raises ScopeMismatch, changing nothing, when the id belongs to another scope, and NotFound when the
        organization does not exist.
        """
        check_id(id, "question id")
        row = {
            "id": id,
            **_scope_parameters(scope),
            "payload": encode_payload(payload, self._max_payload_bytes),
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
                if found.claimed_at is not None and if_answered == "keep":
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

    async def claim(self, click: Click) -> Claim | Refusal:
        """Make the click the winner, or say why it is not.

        A claim is durable when this returns. The same press delivered again (the delivery key and value that won)
        is told that it won, with `repeated` set, however often it asks: that is how to learn what became of a
        claim whose reply was lost.
        """
        asked = {
            "id": click.question_id,
            "organization_id": click.organization_id,
            "connection_id": click.connection_id,
            "expected_user_id": click.user_id,
            "ask_number": click.ask_number,
            "answer": click.value,
            "delivery_key": click.delivery_key,
        }
        for _ in range(_TRIES):
            async with self._writing(None) as writing:
                row = await (await writing.execute(statements.CLAIM_OR_LOOK, asked)).fetchone()
            won, found = (False, None) if row is None else (row[0], FoundRow(*row[1:]))
            told = found.claim(click.question_id) if won and found is not None else judge(click, found)
            if told is not None:
                return told
        raise DatabaseFailed(f"question {click.question_id!r} was reopened {_TRIES} times during one claim; try again")

    async def delete(self, id: str, scope: Scope, *, connection: Connection | None = None) -> bool:
        """Delete the row of exactly this id and scope, claimed or not; return whether there was one."""
        check_id(id, "question id")
        async with self._writing(connection) as writing:
            cursor = await writing.execute(statements.DELETE, {"id": id, **_scope_parameters(scope)})
            return await cursor.fetchone() is not None

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
        self, *, max_age: timedelta = MAX_AGE, limit: int | None = 1_000, batch_size: int = BATCH_SIZE
    ) -> AsyncGenerator[list[str], None]:
        """Delete stale rows, claimed or not, oldest first, yielding the ids of each batch as it is gone.

        Never more than `limit` rows in all (None: until nothing stale is left), each batch a short transaction
        of its own that leaves rows alone that somebody has locked. Raises InvalidInput for a limit or a batch
        size below 1.
        """
        _check_positive(limit, "limit")
        _check_positive(batch_size, "batch size")
        left = limit
        while left is None or left > 0:
            size = batch_size if left is None else min(batch_size, left)
            async with self._writing(None) as writing:
                cursor = writing.cursor(row_factory=scalar_row)
                await cursor.execute(statements.SWEEP, {"max_age": max_age, "batch_size": size})
                ids: list[str] = await cursor.fetchall()
            if ids:
                yield ids
            if len(ids) < size:
                return
            if left is not None:
                left -= len(ids)

    async def count_stale(
        self, *, max_age: timedelta = MAX_AGE, cap: int | None = REMAINING_CAP, connection: Connection | None = None
    ) -> int:
        """Return how many rows a sweep would take, counted to `cap` at most, which keeps it quick (None: all)."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(statements.COUNT_STALE, {"max_age": max_age, "cap": cap})
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
            stale=total["stale"],
            oldest_pending_seconds=total["oldest"],
            organizations=tuple(
                OrganizationCounts(row["organization_id"], row["pending"], row["stale"]) for row in organizations
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
    async def _writing(self, connection: Connection | None) -> AsyncIterator[Connection]:
        with translated_errors():
            if connection is not None:
                yield connection
                return
            async with self._source.connection() as lent:
                yield lent

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


async def _look(connection: Connection, id: str) -> FoundRow | None:
    cursor = connection.cursor(row_factory=class_row(FoundRow))
    return await (await cursor.execute(statements.LOOK, {"id": id})).fetchone()


def _scope_parameters(scope: Scope) -> dict[str, str]:
    return {
        "organization_id": scope.organization_id,
        "connection_id": scope.connection_id,
        "expected_user_id": scope.expected_user_id,
    }


def _with_state(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "state": State(row["state"])}


def _check_positive(value: int | None, name: str) -> None:
    if value is not None and value < 1:
        raise InvalidInput(f"the {name} is {value}; it must be at least 1")
