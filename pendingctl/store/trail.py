"""What is written into the trail beside the statements that do what it tells of, and its sweep."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from psycopg.rows import scalar_row

from ..model import BATCH_SIZE, SWEEP_LIMIT, TRAIL_ENTRIES_A_ROW
from ..payload import check_positive
from ..postgres.connections import Borrowed, ConnectionSource
from ..postgres.time_limits import Purpose
from ..trail import TRAIL_KEPT, Presses
from .trail_statements import NOTE_PRESSES, SWEEP_TRAIL

# Clicks that have won nothing have so many entries in a question's trail, of all pods; the rest is counted.
PRESSES_AN_HOUR = 20


class Trail:
    """The trail of one database, written to by one application.

    All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the database cannot do its part.
    """

    def __init__(self, source: ConnectionSource, application: str, *, pod: str) -> None:
        self._source = source
        self._application = application
        self._pod = pod

    async def note(self, presses: Sequence[Presses]) -> list[Presses]:
        """Leave clicks that have won nothing in the trail, and return those for which it has no room.

        Of one question it has room for `PRESSES_AN_HOUR` entries an hour. Those without a user, which say how many had
        none, are always written.
        """
        parameters = {
            "question_ids": [each.question_id for each in presses],
            "ask_numbers": [each.ask_number for each in presses],
            "organization_ids": [each.organization_id for each in presses],
            "connection_ids": [each.connection_id for each in presses],
            "user_ids": [each.user_id for each in presses],
            "steps": [each.step for each in presses],
            "details": [each.reason for each in presses],
            "presses": [each.presses for each in presses],
            "ages": [each.seconds_ago for each in presses],
            "most_an_hour": PRESSES_AN_HOUR,
            "application": self._application,
            "pod": self._pod,
        }
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            cursor = borrowed.cursor(row_factory=scalar_row)
            places = await (await cursor.execute(NOTE_PRESSES, parameters)).fetchall()
        return [presses[place] for place in places]

    async def sweep(
        self,
        *,
        max_age: timedelta = TRAIL_KEPT,
        limit: int | None = SWEEP_LIMIT * TRAIL_ENTRIES_A_ROW,
        batch_size: int = BATCH_SIZE,
    ) -> AsyncGenerator[int, None]:
        """Delete the entries that are older than `max_age`, yielding how many each batch was.

        Never more than `limit` in all (None: until nothing that old is left), each batch a short transaction of its
        own. Raises InvalidInput for a limit or a batch size below 1.
        """
        check_positive(limit, "limit")
        check_positive(batch_size, "batch size")
        left = limit
        while left is None or left > 0:
            size = batch_size if left is None else min(batch_size, left)
            async with Borrowed(self._source, purpose=Purpose.SWEEP) as borrowed:
                cursor = await borrowed.execute(SWEEP_TRAIL, {"max_age": max_age, "batch_size": size})
            if cursor.rowcount:
                yield cursor.rowcount
            if left is not None:
                left -= cursor.rowcount
            if cursor.rowcount < size:
                return
