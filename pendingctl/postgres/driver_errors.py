"""What the driver's errors mean. No other module translates them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from ..errors import DatabaseFailed, DatabaseUnreachable, InvalidInput, NotFound, NotMigrated


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the driver's errors as pendingctl's own, with the remedy in the message."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


def translate(error: psycopg.Error) -> DatabaseFailed | NotFound | InvalidInput:
    """Return what an error of the driver means to the caller."""
    said = str(error.diag.message_primary or error).strip().splitlines()
    first = said[0] if said else type(error).__name__
    match error:
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.InvalidSchemaName():
            return NotMigrated(f"{first}; run: pendingctl migrate")
        case errors.ForeignKeyViolation() if error.diag.table_name == "pending_interactions":
            return NotFound(
                f"the organization does not exist; create it first, as enqueue --create-org does "
                f"({error.diag.message_detail or first})"
            )
        case errors.ReadOnlySqlTransaction():
            return DatabaseFailed(f"{first}; this server or role is read-only, connect to the primary")
        case errors.InsufficientPrivilege():
            return DatabaseFailed(f"{first}; grant it, or connect as another role")
        case errors.QueryCanceled():
            return DatabaseFailed(f"{first}; try again, or raise the statement timeout")
        case errors.LockNotAvailable():
            return DatabaseFailed(f"{first}; a long transaction holds the table, try again when it has ended")
        case psycopg.OperationalError():
            return DatabaseUnreachable(f"the database cannot be reached: {_joined(said)}")
        case _:
            return DatabaseFailed(f"the database refused: {first}")


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip()) or "no reason given"
