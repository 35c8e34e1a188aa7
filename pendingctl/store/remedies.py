"""What the person on call does to the rows that a list has shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg.rows import class_row

from ..errors import InvalidInput
from ..inspected import PendingSummary
from ..model import Outcome
from ..postgres.connections import Borrowed, ConnectionSource
from ..postgres.time_limits import Purpose
from ..remedied import NotDone, Remedied
from ..schedule import LONGEST, MAX_AGE
from . import remedy_statements


@dataclass(frozen=True, slots=True)
class PassedBy:
    """A listed row that a remedy has passed by, as it is read afterwards.

    `is_the_listed_asking` is None where the row is gone, `is_past_its_deadline` where it has none. `card` is why it was
    not repaired.
    """

    id: str
    is_the_listed_asking: bool | None
    ending: str | None
    is_past_its_deadline: bool | None
    is_awaited: bool | None
    card: str

    @property
    def outcome(self) -> Outcome | None:
        """How its question has ended; None while it is open."""
        return None if self.ending is None else Outcome(self.ending)


class Remedies:
    """What the person on call does to rows as a list has shown them, whichever application they belong to.

    Each method works on a batch of rows, a few hundred at most, in one statement, and touches a row only while it holds
    the very asking that was listed. It returns what became of each row, in their order. What somebody else has locked
    is passed by, and reported.
    """

    def __init__(self, source: ConnectionSource, *, pod: str = "") -> None:
        self._source = source
        self._pod = pod

    async def redeliver(self, rows: Sequence[PendingSummary]) -> list[Remedied]:
        """Queue their endings for delivery now, attempts reset, also those that were delivered: the keys are the same.

        See `Leases.redeliver`.
        """
        return await self._apply(remedy_statements.REDELIVER_LISTED, rows, _not_redelivered)

    async def withdraw(self, rows: Sequence[PendingSummary]) -> list[Remedied]:
        """Withdraw the questions that are open. See `PendingStore.withdraw`."""
        return await self._apply(remedy_statements.WITHDRAW_LISTED, rows, _not_withdrawn, {"awaited_by": None})

    async def extend(self, rows: Sequence[PendingSummary], *, by: timedelta) -> list[Remedied]:
        """Move the deadlines of open questions. See `PendingStore.extend`. Raises InvalidInput as that does."""
        if not timedelta() < by <= LONGEST:
            raise InvalidInput(f"the deadlines are moved by {by}; that must be more than 0 and at most 10 years")
        return await self._apply(remedy_statements.EXTEND_LISTED, rows, _not_extended, {"by": by})

    async def repair_cards(
        self, rows: Sequence[PendingSummary], *, edit_again: bool = False, max_age: timedelta = MAX_AGE
    ) -> list[Remedied]:
        """Have the pods edit at once the cards that show less than their rows, and post those that were not posted.

        All attempts lie ahead again. A card that an earlier attempt may have posted counts as in doubt: a platform that
        can look for it does. With `edit_again` the card of a question that has ended is edited once more, even though
        it is said to show that. `max_age` is the age at which a question is stale.
        """
        changed = {"edit_again": edit_again, "max_age": max_age}
        return await self._apply(remedy_statements.REPAIR_CARDS, rows, _not_repaired, changed)

    async def _apply(
        self,
        statement: LiteralString,
        rows: Sequence[PendingSummary],
        why_not: Callable[[PassedBy], NotDone],
        further: Mapping[str, object] | None = None,
    ) -> list[Remedied]:
        further = {"edit_again": False, "max_age": MAX_AGE, **(further or {})}
        parameters = {**further, **_listed(rows), "pod": self._pod, "lock_timeout": Purpose.PUT.lock_timeout}
        async with Borrowed(self._source, purpose=Purpose.PUT) as borrowed:
            done: dict[str, datetime | None] = dict(await (await borrowed.execute(statement, parameters)).fetchall())
        passed_by = await self._look([row for row in rows if row.id not in done], further)
        return [
            Remedied(row.id, row.ask_number, None, done[row.id])
            if row.id in done
            else Remedied(row.id, row.ask_number, _why_not(passed_by[row.id], why_not))
            for row in rows
        ]

    async def _look(self, rows: Sequence[PendingSummary], further: Mapping[str, object]) -> dict[str, PassedBy]:
        if not rows:
            return {}
        parameters = {**further, **_listed(rows)}
        async with Borrowed(self._source, purpose=Purpose.PUT) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(PassedBy))
            await cursor.execute(remedy_statements.LOOK_AT_LISTED, parameters)
            return {each.id: each for each in await cursor.fetchall()}


def _listed(rows: Sequence[PendingSummary]) -> dict[str, list[str] | list[int]]:
    return {
        "ids": [row.id for row in rows],
        "ask_numbers": [row.ask_number for row in rows],
        "organization_ids": [row.organization_id for row in rows],
        "connection_ids": [row.connection_id for row in rows],
        "expected_user_ids": [row.expected_user_id for row in rows],
    }


def _why_not(row: PassedBy, of_the_asking: Callable[[PassedBy], NotDone]) -> NotDone:
    if row.is_the_listed_asking is None:
        return NotDone.GONE
    return of_the_asking(row) if row.is_the_listed_asking else NotDone.ASKED_AGAIN


def _not_redelivered(row: PassedBy) -> NotDone:
    return NotDone.OPEN if row.outcome is None else NotDone.BUSY


def _not_withdrawn(row: PassedBy) -> NotDone:
    if row.outcome is not None:
        return _ENDED[row.outcome]
    return NotDone.EXPIRED if row.is_past_its_deadline else NotDone.BUSY


def _not_extended(row: PassedBy) -> NotDone:
    if row.outcome is not None:
        return _ENDED[row.outcome]
    match row.is_past_its_deadline:
        case None:
            return NotDone.NO_DEADLINE
        case True:
            return NotDone.EXPIRED
        case False:
            return NotDone.AWAITED if row.is_awaited else NotDone.BUSY


def _not_repaired(row: PassedBy) -> NotDone:
    return NotDone(row.card)


_ENDED = {
    Outcome.ANSWERED: NotDone.ANSWERED,
    Outcome.DEFAULTED: NotDone.ANSWERED,
    Outcome.EXPIRED: NotDone.EXPIRED,
    Outcome.WITHDRAWN: NotDone.WITHDRAWN,
}
