"""A session: made fit for the store, whatever server, database, role or pooler have set; and hung up in time."""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from weakref import WeakKeyDictionary

import psycopg
from psycopg import IsolationLevel
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow, dict_row

from ..errors import DatabaseUnreachable, UnfitSetting
from .durability import THROWAWAY_CLUSTER, report_fsync_off
from .time_limits import PREPARE_SECONDS

Connection: TypeAlias = psycopg.AsyncConnection[TupleRow]


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting that changes what the driver or the statements do, and the value that they are written for.

    `passed_on`: PgBouncer in transaction mode gives it to whichever session it lends (pgbouncer.org, "Features").
    Where it does not, `is_harmless` judges the value that the session has, and another one is refused.
    """

    name: str
    value: str
    passed_on: bool = False
    is_harmless: Callable[[str], bool] = bool


# As a connection string's options have it, the last of several: a backslash before what is not to end it.
_SEARCH_PATH = re.compile(r".*(?:-c\s*|--)search[_-]path=((?:\\.|[^\s\\])*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_LEFT_ALONE = "client_connection_check_interval"

# Left out since they change nothing here: bytea_output (there is no bytea), row_security, jit and the planner's,
# default_transaction_deferrable (for serializable alone), default_transaction_read_only (reading works, and each
# write is refused whole). A user's own time-outs hold beside the limits of pendingctl.
_SETTINGS = (
    _Setting("DateStyle", "ISO, MDY", passed_on=True),
    _Setting("TimeZone", "UTC", passed_on=True),
    _Setting("standard_conforming_strings", "on", passed_on=True),
    # No interval is read, and none that is negative is written: all styles agree on these.
    _Setting("IntervalStyle", "postgres"),
    # Below 0 an age has fewer digits than a double.
    _Setting("extra_float_digits", "1", is_harmless=lambda value: int(value) >= 0),
    # Off, a null in an array of texts is the text "NULL".
    _Setting("array_nulls", "on", is_harmless="on".__eq__),
    # On, a refusal of the database ends the session.
    _Setting("exit_on_error", "off", is_harmless="off".__eq__),
    _Setting("default_transaction_isolation", "read committed"),
    # Whoever hangs up leaves no session that waits for a table's lock, which no setting within a statement limits.
    _Setting(_LEFT_ALONE, "500ms"),
)

# A pooler tells its clients a process number of its own making, for cancel requests that it forwards.
_FACTS = """
    select pg_backend_pid() as backend_pid,
           current_setting('fsync') as fsync,
           current_setting('cluster_name') as cluster_name,
           current_setting('session_replication_role') as session_replication_role,
           current_setting('search_path') as search_path,
           current_schema() as current_schema,
           (select array_agg(current_setting(name)) from unnest(%(names)s::text[]) as name) as settings
"""
_SET = (
    "select set_config(name, value, false) from unnest(%(names)s::text[], %(values)s::text[]) as wanted (name, value)"
)


async def prepare_connection(connection: Connection) -> None:
    """Make a connection fit for the store, whatever the server, the database, the role or a pooler have set.

    Each statement commits by itself, under read committed: under repeatable read the loser of a race gets error 40001
    instead of an answer (PostgreSQL manual, section 13.2). Text is UTF-8, times are ISO and UTC. A pooler in
    transaction mode hands on only some of the settings; there the isolation is named by each statement's own
    transaction, nothing is prepared, and what cannot be set is refused, as is a pooler in statement mode. A statement
    whose task is cancelled is not cancelled at the server, since a commit that waits for a synchronous standby would
    then be acknowledged without it: the connection is hung up.

    Raises UnfitSetting, with the setting's name, where pendingctl cannot work; DatabaseUnreachable when no reply comes.
    """
    # On the connection, as that may be of any class and any pool; and of its inner one, which makes no cycle.
    connection.cancel_safe = partial(_hang_up_instead, connection.pgconn)  # type: ignore[method-assign]
    with within(connection, PREPARE_SECONDS):
        await connection.set_autocommit(True)
        if connection.info.parameter_status("client_encoding") != "UTF8":
            await connection.execute("set client_encoding to 'UTF8'")
        await _fit(connection)


async def _fit(connection: Connection) -> None:
    names = [setting.name for setting in _SETTINGS]
    facts = await (await connection.cursor(row_factory=dict_row).execute(_FACTS, {"names": names})).fetchone()
    assert facts is not None
    if facts["session_replication_role"] == "replica":
        raise _unfit("session_replication_role", "replica", "foreign keys would not hold; set it to origin")
    if facts["current_schema"] is None:
        raise _unfit("search_path", facts["search_path"], "no schema of it exists; name the tables' schema in it")
    if facts["fsync"] == "off" and facts["cluster_name"] != THROWAWAY_CLUSTER:
        report_fsync_off()
    is_pooled = facts["backend_pid"] != connection.info.backend_pid
    other = [
        (setting, value) for setting, value in zip(_SETTINGS, facts["settings"], strict=True) if value != setting.value
    ]
    if is_pooled:
        connection.prepare_threshold = None
        await _refuse_statement_mode(connection)
        wanted = _SEARCH_PATH.search(connection.info.options)
        if wanted is not None and _ESCAPED.sub(r"\1", wanted[1]) != facts["search_path"]:
            remedy = "a pooler has left out that of the connection string; alter the role or the database to have it"
            raise _unfit("search_path", facts["search_path"], remedy)
        for setting, value in other:
            if not (setting.passed_on or setting.is_harmless(value)):
                raise _unfit(
                    setting.name,
                    value,
                    f"behind a pooler it cannot be set; alter the role or the database to have {setting.value}",
                )
    settable = [setting for setting, _ in other if setting.passed_on or not is_pooled]
    try:
        await _set(connection, settable)
    except psycopg.errors.InvalidParameterValue:
        # A server on Windows cannot look whether its client is there.
        await _set(connection, [setting for setting in settable if setting.name != _LEFT_ALONE])
    if is_pooled and "default_transaction_isolation" in {setting.name for setting, _ in other}:
        await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await connection.set_autocommit(False)


async def _refuse_statement_mode(connection: Connection) -> None:
    # What needs no transaction would work, and all else look like a connection that was lost.
    try:
        await connection.execute("begin")
        await connection.execute("rollback")
    except psycopg.errors.ProtocolViolation as error:
        remedy = "the pooler refuses transactions; set pool_mode = transaction for it, or connect directly"
        raise _unfit("pool_mode", "statement", remedy) from error


async def _set(connection: Connection, settings: Sequence[_Setting]) -> None:
    if settings:
        wanted = {"names": [setting.name for setting in settings], "values": [setting.value for setting in settings]}
        await connection.execute(_SET, wanted)


def _unfit(name: str, value: str, remedy: str) -> UnfitSetting:
    return UnfitSetting(f"pendingctl cannot work where {name} is {value!r}: {remedy}")


async def _hang_up_instead(pgconn: PGconn, *, timeout: float = 0) -> None:  # noqa: ARG001, ASYNC109 (the driver's own)
    hang_up(pgconn)
    # The driver would wait for the statement's end, and before psycopg 3.3.9 raise that the connection is lost: whoever
    # goes on when the database is away would go on for ever.
    raise asyncio.CancelledError


def hang_up(pgconn: PGconn) -> None:
    """End a connection's traffic in both directions; whoever waits for its reply learns at once that it is lost.

    Its descriptor stays open, since an event loop may watch it; the driver closes it.
    """
    with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(pgconn.socket)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


def is_alive(connection: Connection) -> bool:
    """Whether an idle connection has not been closed from the other end, as by a failover: no round trip, one look.

    One that is in use is not looked at: whoever waits for its reply would not learn that it has come.
    """
    pgconn = connection.pgconn
    if pgconn.status == ConnStatus.OK and pgconn.transaction_status == TransactionStatus.ACTIVE:
        return True
    try:
        descriptor = select.poll()
        descriptor.register(pgconn.socket, select.POLLIN)
        while descriptor.poll(0):
            pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return pgconn.status == ConnStatus.OK


class Deadline:
    """Hangs a connection up when its time has come, unless it is called off before; cancels the task until it has one.

    A twentieth of a second late at most: one timer looks at all of a loop's deadlines. With a timer for each a cycle of
    ask, click and delivery takes a tenth more of the pod's own time.
    """

    __slots__ = ("_pgconn", "_task", "_watch", "at", "has_passed")

    def __init__(self, seconds: float, connection: Connection | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._pgconn = None if connection is None else connection.pgconn
        self._task = asyncio.current_task(loop) if connection is None else None
        self._watch = _watches.get(loop) or _watches.setdefault(loop, _Watch())
        self.at = loop.time() + seconds
        """In the event loop's time."""
        self.has_passed = False
        self._watch.add(self, loop)

    def watch(self, connection: Connection) -> None:
        """From now on hang this one up."""
        self._pgconn, self._task = connection.pgconn, None

    def expire(self) -> None:
        """Its time has come."""
        self.has_passed = True
        if self._pgconn is not None:
            hang_up(self._pgconn)
        elif self._task is not None:
            self._task.cancel()

    def call_off(self) -> None:
        """Let the connection live; one that was hung up is closed, so that a pool replaces it."""
        self._watch.discard(self)
        if self.has_passed and self._pgconn is not None:
            self._pgconn.finish()


class _Watch:
    """The deadlines of one event loop; a timer runs while there are any."""

    def __init__(self) -> None:
        self._deadlines = set[Deadline]()
        self._is_looking = False

    def add(self, deadline: Deadline, loop: asyncio.AbstractEventLoop) -> None:
        self._deadlines.add(deadline)
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    def discard(self, deadline: Deadline) -> None:
        self._deadlines.discard(deadline)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        expired = [deadline for deadline in self._deadlines if deadline.at <= loop.time()]
        self._deadlines.difference_update(expired)
        for deadline in expired:
            deadline.expire()
        self._is_looking = bool(self._deadlines)
        if self._is_looking:
            loop.call_later(_LOOK_SECONDS, self._look, loop)


_LOOK_SECONDS = 0.05
_watches = WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch]()


@contextmanager
def within(connection: Connection, seconds: float) -> Iterator[None]:
    """Hang the connection up when the block takes longer. Raises DatabaseUnreachable then."""
    deadline = Deadline(seconds, connection)
    try:
        yield
    except psycopg.OperationalError as error:
        if not deadline.has_passed:
            raise
        raise no_reply(seconds) from error
    finally:
        deadline.call_off()


def no_reply(seconds: float) -> DatabaseUnreachable:
    """Return the error for a limit that has expired."""
    return DatabaseUnreachable(
        f"the database gave no reply within {seconds:g} s; what was under way may have been done, look or try again"
    )
