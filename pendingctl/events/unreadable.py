"""A row that cannot be read or written, as one that is damaged, holds up none of those beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import psycopg

from ..errors import DatabaseUnreachable, PendingctlError
from ..postgres.driver_errors import translated_errors

T = TypeVar("T")

# What the server reports of a value that it cannot convert or store, of one that a constraint forbids or that is too
# large, of a trigger's own refusal, and of damaged files (manual, appendix A "PostgreSQL Error Codes").
_CLASSES = ("22", "23", "54", "P0", "XX")


def is_of_a_row(error: PendingctlError) -> bool:
    """Whether the database has met a row or a value that it cannot take; another one it may."""
    cause = error.__cause__
    if not isinstance(cause, psycopg.Error) or isinstance(error, DatabaseUnreachable):
        return False
    return isinstance(cause, psycopg.DataError) if cause.sqlstate is None else cause.sqlstate.startswith(_CLASSES)


async def look_at_each(
    wanted: Sequence[T],
    look: Callable[[Sequence[T]], Awaitable[None]],
    set_aside: Callable[[T, PendingctlError], None],
) -> None:
    """Look at all of these at once, or, where that fails by one of them, at its half and so on, until it stands alone.

    `set_aside` is called with each that fails alone, and why. Raises what else fails, as pendingctl's own errors.
    """
    try:
        with translated_errors():
            await look(wanted)
    except PendingctlError as error:
        if not is_of_a_row(error):
            raise
        if len(wanted) == 1:
            set_aside(wanted[0], error)
            return
        middle = len(wanted) // 2
        for half in (wanted[:middle], wanted[middle:]):
            await look_at_each(half, look, set_aside)
