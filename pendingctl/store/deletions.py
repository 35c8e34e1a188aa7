"""How rows are deleted: one of a scope, one whose card was not shown, and those that are stale, in batches."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from datetime import timedelta

from ..errors import DatabaseFailed, Undelivered
from ..model import ENDINGS_KEPT, Scope, Stored
from ..payload import check_positive
from ..postgres.connections import Borrowed, Connection, ConnectionSource
from ..postgres.time_limits import Purpose
from . import ending_statements, statements
from .rows import TRIES, look, scope_parameters

_log = logging.getLogger(__name__)


async def delete(
    connection: Connection, id: str, scope: Scope, *, include_undelivered: bool, pod: str, lock_timeout: str | None
) -> bool:
    """Delete the row of exactly this id and scope, see `PendingStore.delete`.

    Raises Undelivered, and DatabaseFailed where the row changes all the time.
    """
    parameters = {
        "id": id,
        **scope_parameters(scope),
        "include_undelivered": include_undelivered,
        "pod": pod,
        "lock_timeout": lock_timeout,
    }
    for _ in range(TRIES):
        if await (await connection.execute(statements.DELETE, parameters)).fetchone() is not None:
            return True
        found = await look(connection, id, scope)
        if found is None or found.scope != scope:
            return False
        if found.is_undelivered:
            raise Undelivered(f"the answer of question {id!r} is not delivered yet; nothing was deleted")
        if found.is_to_be_appended:
            raise Undelivered(f"the ending of question {id!r} is not on its stream yet; nothing was deleted")
    raise DatabaseFailed(f"question {id!r} changed {TRIES} times while it was deleted; try again")


async def delete_untouched(connection: Connection, stored: Stored, *, pod: str, lock_timeout: str | None) -> bool:
    """Delete the row that a `put` created, if it is as that left it, see `PendingStore.delete_untouched`."""
    parameters = {
        "id": stored.id,
        "row_version": stored.row_version,
        "pod": pod,
        "lock_timeout": lock_timeout,
    }
    return await (await connection.execute(statements.DELETE_UNTOUCHED, parameters)).fetchone() is not None


async def sweep(
    source: ConnectionSource,
    *,
    pod: str,
    max_age: timedelta,
    limit: int | None,
    batch_size: int,
    include_undelivered: bool,
) -> AsyncGenerator[list[str], None]:
    """Delete stale rows, yielding the ids of each batch, see `PendingStore.sweep`.

    Each batch borrows a connection of its own. Raises InvalidInput for a limit or a batch size below 1.
    """
    check_positive(limit, "limit")
    check_positive(batch_size, "batch size")
    left = limit
    for statement in (
        ending_statements.EXPIRE_STALE,
        ending_statements.EXPIRE_STALE_OF_STREAMS,
        ending_statements.SWEEP,
    ):
        while left is None or left > 0:
            size = batch_size if left is None else min(batch_size, left)
            parameters = {
                "max_age": max_age,
                "endings_kept": ENDINGS_KEPT,
                "batch_size": size,
                "include_undelivered": include_undelivered,
                "awaited_by": None,
                "pod": pod,
                "lock_timeout": Purpose.SWEEP.lock_timeout,
            }
            async with Borrowed(source, purpose=Purpose.SWEEP) as borrowed:
                rows = await (await borrowed.execute(statement, parameters)).fetchall()
            if unheard := sum(is_unheard for _, is_unheard in rows):
                _log.warning("swept although no worker has heard of their ending: %d", unheard)
            if rows and statement is ending_statements.SWEEP:
                yield [id for id, _ in rows]
            if left is not None:
                left -= len(rows)
            if len(rows) < size:
                break
