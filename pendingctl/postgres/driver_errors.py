"""What the driver's errors mean. No other module translates them."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from ..errors import (
    DatabaseBusy,
    DatabaseFailed,
    DatabaseUnreachable,
    InvalidInput,
    NotConnected,
    NotFound,
    NotMigrated,
    PendingctlError,
)
from ..payload import MAX_ID_BYTES

# What the driver lets through of Python's own: codecs, numbers and times that Python does not hold, the network.
_BY_WAY_OF_THE_DRIVER = (OSError, ValueError, OverflowError, RecursionError, NotImplementedError)
_DRIVER = ("psycopg", "psycopg_binary", "psycopg_c", "psycopg_pool")

# A login is refused before there is a session that could say why by a code: libpq passes on the text alone.
_LOGIN = re.compile(
    "authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in|role .* does not exist"
)
_FULL = ("too many clients", "too many connections", "connection slots", "no more connections allowed")
_IN_BETWEEN = ("starting up", "shutting down", "recovery", "not yet accepting connections")

# What the server refuses, having done nothing, and what to do about it; the first that applies.
_REFUSALS: tuple[tuple[type[psycopg.Error], type[PendingctlError], str], ...] = (
    (errors.UndefinedTable, NotMigrated, "run: pendingctl migrate"),
    (errors.UndefinedColumn, NotMigrated, "run: pendingctl migrate"),
    (errors.InvalidSchemaName, NotMigrated, "run: pendingctl migrate"),
    (errors.DeadlockDetected, DatabaseBusy, "two transactions waited for each other, this one was undone; try again"),
    (errors.SerializationFailure, DatabaseBusy, "another transaction came first, this one was undone; try again"),
    (
        errors.LockNotAvailable,
        DatabaseBusy,
        "another transaction holds the row or the table and nothing was done; try again when it has ended",
    ),
    (
        errors.QueryCanceled,
        DatabaseBusy,
        "nothing was done; try again, or raise statement_timeout of the role or database where that ended it",
    ),
    (
        errors.ReadOnlySqlTransaction,
        DatabaseFailed,
        "this server or role is read-only: connect to the primary, or reset default_transaction_read_only",
    ),
    (errors.InsufficientPrivilege, DatabaseFailed, "grant it, or connect as another role"),
    (errors.DiskFull, DatabaseFailed, "the server's disk is full and nothing was done; make room, then try again"),
    (errors.OutOfMemory, DatabaseFailed, "the server has no memory left and nothing was done; its log has details"),
    (errors.ProgramLimitExceeded, InvalidInput, "something is too large or nested too deeply for Postgres"),
    (errors.StatementTooComplex, InvalidInput, "something is too large or nested too deeply for Postgres"),
    (
        errors.UntranslatableCharacter,
        InvalidInput,
        "the database's encoding lacks a character: leave it out, or use a database whose encoding is UTF8",
    ),
    (errors.CharacterNotInRepertoire, DatabaseFailed, "a row holds text that is not UTF-8; mend or delete it"),
    (errors.InvalidAuthorizationSpecification, DatabaseFailed, "check the user, the password and pg_hba.conf"),
    (errors.InvalidCatalogName, DatabaseFailed, "create it, or name another in the connection string"),
)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise the driver's errors as pendingctl's own, with the remedy in the message."""
    try:
        yield
    except Exception as error:
        if not is_the_drivers(error):
            raise
        raise translate(error) from error


def is_the_drivers(error: BaseException | None) -> bool:
    """Whether the driver has raised this: its own errors, and those of Python that came by way of it."""
    if isinstance(error, psycopg.Error):
        return True
    return isinstance(error, _BY_WAY_OF_THE_DRIVER) and any(
        str(frame.f_globals.get("__name__")).partition(".")[0] in _DRIVER
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def translate(error: BaseException) -> PendingctlError:
    """Return what an error of the driver means to the caller, as one line with the remedy.

    DatabaseUnreachable is said only where what was under way may have been done: where the session was lost. Any other
    error that the server itself reports has undone its transaction (PostgreSQL manual, section 53.8, "severity").
    """
    match error:
        case UnicodeEncodeError():
            return InvalidInput("a text holds a lone surrogate or broken UTF-8, which Postgres cannot store")
        case psycopg.Error() if error.sqlstate is None:
            return _without_a_code(error)
        case psycopg.Error():
            return _session_lost(error) or _refused(error)
        case OSError():
            return DatabaseUnreachable(f"the database cannot be reached: {_one_line(str(error))}")
        case _:
            return DatabaseFailed(f"a row holds what cannot be read: {_one_line(str(error))}; mend or delete it")


def _without_a_code(error: psycopg.Error) -> PendingctlError:
    """The driver's own, and whatever ended before there was a session."""
    said = _one_line(str(error))
    if type(error).__module__.startswith("psycopg_pool"):
        return NotConnected(f"no connection of the pool was free: {said}; try again, or give the pool more")
    if isinstance(error, psycopg.OperationalError):
        if not said.startswith(
            ("connection failed", "connection is bad", "connection timeout", "failed to resolve", "[Errno")
        ):
            return DatabaseUnreachable(f"the connection to the database was lost: {said}")
        return _not_connected(said)
    if isinstance(error, psycopg.DataError):
        return DatabaseFailed(f"a row holds what cannot be read: {said}; mend or delete it")
    return DatabaseFailed(f"the driver refused: {said}")


def _not_connected(said: str) -> DatabaseFailed:
    reason = said.rpartition("FATAL:")[2].strip() if "FATAL:" in said else said
    if any(words in reason for words in _FULL):
        return NotConnected(
            f"the server has no connection left: {reason}; try later, or raise its max_connections or the role's limit"
        )
    if any(words in reason for words in _IN_BETWEEN):
        return NotConnected(f"the server is starting or stopping: {reason}; try again in a moment")
    if "database" in reason and "does not exist" in reason:
        return DatabaseFailed(f"{reason}; create it, or name another in the connection string")
    if "unsupported startup parameter" in reason:
        return DatabaseFailed(
            f"the pooler refuses what the connection string sets: {reason}; alter the role or the database in its "
            "place (alter role … set search_path = …), or connect directly"
        )
    if "conversion between" in reason:
        return DatabaseFailed(f"{reason}; use a database whose encoding is UTF8")
    if _LOGIN.search(reason):
        return DatabaseFailed(f"the server refused the login: {reason}; check the user, the password and pg_hba.conf")
    return NotConnected(f"the database cannot be reached: {said}")


def _session_lost(error: psycopg.Error) -> DatabaseFailed | None:
    first = _first(error)
    match error:
        case errors.TooManyConnections():
            return NotConnected(f"the server has no connection left: {first}; try later, or raise its max_connections")
        case errors.CannotConnectNow():
            return NotConnected(f"the server is starting or stopping: {first}; try again in a moment")
        case errors.AdminShutdown() | errors.CrashShutdown():
            return DatabaseUnreachable(f"the server ended the connection: {first}; look or try again")
        case errors.IdleInTransactionSessionTimeout():
            return DatabaseUnreachable(f"{first}; raise idle_in_transaction_session_timeout of the role or database")
        case errors.IdleSessionTimeout():
            return DatabaseUnreachable(f"{first}; try again, or raise idle_session_timeout of the role or database")
        case _ if error.sqlstate == "25P04":
            return DatabaseUnreachable(f"{first}; raise transaction_timeout of the role or database")
        case _ if error.sqlstate is not None and error.sqlstate.startswith("08"):
            return DatabaseUnreachable(f"the connection to the database was lost: {first}; look or try again")
        case _ if error.diag.severity_nonlocalized in {"FATAL", "PANIC"} and not _is_login(error):
            return DatabaseUnreachable(f"the server ended the connection: {first}; look or try again")
    return None


def _is_login(error: psycopg.Error) -> bool:
    return isinstance(error, errors.InvalidAuthorizationSpecification | errors.InvalidCatalogName)


def _refused(error: psycopg.Error) -> PendingctlError:
    """The server's refusal of a statement or of a login: nothing was done."""
    first = _first(error)
    match error:
        case errors.ForeignKeyViolation() if error.diag.table_name in ("pending_interactions", "pending_stream"):
            return NotFound(
                f"the organization does not exist; create it first, as enqueue --create-org does "
                f"({error.diag.message_detail or first})"
            )
        case errors.FeatureNotSupported() if error.diag.source_function == "get_relation_info":
            # The table of limits is unlogged, and a standby has none of it (src/backend/optimizer/util/plancat.c).
            return DatabaseFailed(f"{first}: this server is a standby; connect to the primary")
        case errors.FeatureNotSupported() if error.diag.source_file == "predicate.c":
            return DatabaseFailed(
                f"{first}; connect to the primary, or reset default_transaction_isolation of the role or database"
            )
        case errors.UndefinedObject() if "pendingctl.primary" in first:
            return DatabaseFailed(
                "this server is a standby, which may be behind what a reader of streams has read: connect to the "
                "primary (target_session_attrs=read-write in the connection string)"
            )
        case errors.ProgramLimitExceeded() if error.diag.source_file == "async.c":
            return DatabaseFailed(
                f"{first}: a session that listens has had a transaction open for long; end it (select pid from "
                "pg_stat_activity where state like 'idle in transaction%' order by xact_start)"
            )
        case errors.ProgramLimitExceeded() if "index row" in first or error.diag.constraint_name:
            return InvalidInput(f"an id is too long for the index ({first}); ids have at most {MAX_ID_BYTES} bytes")
    for refusal, meaning, remedy in _REFUSALS:
        if isinstance(error, refusal):
            return meaning(f"{first}; {remedy}")
    return DatabaseFailed(f"the database refused: {first}")


def _first(error: psycopg.Error) -> str:
    """What the server says first, without the place in the statement that follows on further lines."""
    said = str(error.diag.message_primary or error).strip().splitlines()
    return said[0] if said else type(error).__name__


def _one_line(said: str) -> str:
    return " ".join(line.strip() for line in said.splitlines() if line.strip()) or "no reason given"
