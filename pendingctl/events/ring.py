"""The ring of four tables in which events are kept for the retention and then truncated: its turn, and idle streams.

A turn truncates the next table and then appends go there, both in one transaction. A table is written to for a third of
the retention plus the longest that an append can take, which a turn may overtake: it has read the slot before the turn
and writes into the table after. Its event lives for three such times at least, and for four at most if the turns are in
time. A turn that comes late only lets events live longer, and so does a clock that goes back; one that is set ahead
makes one turn come early.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from enum import StrEnum

from psycopg.errors import InsufficientPrivilege, UndefinedTable
from psycopg.rows import class_row, scalar_row, tuple_row

from ..errors import DatabaseBusy, DatabaseFailed, NotMigrated
from ..model import BATCH_SIZE, SWEEP_LIMIT
from ..payload import check_positive
from ..postgres.connections import Borrowed, ConnectionSource
from ..postgres.time_limits import Purpose
from ..store.reading import reading
from . import statements
from .model import RingState

# Twice `Purpose.APPEND`, in which a client gives an append up: its server may take longer to notice.
LONGEST_APPEND = timedelta(seconds=10)
# A truncation that waits makes all readers wait behind it, as it does during a backup.
LOCK_TIMEOUT = "50ms"
TRY_EVERY_SECONDS = 10.0


class Turn(StrEnum):
    """What became of a turn. Blocked: somebody reads or writes the next table, as a backup does."""

    TURNED = "turned"
    NOT_DUE = "not_due"
    BLOCKED = "blocked"


class Ring:
    """The ring of one database, turned by any number of pods, of which one comes first.

    All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the database cannot do its part.
    """

    def __init__(self, source: ConnectionSource, *, pod: str) -> None:
        self._source = source
        self._pod = pod

    async def turn(self) -> Turn:
        """Turn the ring if that is due.

        Nothing is done where somebody reads or writes the next table for longer than 50 ms, during which all readers
        wait; try again after TRY_EVERY_SECONDS.
        """
        try:
            return await self._turn()
        except DatabaseBusy:
            return Turn.BLOCKED

    async def _turn(self) -> Turn:
        async with Borrowed(self._source, purpose=Purpose.SWEEP) as borrowed, borrowed.transaction():
            cursor = borrowed.cursor(row_factory=scalar_row)
            await cursor.execute(statements.TURN_DUE, {"lock_timeout": LOCK_TIMEOUT, "longest_append": LONGEST_APPEND})
            slot = await cursor.fetchone()
            if slot is None:
                return Turn.NOT_DUE
            following = (slot + 1) % len(statements.TRUNCATE)
            try:
                await cursor.execute(statements.TRUNCATE[following])
            except UndefinedTable as error:
                # Not one of a database that has no streams yet, which lacks the ring as well.
                raise DatabaseFailed(
                    f"the ring cannot turn: {error.diag.message_primary}; create it as schema.sql has it"
                ) from error
            await cursor.execute(statements.TURNED, {"slot": following, "pod": self._pod})
        return Turn.TURNED

    async def sweep(
        self, *, limit: int | None = SWEEP_LIMIT, batch_size: int = BATCH_SIZE
    ) -> AsyncGenerator[int, None]:
        """Delete streams to which nothing was appended for 4/3 of the retention, yielding how many each batch was.

        By then all their events are gone; their readers are told the end. Never more than `limit` in all (None: all
        of them). Raises InvalidInput for a limit or a batch size below 1.
        """
        check_positive(limit, "limit")
        check_positive(batch_size, "batch size")
        after, deleted = 0, 0
        while limit is None or deleted < limit:
            size = batch_size if limit is None else min(batch_size, limit - deleted)
            async with Borrowed(self._source, purpose=Purpose.SWEEP) as borrowed:
                cursor = borrowed.cursor(row_factory=tuple_row)
                row = await (await cursor.execute(statements.SWEEP, {"after": after, "batch_size": size})).fetchone()
            if row is None or row[0] is None:
                return
            after = row[0]
            deleted += row[1]
            if row[1]:
                yield row[1]

    async def state(self) -> RingState | None:
        """Return how the ring stands; None where this role may not read it, or there are no streams yet."""
        try:
            async with reading(self._source) as connection:
                cursor = connection.cursor(row_factory=class_row(RingState))
                await cursor.execute(statements.STATE, {"longest_append": LONGEST_APPEND})
                return await cursor.fetchone()
        except NotMigrated:
            return None
        except DatabaseFailed as error:
            if not isinstance(error.__cause__, InsufficientPrivilege):
                raise
            return None

    async def count_idle(self) -> int:
        """Return how many streams a sweep without a limit would delete."""
        async with Borrowed(self._source) as borrowed:
            number = await (await borrowed.cursor(row_factory=scalar_row).execute(statements.COUNT_IDLE)).fetchone()
        if number is None:
            raise DatabaseFailed("the streams could not be counted; try again")
        return int(number)
