"""What the person on call counts: in a second or two, however many rows there are."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, LiteralString, TypeVar

from psycopg.errors import FeatureNotSupported, InsufficientPrivilege
from psycopg.rows import class_row, dict_row

from ..counts import (
    Counts,
    Durations,
    ErrorGroup,
    Grouping,
    Key,
    LastSweep,
    LimitKeys,
    Numbers,
    Overview,
    Part,
    Storage,
    Times,
    Trouble,
)
from ..errors import DatabaseFailed, NotMigrated, TookTooLong
from ..payload import check_text
from ..pods import NotedPod
from ..postgres.connections import ConnectionSource
from ..schedule import MAX_AGE
from . import count_statements
from .reading import reading

# Open rows are counted exactly up to so many, and so are endings that wait, and those of the last hour.
MOST_COUNTED = 20_000
# Of the trail.
MOST_ENTRIES = 10_000
MOST_ERRORS = 1_000
MOST_PODS = 1_000

Row = TypeVar("Row")
Result = TypeVar("Result")
_Rows = list[dict[str, Any]]


class Statistics:
    """Counts for the person on call: in transactions that cannot write, of half a minute at most.

    All methods take an application, whose rows alone are counted; None counts all.
    """

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source

    async def overview(
        self, *, by: Grouping | None = None, application: str | None = None, max_age: timedelta = MAX_AGE
    ) -> Overview:
        """Return what the other methods return; what this role may not read, or not in time, is None."""
        return Overview(
            counts=await self.counts(by=by, application=application, max_age=max_age),
            times=await _if_readable(self.times(by=by, application=application)),
            pods=await _if_readable(self.pods(application=application)),
            last_sweep=await _if_readable(self.last_sweep()),
            storage=await _if_readable(self.storage()),
            limits=await _if_readable(self.limits()),
        )

    async def counts(
        self, *, by: Grouping | None = None, application: str | None = None, max_age: timedelta = MAX_AGE
    ) -> Counts:
        """Return how many rows there are, in all and by group.

        Exactly, as long as a part has no more than 20,000 rows, which are read in a second; else that part is estimated
        by a sample. `max_age` is the age at which a question is stale.
        """
        parameters = {**_parameters(by, application), "max_age": max_age, "cap": MOST_COUNTED}
        found: dict[Key | None, dict[str, Any]] = {None: {}}
        estimated = set[Part]()
        for part in Part:
            exact, by_sample = count_statements.OF_PART[part]
            rows = await self._counted(exact, parameters)
            if rows is None:
                estimated.add(part)
                async with reading(self._source) as connection:
                    cursor = connection.cursor(row_factory=dict_row)
                    rows = await (await cursor.execute(by_sample, parameters, prepare=False)).fetchall()
            for row in rows:
                key, numbers = _keyed(row, by)
                if key is not None or row["is_total"]:
                    found.setdefault(key, {}).update(numbers)
        groups = {key: Numbers(**numbers) for key, numbers in found.items() if key is not None}
        return Counts(Numbers(**found[None]), groups, frozenset(estimated))

    async def _counted(self, statement: LiteralString, parameters: Mapping[str, object]) -> _Rows | None:
        """Return the numbers, or None where there are too many rows, or they are not read in time."""
        with suppress(TookTooLong):
            async with reading(self._source, is_quick=True) as connection:
                # The planner takes the rows for evenly spread, and would look for the open ones, which are the latest,
                # from the table's beginning.
                await connection.execute("set local enable_seqscan = off")
                cursor = connection.cursor(row_factory=dict_row)
                rows = await (await cursor.execute(statement, parameters, prepare=False)).fetchall()
            if all(row["rows_read"] <= MOST_COUNTED for row in rows if row["is_total"]):
                return rows
        return None

    async def times(self, *, by: Grouping | None = None, application: str | None = None) -> Times:
        """Return how long answers and deliveries of the last hour took, by the last 10,000 entries of the trail.

        Raises TookTooLong where that takes longer than a second.
        """
        parameters = {**_parameters(by, application), "most_entries": MOST_ENTRIES}
        async with reading(self._source, is_quick=True) as connection:
            # The planner expects few entries of each question, and would sort all of one that is asked every minute.
            await connection.execute("set local enable_bitmapscan = off")
            cursor = connection.cursor(row_factory=dict_row)
            rows = await (await cursor.execute(count_statements.TIMES, parameters, prepare=False)).fetchall()
        total, groups = Durations(), dict[Key, Durations]()
        for row in rows:
            key, numbers = _keyed(row, by)
            if row["is_total"]:
                total = Durations(**numbers)
            elif key is not None:
                groups[key] = Durations(**numbers)
        return Times(total, groups)

    async def errors(self, *, application: str | None = None) -> list[ErrorGroup]:
        """Return the errors of endings that wait and of cards that are not posted, the most frequent first.

        Of 20,000 rows of each kind at most, and 1,000 groups.
        """
        parameters = {**_parameters(None, application), "cap": MOST_COUNTED, "limit": MOST_ERRORS}
        async with reading(self._source) as connection:
            await connection.execute("set local enable_seqscan = off")
            cursor = connection.cursor(row_factory=dict_row)
            rows = await (await cursor.execute(count_statements.ERRORS, parameters, prepare=False)).fetchall()
        return [ErrorGroup(**{**row, "trouble": Trouble(row["trouble"])}) for row in rows]

    async def pods(self, *, application: str | None = None) -> list[NotedPod]:
        """Return the pods by what they have noted of themselves: those that live, and those that died of late."""
        parameters = {**_parameters(None, application), "limit": MOST_PODS}
        return await self._rows(count_statements.PODS, NotedPod, parameters)

    async def storage(self) -> Storage:
        """Return how big the tables are. Raises NotMigrated without them."""
        return (await self._rows(count_statements.STORAGE, Storage))[0]

    async def limits(self) -> LimitKeys:
        """Return how many keys of rate limits there are. Raises DatabaseFailed on a standby, which has none of them."""
        return (await self._rows(count_statements.LIMIT_KEYS, LimitKeys, {"cap": MOST_COUNTED}))[0]

    async def last_sweep(self) -> LastSweep:
        """Return when a sweep of the cluster last began. Raises NotMigrated where that is on record nowhere."""
        rows = await self._rows(count_statements.LAST_SWEEP, LastSweep)
        if not rows:
            raise NotMigrated("the row of table sweep_cycle is gone; insert into sweep_cycle values (true, now())")
        return rows[0]

    async def _rows(
        self, statement: LiteralString, row: type[Row], parameters: Mapping[str, object] | None = None
    ) -> list[Row]:
        async with reading(self._source) as connection:
            cursor = connection.cursor(row_factory=class_row(row))
            return await (await cursor.execute(statement, parameters, prepare=False)).fetchall()


async def _if_readable(reads: Awaitable[Result]) -> Result | None:
    try:
        return await reads
    except (TookTooLong, NotMigrated):
        return None
    except DatabaseFailed as error:
        # The latter is what a standby says of an unlogged table.
        if not isinstance(error.__cause__, (InsufficientPrivilege, FeatureNotSupported)):
            raise
        return None


def _parameters(by: Grouping | None, application: str | None) -> dict[str, object]:
    check_text(application or "", "a filter")
    return {"grouping": by, "application": application}


def _keyed(row: Mapping[str, Any], by: Grouping | None) -> tuple[Key | None, dict[str, Any]]:
    """Return which group a row counts, None for all, and its numbers."""
    numbers = {name: value for name, value in row.items() if name not in ("is_total", "key", "rows_read")}
    if "ages" in numbers:
        numbers["ages"] = tuple(numbers["ages"])
    # The trail may know an asking's end and no longer its beginning.
    if by is None or row["is_total"] or None in row["key"]:
        return None, numbers
    return tuple(row["key"]), numbers
