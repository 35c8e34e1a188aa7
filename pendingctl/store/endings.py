"""How a question ends without a click, or later than it was to: withdrawn, expired, or its deadline moved.

`lock_timeout` is None in a transaction of the caller's, whose own limits stay.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from psycopg.rows import scalar_row

from ..errors import DatabaseFailed
from ..model import NoAnswer, NotExtended, Outcome, Scope, Withdrawal
from ..postgres.connections import Connection
from . import ending_statements as statements
from .rows import TRIES, look, scope_parameters


async def withdraw(
    connection: Connection, id: str, scope: Scope, awaited_by: UUID | None, *, pod: str, lock_timeout: str | None
) -> Withdrawal:
    """Withdraw a question, or return why not, see `PendingStore.withdraw`.

    Raises DatabaseFailed where the row changes all the time.
    """
    parameters = {
        "id": id,
        **scope_parameters(scope),
        "awaited_by": awaited_by,
        "pod": pod,
        "lock_timeout": lock_timeout,
    }
    for _ in range(TRIES):
        if await (await connection.execute(statements.WITHDRAW, parameters)).fetchone() is not None:
            return Withdrawal.WITHDRAWN
        found = await look(connection, id, scope)
        if found is None or found.scope != scope:
            return Withdrawal.UNKNOWN
        if found.is_to_expire:
            await expire_one(connection, id, found.ask_number, pod=pod, lock_timeout=lock_timeout)
            continue
        if awaited_by is not None and found.awaited_by != awaited_by:
            return Withdrawal.UNKNOWN
        match found.outcome:
            case Outcome.WITHDRAWN:
                return Withdrawal.ALREADY_WITHDRAWN
            case Outcome.EXPIRED:
                return Withdrawal.ALREADY_EXPIRED
            case Outcome.ANSWERED | Outcome.DEFAULTED:
                return Withdrawal.ALREADY_ANSWERED
    raise DatabaseFailed(f"question {id!r} was reopened {TRIES} times while it was withdrawn; try again")


async def extend(
    connection: Connection, id: str, scope: Scope, by: timedelta, *, pod: str, lock_timeout: str | None
) -> datetime | NotExtended:
    """Move the deadline of an open question, or return why not, see `PendingStore.extend`."""
    parameters = {
        "id": id,
        **scope_parameters(scope),
        "by": by,
        "pod": pod,
        "lock_timeout": lock_timeout,
    }
    cursor = connection.cursor(row_factory=scalar_row)
    if (expires_at := await (await cursor.execute(statements.EXTEND, parameters)).fetchone()) is not None:
        assert isinstance(expires_at, datetime)
        return expires_at
    found = await look(connection, id, scope)
    if found is None or found.scope != scope:
        return NotExtended.UNKNOWN
    if found.is_to_expire:
        return NotExtended.EXPIRED
    if found.outcome is None and found.is_past_its_deadline is not None:
        return NotExtended.AWAITED
    return _NOT_EXTENDED[found.outcome]


async def why_no_answer(
    connection: Connection, id: str, scope: Scope, ask_number: int, *, pod: str, lock_timeout: str | None
) -> NoAnswer | None:
    """Return why there is no answer to an asking; None when there is one, see `PendingStore.read_answer`."""
    found = await look(connection, id, scope)
    if found is not None and found.is_to_expire and found.scope == scope and found.ask_number == ask_number:
        await expire_one(connection, id, ask_number, pod=pod, lock_timeout=lock_timeout)
        found = await look(connection, id, scope)
    if found is None or found.scope != scope or found.ask_number != ask_number:
        return NoAnswer.GONE
    return _AS_NO_ANSWER[found.outcome]


async def expire_one(connection: Connection, id: str, ask_number: int, *, pod: str, lock_timeout: str | None) -> None:
    """End an asking whose deadline has passed, if no pod has done that yet."""
    parameters = {
        "id": id,
        "ask_number": ask_number,
        "pod": pod,
        "awaited_by": None,
        "lock_timeout": lock_timeout,
    }
    await connection.execute(statements.EXPIRE_ONE, parameters)


_NOT_EXTENDED = {
    None: NotExtended.NO_DEADLINE,
    Outcome.WITHDRAWN: NotExtended.WITHDRAWN,
    Outcome.EXPIRED: NotExtended.EXPIRED,
    Outcome.ANSWERED: NotExtended.ANSWERED,
    Outcome.DEFAULTED: NotExtended.ANSWERED,
}
_AS_NO_ANSWER = {
    None: NoAnswer.NOT_YET,
    Outcome.WITHDRAWN: NoAnswer.WITHDRAWN,
    Outcome.EXPIRED: NoAnswer.EXPIRED,
    Outcome.ANSWERED: None,
    Outcome.DEFAULTED: None,
}
