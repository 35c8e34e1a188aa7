"""The migrations: yoyo reads and orders the files and runs their steps; its gaps are closed here.

The table `pendingctl_migration`, in the same schema as the other tables, takes the place of yoyo's bookkeeping: an
application's own yoyo is not disturbed, an edited file is noticed by its content, a migration and its mark commit
together, and looking writes nothing. A session advisory lock takes the place of yoyo's lock row, so that a killed
run leaves no lock behind.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend

from ..errors import DatabaseFailed, InvalidInput, MigrationFailed, Refused
from ..postgres.driver_errors import translate, translated_errors
from ..postgres.dsn import connect_parameters
from .bookkeeping import find_bookkeeping
from .migration_files import MigrationFiles, Status, Step
from .place import check_organization, check_writable
from .sql_text import ends_its_transaction

if TYPE_CHECKING:
    from yoyo.migrations import Migration

Direction: TypeAlias = Literal["apply", "rollback"]

LOCK_TIMEOUT = timedelta(seconds=5)

# How long a run waits for another one to end, and how often it looks.
TURN_TIMEOUT_SECONDS = 600
TURN_POLL_SECONDS = 0.2

# "pendingc" as a number: one run at a time in a database, whichever schema it is for.
_ADVISORY_LOCK = 0x70656E64696E6763

# The migration that references the table organization.
_REFERENCES_ORGANIZATION = "0002_pending_interactions"

# What a session keeps, but for the advisory lock: DISCARD ALL without the one (manual, "DISCARD").
_NEW_SESSION = """
    close all;
    set session authorization default;
    reset role;
    reset all;
    deallocate all;
    unlisten *;
    discard plans;
    discard temp;
    discard sequences
"""
# Not every platform's server can look for a client that was killed (manual, section 20.3).
_ENDS_WITH_ITS_CLIENT = "set client_connection_check_interval = '1s'"

# yoyo logs the traceback of each error that it also raises.
logging.getLogger("yoyo").addHandler(logging.NullHandler())


def migrations_directory() -> Path:
    """Return the folder of pendingctl's migrations, in an installed wheel as in a source tree."""
    package = Path(__file__).parent.parent
    installed = package / "migration_files"
    return installed if installed.is_dir() else package.parent / "migrations"


def schema_file() -> Path:
    """Return the hand-written schema.sql, which describes what the migrations lead to."""
    return Path(__file__).parent / "schema.sql"


def status(dsn: str, directory: Path | None = None, *, to: str | None = None) -> Status:
    """Return what is applied, and what is pending up to and including `to`.

    Writes nothing and needs no right beyond reading. Raises InvalidInput when a file is edited, does not load or shares
    its number, when there is no `to`, or when the schema that the connection leads to cannot take the tables; and
    DatabaseFailed.
    """
    return _status(dsn, MigrationFiles(directory or migrations_directory()), to)


def _status(dsn: str, files: MigrationFiles, to: str | None = None) -> Status:
    with _connected(dsn) as connection, translated_errors(), connection.transaction():
        connection.execute("set transaction read only")
        found = files.status(find_bookkeeping(connection).applied(connection))
        found = replace(found, pending=files.up_to(found.pending, to))
        if _REFERENCES_ORGANIZATION in found.pending:
            check_organization(connection, applying=False)
        return found


def pending_steps(dsn: str, directory: Path | None = None, *, to: str | None = None) -> list[Step]:
    """Return what `apply` would run, without running it. Raises the errors of `status`."""
    files = MigrationFiles(directory or migrations_directory())
    return files.steps(_status(dsn, files, to).pending)


def apply(
    dsn: str,
    directory: Path | None = None,
    *,
    to: str | None = None,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    on_wait: Callable[[], None] | None = None,
) -> list[str]:
    """Apply the pending migrations, up to and including `to`, then yoyo's post-apply files; return the migrations' ids.

    Of several runs at the same moment one applies; the others wait, calling `on_wait` once, and find nothing to
    do. Each statement waits at most `lock_timeout` for a lock, so that it does not hold up everybody else behind one
    long transaction. Each file begins with a session as a new connection has it, and, unless it is a non-transactional
    one, commits together with its mark: a COMMIT of its own is passed over.

    Raises MigrationFailed, the migrations before it applied and nothing of the failed one left, unless it is a
    non-transactional one, which can be run again; InvalidInput through a pooler; DatabaseFailed, before anything is
    applied, on a read-only server; and the errors of `status`.
    """
    files = MigrationFiles(directory or migrations_directory())
    with _turn(dsn, lock_timeout, on_wait) as backend:
        connection = backend.connection
        bookkeeping = find_bookkeeping(connection)
        pending = files.up_to(files.status(bookkeeping.applied(connection)).pending, to)
        if pending:
            if _REFERENCES_ORGANIZATION in pending:
                check_organization(connection, applying=True)
            check_writable(connection)
            bookkeeping.create(connection)
        for number, id in enumerate(pending):
            with _one_file(backend, files.by_id[id], "apply", lock_timeout, after=pending[:number]):
                bookkeeping.mark(connection, id, files.content_sha256(id))
        for hook in files.hooks if pending else ():
            with _one_file(backend, hook, "apply", lock_timeout, after=pending):
                pass
        return list(pending)


def rollback(
    dsn: str,
    count: int,
    directory: Path | None = None,
    *,
    confirmed: Sequence[str] | None = None,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    on_wait: Callable[[], None] | None = None,
) -> list[str]:
    """Roll back the `count` migrations applied last and return their ids, the latest first.

    `confirmed` are the ids that somebody agreed to: when they are no longer the last ones, nothing is done.

    Raises Refused in that case and InvalidInput when one of them has no rollback, both before anything is changed,
    and the errors of `apply`.
    """
    files = MigrationFiles(directory or migrations_directory())
    with _turn(dsn, lock_timeout, on_wait) as backend:
        bookkeeping = find_bookkeeping(backend.connection)
        chosen = files.latest(files.status(bookkeeping.applied(backend.connection)), count)
        if confirmed is not None and chosen != list(confirmed):
            raise Refused("another run has migrated this database since that was confirmed; nothing was rolled back")
        if chosen:
            check_writable(backend.connection)
        for number, id in enumerate(chosen):
            with _one_file(backend, files.by_id[id], "rollback", lock_timeout, after=chosen[:number]):
                bookkeeping.unmark(backend.connection, id)
        return chosen


def rollback_candidates(dsn: str, count: int, directory: Path | None = None) -> list[str]:
    """Return the ids that `rollback` would roll back, the latest first. Raises the errors of `rollback`."""
    files = MigrationFiles(directory or migrations_directory())
    return files.latest(_status(dsn, files), count)


def losses(ids: Sequence[str], directory: Path | None = None) -> list[str]:
    """Return, in words, what is lost when these migrations are rolled back: each rollback file's `-- loses:` line."""
    return MigrationFiles(directory or migrations_directory()).losses(ids)


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo is untyped
    """yoyo's backend on any string that libpq takes: yoyo's own parser refuses several kinds of them."""

    connection: psycopg.Connection
    # Whether a migration written in Python has ended the transaction in which it was run.
    lost_its_transaction = False

    def connect(self, dburi: str) -> psycopg.Connection:
        return _connect(dburi)

    @contextmanager
    def disable_transactions(self) -> Iterator[None]:
        """Do nothing: the connection commits each statement, and a transaction that a file leaves open is looked at."""
        yield

    def savepoint_rollback(self, id: str) -> None:
        """Go back to a savepoint, if it is there: its absence must not hide the error that led here."""
        try:
            super().savepoint_rollback(id)
        except (psycopg.errors.NoActiveSqlTransaction, psycopg.errors.InvalidSavepointSpecification):
            self.lost_its_transaction = True


def _connect(dsn: str) -> psycopg.Connection:
    added = connect_parameters(dsn, "pendingctl migrate")
    with translated_errors():
        return psycopg.connect(dsn, autocommit=True, prepare_threshold=None, **added)  # type: ignore[arg-type]


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection]:
    connection = _connect(dsn)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def _turn(dsn: str, lock_timeout: timedelta, on_wait: Callable[[], None] | None) -> Iterator[_Backend]:
    """A connection whose turn it is to migrate; the turn ends with the connection, however that ends."""
    # What a migration selects is of no interest to anybody, and yoyo prints it.
    with translated_errors(), redirect_stdout(io.StringIO()), _Backend(dsn, "") as backend:
        connection = backend.connection
        row = connection.execute("select pg_backend_pid()").fetchone()
        if row != (connection.info.backend_pid,):
            raise InvalidInput(
                "this connection goes through a pooler, which cannot hold a lock for the session; migrate directly"
            )
        _wait_for_turn(connection, on_wait)
        # Only now: lock_timeout would also limit the wait for the advisory lock.
        _set_limits(connection, lock_timeout)
        yield backend


def _set_limits(connection: psycopg.Connection, lock_timeout: timedelta) -> None:
    with suppress(psycopg.DatabaseError):
        connection.execute(_ENDS_WITH_ITS_CLIENT)
    # Under another isolation a check would not see what was committed while its migration waited for a lock.
    connection.execute(
        "select set_config('lock_timeout', %s, false), set_config('statement_timeout', '0', false),"
        " set_config('default_transaction_isolation', 'read committed', false)",
        (f"{lock_timeout.total_seconds() * 1000:.0f}ms",),
    )


def _wait_for_turn(connection: psycopg.Connection, on_wait: Callable[[], None] | None) -> None:
    # The statement of a client that was killed, and its lock, end within a second rather than when it is done.
    with suppress(psycopg.DatabaseError):
        connection.execute(_ENDS_WITH_ITS_CLIENT)
    deadline = time.monotonic() + TURN_TIMEOUT_SECONDS
    waited = False
    # The lock is tried again and again: a session that waits for it in the server holds a snapshot, and CREATE INDEX
    # CONCURRENTLY in the run that holds the lock would wait for that snapshot for ever.
    while True:
        row = connection.execute("select pg_try_advisory_lock(%s)", (_ADVISORY_LOCK,)).fetchone()
        if row is not None and row[0]:
            return
        if time.monotonic() > deadline:
            raise DatabaseFailed(f"another migration run has not ended for {TURN_TIMEOUT_SECONDS} s; see pg_locks")
        if not waited and on_wait is not None:
            on_wait()
        waited = True
        time.sleep(TURN_POLL_SECONDS)


@contextmanager
def _one_file(
    backend: _Backend, migration: Migration, direction: Direction, lock_timeout: timedelta, *, after: Sequence[str]
) -> Iterator[None]:
    """Run a file, then the block, which marks it, in the same transaction; a non-transactional file has none.

    yoyo runs each file on a connection of its own. Here the connection holds the lock, and its session is made like
    new before the file; the block has the role again with which the session began.
    """
    connection = backend.connection
    with _failures_named(backend, migration, direction, lock_timeout, after=after):
        connection.execute(_NEW_SESSION)
        _set_limits(connection, lock_timeout)
        if migration.use_transactions:
            with backend.transaction():
                migration.process_steps(backend, direction)
                connection.execute("set session authorization default; reset role")
                yield
            return
        migration.process_steps(backend, direction)
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            raise MigrationFailed(
                f"{direction} of {migration.id} failed: it begins a transaction that it does not end, "
                "so that nothing of it was kept; add commit at its end"
            )
        connection.execute(_NEW_SESSION)
        yield


@contextmanager
def _failures_named(
    backend: _Backend, migration: Migration, direction: Direction, lock_timeout: timedelta, *, after: Sequence[str]
) -> Iterator[None]:
    """Raise the driver's errors with the migration's name in the message, and with those that were done before it."""
    id = migration.id
    done = f"; {direction} of {', '.join(after)} is done" if after else ""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationFailed(
            f"{direction} of {id} got no lock within {lock_timeout.total_seconds():g} s: "
            f"a long transaction holds a table; try again when it has ended, or raise --lock-timeout{done}"
        ) from error
    except psycopg.Error as error:
        # Without a code of the server's, or with one of class 08 or 57 (manual, appendix A), the connection is lost.
        if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:2] in ("08", "57"):
            raise translate(error) from error
        depending = error.diag.message_detail if isinstance(error, psycopg.errors.DependentObjectsStillExist) else None
        reason = f"{str(error).strip().splitlines()[0]}{f' ({depending})' if depending else ''}"
        kept = ""
        if backend.lost_its_transaction:
            kept = "; what it had committed itself stays"
        elif migration.is_raw_sql() and migration.use_transactions and ends_its_transaction(str(migration.source)):
            # It may need the commit, for example between the addition of an enum's value and its use.
            kept = "; its own commit is passed over, unless its first line is -- transactional: false"
        raise MigrationFailed(f"{direction} of {id} failed: {' '.join(reason.split())}{kept}{done}") from error
