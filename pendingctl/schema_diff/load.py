"""Loads schema.sql into a scratch database."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from ..errors import InvalidInput
from ..postgres.driver_errors import translate
from .parse import (
    Script,
    Statement,
    refuse_role_statements,
    without_change_of_role,
    without_ownership,
)
from .passed_over import may_be_passed_over, reason_to_pass_over
from .scratch import Scratch, ServerLacks, connected, role_names, what_is_lacking
from .tablespaces import create_missing_tablespaces

LOAD_SECONDS = 120.0
_NOTE_CHARACTERS = 80

# They decide which value a literal such as '2026-01-01'::timestamptz stores.
_LITERAL_SETTINGS = """
    select name, setting from pg_settings
    where name in ('TimeZone', 'DateStyle', 'IntervalStyle', 'standard_conforming_strings')
"""


def literal_settings(live: psycopg.Connection) -> Mapping[str, str]:
    """Return the settings of the live session that decide what literals mean."""
    return dict(live.execute(_LITERAL_SETTINGS).fetchall())


def create_roles(scratch: Scratch, names: Iterable[str]) -> None:
    """Create roles, without login, unless the server is shared with others."""
    if not scratch.shared:
        with connected(scratch.dsn) as connection:
            _create_missing_roles(connection, names)


def load(
    scratch: Scratch,
    script: Script,
    settings: Mapping[str, str],
    *,
    ownership: bool = False,
    seconds: float = LOAD_SECONDS,
) -> list[str]:
    """Run a script statement by statement, and return a note for each that failed without any effect on the schema.

    As psql does, each statement commits by itself unless the script begins a transaction: CREATE INDEX CONCURRENTLY
    and the use of an added enum value do not work in a common one. Whatever a failure leaves behind is discarded. On a
    shared server, owners and grants are set only with `ownership`. The load as a whole is limited to `seconds`.

    Raises InvalidInput with the position of the first statement that fails: ServerLacks where another server might
    take it.
    """
    if scratch.shared:
        try:
            refuse_role_statements(script)
        except InvalidInput as error:
            raise ServerLacks(str(error), "roles of a server that others use are not changed") from None
    statements = script.statements
    if not ownership:
        statements = without_ownership(script) if scratch.shared else without_change_of_role(script)
    with connected(scratch.dsn) as connection:
        if not scratch.shared:
            _create_missing_roles(connection, script.roles)
            create_missing_tablespaces(connection, script.statements)
        for name, value in {
            **settings,
            # Otherwise the DSN and the role of the live database would set these.
            "search_path": "public",
            "default_transaction_read_only": "off",
            "statement_timeout": "0",
            "lock_timeout": "0",
            "synchronous_commit": "off",
            "client_min_messages": "error",
        }.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        with _deadline(connection, seconds) as late:
            failed = [(_run(connection, script, statement, late), statement) for statement in statements]
    return list(_notes(script, [(reason, statement) for reason, statement in failed if reason is not None]))


def move_tables(scratch: Scratch, moves: Mapping[str, str], functions: Mapping[str, str]) -> None:
    """Move tables, and functions without arguments, from `public` into the schemas where the live database has them."""
    with connected(scratch.dsn) as connection:
        for table, schema in moves.items():
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
            connection.execute(
                sql.SQL("alter table public.{} set schema {}").format(sql.Identifier(table), sql.Identifier(schema))
            )
        for function, schema in functions.items():
            connection.execute(
                sql.SQL("alter function public.{}() set schema {}").format(
                    sql.Identifier(function), sql.Identifier(schema)
                )
            )


@contextmanager
def _deadline(connection: psycopg.Connection, seconds: float) -> Iterator[threading.Event]:
    """Cancel whatever runs on a connection after so many seconds; the event is then set.

    The server's own statement_timeout cannot be used: every dump begins by setting it to 0.
    """
    late, done = threading.Event(), threading.Event()

    def cancel() -> None:
        if done.wait(seconds):
            return
        late.set()
        # Repeated: a function may catch the error, and between two statements there is nothing to cancel.
        while not done.wait(0.2):
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=1)

    watching = threading.Thread(target=cancel, daemon=True)
    watching.start()
    try:
        yield late
    finally:
        done.set()
        watching.join()


def _run(connection: psycopg.Connection, script: Script, statement: Statement, late: threading.Event) -> str | None:
    """Run a statement, and return why it failed if it did and that has no effect on the schema."""
    within = connection.info.transaction_status is TransactionStatus.INTRANS and may_be_passed_over(statement)
    try:
        if late.is_set():
            raise psycopg.errors.QueryCanceled
        if within:
            connection.execute("savepoint pendingctl_passes_over")
        # As bytes, since the driver's type accepts only literals: the statement is from the user's own file.
        connection.execute(statement.text.encode())
        if within:
            connection.execute("release savepoint pendingctl_passes_over")
    except psycopg.Error as error:
        if connection.closed and isinstance(error, psycopg.OperationalError):
            raise translate(error) from error
        if late.is_set() and isinstance(error, psycopg.OperationalError):
            complaint = script.source.complaint(statement.offset, "does not load within the time limit")
            raise InvalidInput(complaint) from None
        reason = reason_to_pass_over(statement, error, connection.info.server_version // 10000)
        if reason is None:
            complaint = _complaint(script, statement, error)
            if (lacking := what_is_lacking(error)) is not None:
                raise ServerLacks(complaint, lacking) from None
            raise InvalidInput(complaint) from None
        if within:
            connection.execute("rollback to savepoint pendingctl_passes_over")
        return reason
    return None


def _notes(script: Script, passed_over: Sequence[tuple[str, Statement]]) -> Iterator[str]:
    """Yield a note for each reason: a dump made with --clean has one for each of its objects."""
    for reason in dict.fromkeys(reason for reason, _ in passed_over):
        first, *others = (statement for each, statement in passed_over if each == reason)
        text = " ".join(first.text.split())[:_NOTE_CHARACTERS]
        more = f" (and {len(others)} more)" if others else ""
        yield f"{script.source.mention(first.offset)}: {text} was passed over: {reason}{more}"


def _complaint(script: Script, statement: Statement, error: psycopg.Error) -> str:
    position = error.diag.statement_position
    offset = statement.offset + (int(position) - 1 if position else 0)
    message = error.diag.message_primary or str(error)
    hint = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return script.source.complaint(offset, f"does not load: {message}{hint}")


def _create_missing_roles(connection: psycopg.Connection, names: Iterable[str]) -> None:
    # Superusers, since only they may own an event trigger, for example.
    for name in sorted(set(names) - role_names(connection)):
        connection.execute(sql.SQL("create role {} superuser").format(sql.Identifier(name)))
