"""Reads one side of the comparison from pg_catalog, which every role can read. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import dict_row

from ..errors import DatabaseFailed
from ..postgres.driver_errors import translated_errors
from ..postgres.dsn import connect_parameters
from .comments_and_privileges import (
    Annotations,
    read_comments,
    read_database_owner,
    read_extensions,
    read_privileges,
)
from .kinds import KINDS, Kind
from .model import Catalog, CatalogObject, Extension, Name, SettingType
from .own_tables import OwnTables
from .scope import read_scope
from .server_options import read_server_options

# The queries are written for 14 and later; support for 13 ended in November 2025.
OLDEST_MAJOR = 14

# The settings that decide how constants and names are printed; and no just-in-time compilation, which takes longer than
# any of the queries, and more so the larger the catalogs are.
_READING = """
    select
        set_config('search_path', 'pg_catalog', true),
        set_config('statement_timeout', %(statement_timeout)s, true),
        set_config('timezone', 'UTC', true),
        set_config('datestyle', 'ISO, YMD', true),
        set_config('intervalstyle', 'postgres', true),
        set_config('extra_float_digits', '1', true),
        set_config('bytea_output', 'hex', true),
        set_config('quote_all_identifiers', 'off', true),
        set_config('standard_conforming_strings', 'on', true),
        set_config('jit', 'off', true)
"""

_SETTING_TYPES = "select lower(name), vartype, unit from pg_settings"
_EXTENSIONS = "select extname::text, extversion, extnamespace::regnamespace::text from pg_extension"


@contextmanager
def reading(dsn: str, application: str) -> Iterator[psycopg.Connection]:
    """A connection in one read-only, repeatable-read transaction, which is rolled back at the end.

    Settings are local to the transaction and nothing is prepared, so that it works through a pooler in transaction
    mode and on a standby too. Raises DatabaseUnreachable, DatabaseFailed and InvalidInput.
    """
    added = connect_parameters(dsn, application)
    with translated_errors():
        connection = psycopg.connect(dsn, prepare_threshold=None, **added)  # type: ignore[arg-type]
        try:
            major = connection.info.server_version // 10000
            if major < OLDEST_MAJOR:
                raise DatabaseFailed(f"PostgreSQL {major} cannot be compared; {OLDEST_MAJOR} or later can")
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
                _take_any_bytes(connection)
            yield connection
        finally:
            connection.close()


class _AnyBytes(Loader):
    """Reads text as UTF-8, and what is not UTF-8 as escapes."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "backslashreplace")


def _take_any_bytes(connection: psycopg.Connection) -> None:
    """Read a database without an encoding: to a client that has one, the server refuses bytes that are not in it."""
    connection.execute("set client_encoding to SQL_ASCII")
    for name in ("text", "name", "varchar", "bpchar", '"char"'):
        connection.adapters.register_loader(connection.adapters.types[name].oid, _AnyBytes)


def read_catalog(
    connection: psycopg.Connection,
    own: OwnTables | None,
    statement_timeout: timedelta,
    *,
    schemas: Sequence[str] | None = None,
    enabled: frozenset[str] = frozenset(),
    database_owner: str | None = None,
) -> Catalog:
    """Return pendingctl's own tables and functions, or with None every object that a user of the database created.

    `schemas` limits the result to these. `enabled` names what is read only on request: "extension_versions", and
    "privileges" for owners and grants. Where schema.sql was loaded, `database_owner` is the live side's
    Catalog.database_owner, for which the loading role stands.

    The number of queries does not depend on the number of objects.
    """
    connection.execute(_READING, {"statement_timeout": f"{statement_timeout.total_seconds() * 1000:.0f}ms"})
    scope = read_scope(connection, own, schemas)
    annotations = {**read_comments(connection), **read_extensions(connection)}
    if "privileges" in enabled:
        annotations |= read_privileges(connection, scope.oids, database_owner)
    objects: list[CatalogObject] = []
    with connection.cursor(row_factory=dict_row) as cursor:
        for kind in KINDS:
            if kind.option is not None and kind.option not in enabled:
                continue
            # As bytes, since the driver's type accepts only literals: the queries are constants of this package.
            cursor.execute(kind.query.encode(), {**scope.oids, "database_owner": database_owner})
            dropped = {name for name, option in kind.optional.items() if option not in enabled}
            objects += [_object(kind, row, annotations, dropped) for row in cursor]
    counted = {kind: count for kind, count in scope.uncompared.items() if count}
    return Catalog(
        tuple(objects),
        counted,
        read_database_owner(connection),
        setting_types={name: SettingType(type_, unit) for name, type_, unit in connection.execute(_SETTING_TYPES)},
        extensions={name: Extension(version, schema) for name, version, schema in connection.execute(_EXTENSIONS)},
        server_options=read_server_options(connection, scope.oids),
    )


def _object(
    kind: Kind, row: Mapping[str, Any], annotations: Mapping[str, Annotations], dropped: Set[str]
) -> CatalogObject:
    attributes = {name: value for name, value in row.items() if name not in dropped}
    name, table, columns, other_kind = (attributes.pop(key, None) for key in ("name", "of_table", "columns", "kind"))
    oid, definition = attributes.pop("oid"), attributes.pop("definition")
    subid, relation = attributes.pop("subid", 0), attributes.pop("relation", oid)
    depends_on = attributes.pop("depends_on", None) or ()
    has_generated_name = bool(attributes.pop("has_generated_name", None))
    if kind.with_definition:
        attributes["definition"] = definition
    is_member = annotations["extension"].of_object.get((kind.catalog, oid, 0)) is not None
    # A user adds to an extension's relations; of its other objects the definition is the extension's alone.
    if is_member and kind.catalog != "pg_class":
        attributes.clear()
        definition = f"{kind.name} of an extension"
    for attribute, texts in annotations.items():
        # The members of a trusted extension belong to the server's first role, whoever created the extension.
        if is_member and attribute == "owner":
            continue
        # Most objects have none, and one without needs no entry.
        if (text := texts.of_object.get((kind.catalog, oid, subid))) is not None:
            attributes[attribute] = text
        if kind.with_columns and (text := texts.columns(relation)) is not None:
            attributes[f"column_{attribute}"] = text
    return CatalogObject(
        kind=str(other_kind or kind.name),
        name=_texts(name),
        table=_texts(table),
        definition=str(definition),
        attributes={key: None if value is None else str(value) for key, value in attributes.items()},
        columns=tuple(columns) if isinstance(columns, list) else (),
        depends_on=tuple((str(of_kind), _texts(named)) for of_kind, *named in depends_on),
        has_generated_name=has_generated_name,
    )


def _texts(value: object) -> Name:
    return tuple(str(part) for part in value) if isinstance(value, list) else ()
