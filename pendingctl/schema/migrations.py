"""The migrations: yoyo reads and orders the files and runs their steps; its gaps are closed here.

The table `pendingctl_migration`, in the same schema as the other tables, takes the place of yoyo's bookkeeping: an
application's own yoyo is not disturbed, an edited file is noticed by its content, a migration and its mark commit
together, and looking writes nothing. A session advisory lock takes the place of yoyo's lock row, so that a killed
run leaves no lock behind.
"""

from __future__ import annotations

import glob
import hashlib
import io
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from yoyo import exceptions as yoyo_exceptions
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.migrations import MigrationStep, topological_sort

from ..errors import DatabaseFailed, InvalidInput, MigrationFailed, Refused
from ..postgres.driver_errors import translate, translated_errors
from ..postgres.dsn import connect_parameters
from .place import check_organization, check_schema, check_writable

if TYPE_CHECKING:
    from yoyo.migrations import Migration

LOCK_TIMEOUT = timedelta(seconds=5)

# How long a run waits for another one to end, and how often it looks.
TURN_TIMEOUT_SECONDS = 600
TURN_POLL_SECONDS = 0.2

# "pendingc" as a number: one run at a time in a database, whichever schema it is for.
_ADVISORY_LOCK = 0x70656E64696E6763

# The migration that references the table organization.
_REFERENCES_ORGANIZATION = "0002_pending_interactions"

_CREATE_BOOKKEEPING = """
    create table if not exists pendingctl_migration (
        id text primary key,
        content_sha256 text not null,
        applied_at timestamptz not null default now()
    )
"""
_BOOKKEEPING_EXISTS = "select to_regclass('pendingctl_migration') is not null"
_APPLIED = "select id, content_sha256 from pendingctl_migration order by id"
_MARK = "insert into pendingctl_migration (id, content_sha256) values (%(id)s, %(content_sha256)s)"
_UNMARK = "delete from pendingctl_migration where id = %(id)s"

# In a rollback file: what can be had back by no further migration.
_LOSES = re.compile(r"^-- loses: (.+)$", re.MULTILINE)

# yoyo logs the traceback of each error that it also raises.
logging.getLogger("yoyo").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Status:
    """Which migrations a database has; `unknown` ones were applied by a newer version of pendingctl."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that would run, as SQL (the path of the file for one written in Python)."""

    id: str
    sql: str


def migrations_directory() -> Path:
    """Return the folder of pendingctl's migrations, in an installed wheel as in a source tree."""
    package = Path(__file__).parent.parent
    installed = package / "migration_files"
    return installed if installed.is_dir() else package.parent / "migrations"


def schema_file() -> Path:
    """Return the hand-written schema.sql, which describes what the migrations lead to."""
    return Path(__file__).parent / "schema.sql"


def status(dsn: str, directory: Path | None = None) -> Status:
    """Return what is applied and what is pending; writes nothing and needs no right beyond reading.

    Raises InvalidInput when a file is edited, does not load or shares its number, or when the schema that the
    connection leads to cannot take the tables; and DatabaseFailed.
    """
    files = _Files(directory or migrations_directory())
    with _connected(dsn) as connection, translated_errors(), connection.transaction():
        connection.execute("set transaction read only")
        found = files.status(_applied(connection))
        if _REFERENCES_ORGANIZATION in found.pending:
            check_organization(connection, applying=False)
        return found


def pending_steps(dsn: str, directory: Path | None = None, *, to: str | None = None) -> list[Step]:
    """Return what `apply` would run, without running it. Raises the errors of `status`."""
    files = _Files(directory or migrations_directory())
    return [files.step(id) for id in files.up_to(status(dsn, directory).pending, to)]


def apply(
    dsn: str,
    directory: Path | None = None,
    *,
    to: str | None = None,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    on_wait: Callable[[], None] | None = None,
) -> list[str]:
    """Apply the pending migrations, up to and including `to`, and return their ids.

    Of several runs at the same moment one applies; the others wait, calling `on_wait` once, and find nothing to
    do. Each statement waits at most `lock_timeout` for a lock, so that it does not hold up everybody else behind one
    long transaction.

    Raises MigrationFailed, the migrations before it applied and nothing of the failed one left, unless it is a
    non-transactional one, which can be run again; InvalidInput through a pooler; DatabaseFailed, before anything is
    applied, on a read-only server; and the errors of `status`.
    """
    files = _Files(directory or migrations_directory())
    with _turn(dsn, lock_timeout, on_wait) as backend:
        connection = backend.connection
        pending = files.up_to(files.status(_applied(connection)).pending, to)
        if pending:
            if _REFERENCES_ORGANIZATION in pending:
                check_organization(connection, applying=True)
            check_writable(connection)
            connection.execute(_CREATE_BOOKKEEPING)
        for number, id in enumerate(pending):
            failures = _failures_named(id, "apply", lock_timeout, after=pending[:number])
            with failures, _one_migration(backend, files.by_id[id]):
                files.by_id[id].process_steps(backend, "apply")
                connection.execute(_MARK, {"id": id, "content_sha256": files.content_sha256(id)})
        return pending


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
    files = _Files(directory or migrations_directory())
    with _turn(dsn, lock_timeout, on_wait) as backend:
        chosen = files.latest(files.status(_applied(backend.connection)), count)
        if confirmed is not None and chosen != list(confirmed):
            raise Refused("another run has migrated this database since that was confirmed; nothing was rolled back")
        if chosen:
            check_writable(backend.connection)
        for number, id in enumerate(chosen):
            failures = _failures_named(id, "rollback", lock_timeout, after=chosen[:number])
            with failures, _one_migration(backend, files.by_id[id]):
                files.by_id[id].process_steps(backend, "rollback")
                backend.connection.execute(_UNMARK, {"id": id})
        return chosen


def rollback_candidates(dsn: str, count: int, directory: Path | None = None) -> list[str]:
    """Return the ids that `rollback` would roll back, the latest first. Raises the errors of `rollback`."""
    return _Files(directory or migrations_directory()).latest(status(dsn, directory), count)


def losses(ids: Sequence[str], directory: Path | None = None) -> list[str]:
    """Return, in words, what is lost when these migrations are rolled back: each rollback file's `-- loses:` line."""
    files = _Files(directory or migrations_directory())
    found = [_LOSES.search(_rollback_file(files.by_id[id]).read_text(encoding="utf-8")) for id in ids]
    return [match[1] for match in found if match is not None and match[1] != "nothing"]


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo is untyped
    """yoyo's backend on any string that libpq takes: yoyo's own parser refuses several kinds of them."""

    connection: psycopg.Connection

    def connect(self, dburi: str) -> psycopg.Connection:
        return _connect(dburi)


class _Files:
    """The migrations of one folder, loaded and in the order of their dependencies."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise InvalidInput(f"{directory} is not a folder of migrations")
        found = read_migrations(glob.escape(str(directory)))
        _check_numbers([migration.id for migration in found])
        for migration in found:
            _load(migration)
        self.by_id: dict[str, Migration] = {migration.id: migration for migration in topological_sort(found)}

    def status(self, applied: Mapping[str, str]) -> Status:
        for id, recorded in applied.items():
            if id in self.by_id and recorded != self.content_sha256(id):
                raise InvalidInput(
                    f"migration {id} was edited after it had been applied; "
                    "restore the file and put the change into a new one"
                )
        return Status(
            applied=tuple(id for id in self.by_id if id in applied),
            pending=tuple(id for id in self.by_id if id not in applied),
            unknown=tuple(id for id in applied if id not in self.by_id),
        )

    def up_to(self, pending: tuple[str, ...], to: str | None) -> list[str]:
        if to is None:
            return list(pending)
        if to not in self.by_id:
            raise InvalidInput(f"there is no migration {to}; there are: {', '.join(self.by_id)}")
        order = list(self.by_id)
        return [id for id in pending if order.index(id) <= order.index(to)]

    def latest(self, status: Status, count: int) -> list[str]:
        if status.unknown:
            raise InvalidInput(
                f"a newer pendingctl applied {', '.join(status.unknown)}; "
                "roll back with that version, which has the files"
            )
        chosen = list(reversed(status.applied))[:count]
        for id in chosen:
            migration = self.by_id[id]
            if migration.is_raw_sql() and not _rollback_file(migration).is_file():
                raise InvalidInput(f"migration {id} has no {_rollback_file(migration).name}; nothing was rolled back")
        return chosen

    def step(self, id: str) -> Step:
        migration = self.by_id[id]
        return Step(id, str(migration.source) if migration.is_raw_sql() else f"-- runs {migration.path}\n")

    def content_sha256(self, id: str) -> str:
        # A checkout that rewrites line ends has not edited the migration.
        content = Path(self.by_id[id].path).read_bytes().replace(b"\r\n", b"\n")
        return hashlib.sha256(content).hexdigest()


def _check_numbers(ids: list[str]) -> None:
    seen: dict[str, str] = {}
    for id in ids:
        # yoyo's own names, 20260101_01_a1b2C-what, have letters to tell two of the same day and number apart.
        number = re.match(r"\d{8}_\d{2}_\w{5}(?=-)|\d+", id)
        if number is not None and seen.setdefault(number[0], id) != id:
            raise InvalidInput(f"migrations {seen[number[0]]} and {id} share the number {number[0]}; rename one")


def _load(migration: Migration) -> None:
    """Load one file, or raise InvalidInput: yoyo skips a file that does not load and applies the ones after it."""
    try:
        migration.load()
        if migration.is_raw_sql() and migration.use_transactions:
            # The server takes a transactional file as a whole. yoyo would split it, and splits nested comments wrongly.
            rollback = _rollback_file(migration)
            undo = rollback.read_text(encoding="utf-8") if rollback.is_file() else None
            migration.steps = [MigrationStep(0, migration.source, undo)]
    except (yoyo_exceptions.BadMigration, KeyError, OSError, UnicodeDecodeError) as error:
        reason = error.__cause__ or error.__context__ or error
        raise InvalidInput(f"migration {migration.id} does not load: {reason!r}") from error


def _rollback_file(migration: Migration) -> Path:
    return Path(migration.path).with_suffix(".rollback.sql")


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    check_schema(connection)
    row = connection.execute(_BOOKKEEPING_EXISTS).fetchone()
    if row is None or not row[0]:
        return {}
    return dict(connection.execute(_APPLIED).fetchall())


def _connect(dsn: str) -> psycopg.Connection:
    added = connect_parameters(dsn, "pendingctl migrate")
    with translated_errors():
        return psycopg.connect(dsn, autocommit=True, **added)  # type: ignore[arg-type]


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
        # Under another isolation a check would not see what was committed while its migration waited for a lock.
        connection.execute(
            "select set_config('lock_timeout', %s, false), set_config('statement_timeout', '0', false),"
            " set_config('default_transaction_isolation', 'read committed', false)",
            (f"{lock_timeout.total_seconds() * 1000:.0f}ms",),
        )
        yield backend


def _wait_for_turn(connection: psycopg.Connection, on_wait: Callable[[], None] | None) -> None:
    # The statement of a client that was killed, and its lock, end within a second rather than when it is done. Not
    # every platform's server can do that (manual, section 20.3).
    with suppress(psycopg.DatabaseError):
        connection.execute("set client_connection_check_interval = '1s'")
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
def _one_migration(backend: _Backend, migration: Migration) -> Iterator[None]:
    """The transaction of a migration and its mark; a non-transactional one has none."""
    if not migration.use_transactions:
        yield
        return
    with backend.transaction():
        yield


@contextmanager
def _failures_named(id: str, direction: str, lock_timeout: timedelta, *, after: Sequence[str]) -> Iterator[None]:
    """Raise the driver's errors with the migration's name in the message, and with those that were done before it."""
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
        raise MigrationFailed(f"{direction} of {id} failed: {' '.join(reason.split())}{done}") from error
