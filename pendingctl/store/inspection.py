"""What the person on call reads of the rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, LiteralString

from psycopg import DataError
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import class_row, dict_row, scalar_row

from ..errors import DatabaseFailed, TookTooLong, Unbounded, UnreadablePayload
from ..inspected import (
    Attention,
    Concern,
    Lease,
    Leased,
    PendingInteraction,
    PendingSummary,
    QuestionHistory,
    State,
    Unposted,
    UserHistory,
)
from ..model import ENDINGS_KEPT
from ..payload import JsonObject, check_id, check_positive, check_text, read_json, read_payload
from ..pods import NotedPod
from ..postgres.connections import Connection, ConnectionSource
from ..schedule import MAX_AGE
from . import count_statements, ending_statements, read_statements, trail_reads
from .filters import (
    ALL,
    Cursor,
    Filters,
    Found,
    Page,
    Sort,
    filter_parameters,
    no_cursor,
    picks_by_column,
    picks_by_looking,
    reads_few_rows,
)
from .reading import reading

REMAINING_CAP = 10_000
MOST_READ = 200_000
# So many entries of the trail are read of a question, from each end, and of a user.
MOST_ENTRIES = 100
MOST_PRESSES = 200
MOST_ENTRIES_OF_USER = 10_000
MOST_PODS = 1_000
# Of the rows of a concern after an outage.
MOST_LOOKED_AT = 10_000


class Inspection:
    """Reads for the person on call: in transactions that cannot write, and for half a minute at most."""

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source

    async def get(
        self, id: str, *, max_age: timedelta = MAX_AGE, connection: Connection | None = None
    ) -> PendingInteraction | None:
        """Return one whole row, or None."""
        check_id(id, "question id")
        async with self._reading(connection) as reading:
            return await self._row(reading, id, max_age)

    async def summaries(
        self, ids: Collection[str], *, max_age: timedelta = MAX_AGE, connection: Connection | None = None
    ) -> list[PendingSummary]:
        """Return those of these rows that are there, oldest first."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(read_statements.GET_SUMMARIES, {"ids": list(ids), "max_age": max_age})
            return [PendingSummary(**_typed(row)) for row in await cursor.fetchall()]

    async def leases(self, ids: Collection[str], *, connection: Connection | None = None) -> list[Lease]:
        """Return what pods do for these questions, or have died over: one lease each at most, first to end first."""
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(read_statements.LEASES, {"ids": list(ids)})
            return [Lease(**{**row, "what": Leased(row["what"])}) for row in await cursor.fetchall()]

    async def history(self, id: str, *, max_age: timedelta = MAX_AGE) -> QuestionHistory:
        """Return what is known of a question, also of one that is not there any more; nothing of an id never asked."""
        check_id(id, "question id")
        async with self._reading(None) as reading:
            row = await self._row(reading, id, max_age)
            leases = await self.leases([id], connection=reading)
            trail = await trail_reads.read_trail(reading, id, most=MOST_ENTRIES)
            record = await trail_reads.read_record(reading)
        pods = None if row is None else await self._pods(row.application)
        return QuestionHistory(id, row, next(iter(leases), None), trail, record, pods)

    async def user_history(
        self, user_id: str, *, organization_id: str | None = None, since: timedelta, max_age: timedelta = MAX_AGE
    ) -> UserHistory:
        """Return the presses of a user in this time, and the questions that this user was asked at any, 200 at most."""
        check_id(user_id, "user id")
        check_text(organization_id or "", "organization id")
        async with self._reading(None) as reading:
            entries = await trail_reads.read_entries_of_user(
                reading,
                user_id,
                organization_id=organization_id,
                since=since,
                limit=MOST_PRESSES + 1,
                most_read=MOST_ENTRIES_OF_USER,
            )
            record = await trail_reads.read_record(reading)
            ids = sorted({entry.question_id for entry in entries})
            questions = tuple(await self.summaries(ids, max_age=max_age, connection=reading))
        is_cut = len(entries) > MOST_PRESSES
        return UserHistory(user_id, since, entries[-MOST_PRESSES:], questions, record, is_cut)

    async def attention(
        self,
        *,
        organization_id: str | None = None,
        application: str | None = None,
        limit: int = 100,
        max_age: timedelta = MAX_AGE,
    ) -> list[Attention]:
        """Return the rows that need a look, the most urgent concern first and in it the longest, each row once.

        At most `limit` rows of a concern. The last ones are those that have been open for the longest.
        """
        check_positive(limit, "limit")
        check_text(f"{organization_id}{application}", "a filter")
        parameters = {
            "organization_id": organization_id,
            "application": application,
            "limit": limit,
            "most_read": MOST_LOOKED_AT,
            "max_age": max_age,
        }
        async with self._reading(None) as reading:
            cursor = reading.cursor(row_factory=dict_row)
            await cursor.execute(read_statements.ATTENTION, parameters, prepare=False)
            rows = await cursor.fetchall()
        found: dict[str, Attention] = {}
        for row in rows:
            concern = Concern(row.pop("concern"))
            found.setdefault(row["id"], Attention(concern, PendingSummary(**_typed(row))))
        return list(found.values())

    async def known_ids(self, prefix: str, *, limit: int = 11) -> list[str]:
        """Return the ids that begin so, of questions and of the trail alike, `limit` of them at most, sorted."""
        rows = await self.with_prefix(prefix, limit=limit)
        async with self._reading(None) as reading:
            gone = await trail_reads.read_ids_with_prefix(reading, prefix, limit=limit)
        return sorted({*rows, *gone})[:limit]

    async def find(
        self,
        filters: Filters = ALL,
        *,
        sort: Sort = Sort.OLDEST,
        limit: int = 100,
        max_age: timedelta = MAX_AGE,
        connection: Connection | None = None,
    ) -> list[PendingSummary]:
        """Return at most `limit` rows that pass the filters. Raises as `page`."""
        page = await self.page(filters, sort=sort, limit=limit, max_age=max_age, connection=connection)
        return page.rows

    async def page(
        self,
        filters: Filters = ALL,
        *,
        sort: Sort = Sort.OLDEST,
        after: Cursor | None = None,
        limit: int = 100,
        max_age: timedelta = MAX_AGE,
        connection: Connection | None = None,
    ) -> Page:
        """Return the first `limit` rows that pass the filters, from `after` on, and where the next page begins.

        Pages of the same filters and sort hold each row once, save one that is asked anew in between. A page is read in
        half a minute, or TookTooLong is raised. Raises Unbounded, before it reads, where more than 200,000 rows
        would have to be looked at: see `_check_bounds`.
        """
        check_positive(limit, "limit")
        parameters = filter_parameters(filters, max_age)
        parameters |= {"after_key": after and after.key, "after_id": after and after.id, "limit": limit + 1}
        match sort:
            case Sort.OLDEST:
                statement = read_statements.FIND
            case Sort.NEWEST:
                statement = read_statements.FIND_NEWEST
            case Sort.DUE:
                statement = read_statements.FIND_DUE
        try:
            async with self._reading(connection) as reading:
                await self._check_bounds(reading, filters, sort, limit, parameters)
                cursor = reading.cursor(row_factory=dict_row)
                # Never prepared: a plan for any parameters would read the whole table.
                await cursor.execute(statement, parameters, prepare=False)
                rows = await cursor.fetchall()
        except (DataError, DatabaseFailed) as error:
            # Which days and time zones there are Postgres alone knows.
            if after is None or not isinstance(error.__cause__ or error, DataError):
                raise
            raise no_cursor(str(after)) from error
        keys = [row.pop("key") for row in rows]
        next = Cursor(keys[limit - 1].replace(" ", "T", 1), rows[limit - 1]["id"]) if len(rows) > limit else None
        return Page([PendingSummary(**_typed(row)) for row in rows[:limit]], next)

    async def _check_bounds(
        self, reading: Connection, filters: Filters, sort: Sort, limit: int, parameters: Mapping[str, object]
    ) -> None:
        """Refuse a list that no index serves, and that an organization and a time do not narrow either.

        By the planner's statistics: rows that are picked by a column are found after some of the rest, those that are
        picked by a look at each perhaps never. 200,000 rows are read in a second from memory, and from a disk within
        half a minute. Raises InvalidInput.
        """
        if reads_few_rows(filters, sort) or not (picks_by_column(filters) or picks_by_looking(filters)):
            return
        read = await _estimate(reading, read_statements.ESTIMATE_IN_RANGE, parameters)
        if read > MOST_READ and not picks_by_looking(filters):
            found = await _estimate(reading, read_statements.ESTIMATE_OF_COLUMNS, parameters)
            read = min(read, read * limit // max(found, 1))
        if read > MOST_READ:
            raise Unbounded(
                f"no index serves these filters, and about {_rounded(read):,} rows would be looked at; "
                "add --org and --since, or a shorter time, to look at fewer"
            )

    async def count_found(
        self,
        filters: Filters = ALL,
        *,
        sort: Sort = Sort.OLDEST,
        max_age: timedelta = MAX_AGE,
        connection: Connection | None = None,
    ) -> Found:
        """Return how many rows pass the filters: exactly, or from 10,000 on, or after a second, by a sample."""
        parameters = {**filter_parameters(filters, max_age), "with_deadline": sort is Sort.DUE, "cap": REMAINING_CAP}
        counted = 0
        with suppress(TookTooLong):
            async with self._reading(connection, is_quick=True) as reading:
                counted = await _number(reading, read_statements.COUNT_FOUND, parameters)
            if counted < REMAINING_CAP:
                return Found(counted, is_exact=True)
        async with self._reading(connection) as reading:
            sampled = await _number(reading, read_statements.SAMPLE_FOUND, parameters)
        return Found(_rounded(max(sampled, counted)), is_exact=False)

    async def unknown(self, filters: Filters = ALL, *, connection: Connection | None = None) -> frozenset[str]:
        """Return which of `organization_id`, `application` and `connection_id` nothing has that the filters ask for.

        What a second does not suffice to look up, and what this role may not read, counts as known. (Rows are looked at
        until one is found, and where the application's pods are on record not at all.)
        """
        parameters = filter_parameters(filters, MAX_AGE)
        known: dict[str, bool] = {}
        try:
            async with self._reading(connection, is_quick=True) as reading:
                cursor = reading.cursor(row_factory=dict_row)
                for statement in (read_statements.KNOWS_ORGANIZATION, read_statements.KNOWS_NAMES):
                    await cursor.execute(statement, parameters, prepare=False)
                    known |= await cursor.fetchone() or {}
                    if not all(known.values()):
                        break
        except TookTooLong:
            return frozenset()
        except DatabaseFailed as error:
            if not isinstance(error.__cause__, InsufficientPrivilege):
                raise
        return frozenset(name for name, is_known in known.items() if not is_known)

    async def with_prefix(self, prefix: str, *, limit: int = 11, connection: Connection | None = None) -> list[str]:
        """Return the ids that begin so, `limit` of them at most, sorted."""
        check_id(prefix, "question id")
        async with self._reading(connection) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(read_statements.WITH_PREFIX, {"prefix": prefix, "limit": limit})
            return await cursor.fetchall()

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
            parameters = {
                "max_age": max_age,
                "cap": cap,
                "endings_kept": ENDINGS_KEPT,
                "include_undelivered": include_undelivered,
            }
            await cursor.execute(ending_statements.COUNT_STALE, parameters)
            counted = await cursor.fetchone()
        return int(counted or 0)

    async def count_stale_undelivered(self, *, max_age: timedelta = MAX_AGE) -> int:
        """Return how many undelivered and stuck answers a sweep leaves alone."""
        async with self._reading(None) as reading:
            cursor = reading.cursor(row_factory=scalar_row)
            await cursor.execute(ending_statements.COUNT_STALE_UNDELIVERED, {"max_age": max_age})
            return int(await cursor.fetchone() or 0)

    async def _pods(self, application: str) -> tuple[NotedPod, ...] | None:
        """Return the pods of an application; None to a role that may not read them."""
        try:
            async with self._reading(None) as reading:
                cursor = reading.cursor(row_factory=class_row(NotedPod))
                await cursor.execute(count_statements.PODS, {"application": application, "limit": MOST_PODS})
                return tuple(await cursor.fetchall())
        except DatabaseFailed as error:
            if not isinstance(error.__cause__, InsufficientPrivilege):
                raise
            return None

    async def _row(self, reading: Connection, id: str, max_age: timedelta) -> PendingInteraction | None:
        cursor = reading.cursor(row_factory=dict_row)
        await cursor.execute(read_statements.GET, {"id": id, "max_age": max_age})
        row = await cursor.fetchone()
        if row is None:
            return None
        return PendingInteraction(**{**_typed(row), "payload": _payload(row), "card": read_json(row["card"])})

    @asynccontextmanager
    async def _reading(self, connection: Connection | None, *, is_quick: bool = False) -> AsyncIterator[Connection]:
        """Reading never writes, and never runs for ever; a caller's own transaction stays as the caller made it."""
        if connection is not None:
            yield connection
            return
        async with reading(self._source, is_quick=is_quick) as borrowed:
            yield borrowed


async def _number(reading: Connection, statement: LiteralString, parameters: Mapping[str, object]) -> int:
    cursor = reading.cursor(row_factory=scalar_row)
    await cursor.execute(statement, parameters, prepare=False)
    return int(await cursor.fetchone() or 0)


async def _estimate(reading: Connection, statement: LiteralString, parameters: Mapping[str, object]) -> int:
    """Return how many rows the planner expects."""
    cursor = reading.cursor(row_factory=scalar_row)
    await cursor.execute(statement, parameters, prepare=False)
    plans: Any = await cursor.fetchone()
    return int(plans[0]["Plan"]["Plan Rows"])


def _rounded(number: int) -> int:
    """Round to two digits: an estimate has no more."""
    return round(number, 2 - len(str(number)))


def _payload(row: dict[str, Any]) -> JsonObject:
    try:
        return read_payload(row["payload"])
    except UnreadablePayload:
        return {}


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    unposted = None if row["unposted"] is None else Unposted(row["unposted"])
    return {**row, "state": State(row["state"]), "unposted": unposted}
