"""Compares schema.sql with a live database, or with what migrations make of an empty one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg

from .. import migrations
from ..database import translated_errors
from ..errors import InvalidInput, MigrationFailed
from .catalog import read_catalog, reading
from .compare import compare, notes, uncompared
from .ignore import told, unignored, without_ignored
from .locations import Locations
from .model import Asked, Catalog, Name, SchemaDiff
from .parse import Script, read_script, roles_in
from .scratch import (
    APPLICATION,
    Scratch,
    ScratchKind,
    another,
    create_roles_of,
    load,
    meaning_settings,
    move_tables,
    scratch_database,
    scratch_server,
)
from .spellings import told_apart

STATEMENT_TIMEOUT = timedelta(seconds=30)

OWN_TABLES = ("organization", "pending_interactions")
OWN_COMMENT = "created by pendingctl"

# The first schema on the path that has the table; where none has, the one that a migration would make it in.
_OWN_TABLE = """
    select coalesce(nsp.nspname, current_schema(), 'public'), rel.oid is not null,
        obj_description(rel.oid, 'pg_class')
    from (select to_regclass(%(name)s)::oid as oid) found
    left join pg_class rel on rel.oid = found.oid
    left join pg_namespace nsp on nsp.oid = rel.relnamespace
"""
_SCHEMAS = "select nspname from pg_namespace where nspname = any(%(schemas)s)"


@dataclass(frozen=True, slots=True)
class _Own:
    """pendingctl's own tables: the schema of each, those that are compared, and why the others are not."""

    schemas: Mapping[str, str]
    compared: tuple[Name, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """One side as it was read, on which major version, and which of the schemas that were asked for it has."""

    catalog: Catalog
    major: int
    schemas: frozenset[str]


def diff_schema(
    dsn: str,
    schema_file: Path | None = None,
    *,
    scratch: ScratchKind | str = "auto",
    asked: Asked = Asked(),  # noqa: B008  # frozen
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare a database with schema.sql; nothing is written to the database, and nothing is left behind.

    Without a file it is pendingctl's own schema.sql and its own tables, in whatever schema the search_path finds
    them; with one it is every schema but the system's, without the migrations' bookkeeping. A role without any
    grant can read all of it. `scratch` is where the file is loaded: a ScratchKind, or the DSN of an empty database.

    Raises InvalidInput, with `file:line:column`, when the file does not parse or does not load, and when there is
    no server to load it into; ExtraMissing without pglast; DatabaseUnreachable and DatabaseFailed.
    """
    script = _script(schema_file, asked)
    with reading(dsn, APPLICATION) as live, translated_errors():
        own = _own_tables(live) if schema_file is None else None
        settings = meaning_settings(live)
        actual = _read(live, own, asked, statement_timeout)
        with scratch_database(live, dsn, scratch) as empty:
            # A transaction that idles while schema.sql loads would hold back vacuum on the live server.
            live.rollback()
            return _compared(script, empty, settings, own, actual, asked, statement_timeout)


def diff_migrations(
    directory: Path,
    schema_file: Path | None = None,
    *,
    scratch: ScratchKind | str = "auto",
    asked: Asked = Asked(),  # noqa: B008  # frozen
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare what a folder of yoyo migrations makes of an empty database with schema.sql.

    No live database is needed: both sides are made one after the other on the scratch server. Raises InvalidInput
    when a migration fails, and otherwise as diff_schema does.
    """
    script = _script(schema_file, asked)
    with scratch_server(scratch) as empty:
        with another(empty) as database:
            _migrate(database, directory)
            with reading(database.dsn, APPLICATION) as migrated, translated_errors():
                own = _own_tables(migrated) if schema_file is None else None
                settings = meaning_settings(migrated)
                actual = _read(migrated, own, asked, statement_timeout)
        return _compared(script, empty, settings, own, actual, asked, statement_timeout)


def _script(schema_file: Path | None, asked: Asked) -> Script:
    if schema_file is None and asked.schemas is not None:
        raise InvalidInput("--schemas chooses among the schemas of a file of your own; name it with --schema")
    return read_script(schema_file or migrations.schema_file())


def _migrate(database: Scratch, directory: Path) -> None:
    try:
        steps = migrations.pending_steps(database.dsn, directory)
        create_roles_of(database, roles_in(step.sql for step in steps))
        migrations.apply(database.dsn, directory)
    except MigrationFailed as error:
        raise InvalidInput(f"{error} (on the empty scratch database, PostgreSQL {database.major})") from error


def _read(
    connection: psycopg.Connection,
    own: _Own | None,
    asked: Asked,
    statement_timeout: timedelta,
    database_owner: str | None = None,
) -> _Read:
    catalog = read_catalog(
        connection,
        None if own is None else own.compared,
        statement_timeout,
        schemas=asked.schemas,
        options=asked.options,
        database_owner=database_owner,
    )
    there = connection.execute(_SCHEMAS, {"schemas": list(asked.schemas or ())}).fetchall()
    return _Read(
        without_ignored(catalog, asked.ignore),
        connection.info.server_version // 10000,
        frozenset(name for (name,) in there),
    )


def _compared(
    script: Script,
    empty: Scratch,
    settings: Mapping[str, str],
    own: _Own | None,
    actual: _Read,
    asked: Asked,
    statement_timeout: timedelta,
) -> SchemaDiff:
    """Load schema.sql into the empty database and compare it with the other side, which is read already."""
    locations = Locations(script)
    load(empty, script, settings, ownership=asked.privileges)
    if own is not None:
        move_tables(empty, own.schemas)
        for table, schema in own.schemas.items():
            locations.move_table(("public", table), (schema, table))
    with reading(empty.dsn, APPLICATION) as loaded, translated_errors():
        expected = _read(loaded, own, asked, statement_timeout, actual.catalog.database_owner)
    _refuse_unknown_schemas(asked.schemas or (), expected.schemas | actual.schemas)
    passed_over = script.uncompared if asked.schemas is None else {}
    ours = replace(expected.catalog, uncompared={**passed_over, **expected.catalog.uncompared})
    sides = (ours, actual.catalog)
    found = compare(*sides, locations.line, column_order=asked.column_order)
    differences, unsure = told_apart(told(found, asked.ignore), expected.major, actual.major)
    said = [*script.notes, *(own.notes if own else ())]
    if not asked.column_order:
        said += notes(*sides)
    if expected.major != actual.major:
        said.append(f"schema.sql was loaded on PostgreSQL {expected.major}, the database is on {actual.major}")
    left = unignored((*uncompared(*sides), *unsure), asked.ignore)
    return SchemaDiff(Path(script.source.label), differences, tuple(said), left)


def _refuse_unknown_schemas(wanted: Sequence[str], there: frozenset[str]) -> None:
    for schema in wanted:
        if schema not in there:
            raise InvalidInput(f"neither schema.sql nor the database has a schema {schema}, which --schemas names")


def _own_tables(live: psycopg.Connection) -> _Own:
    schemas: dict[str, str] = {}
    compared: list[Name] = []
    left_out: list[str] = []
    for table in OWN_TABLES:
        row = live.execute(_OWN_TABLE, {"name": table}).fetchone()
        assert row is not None
        schema, exists, comment = row
        if table == "organization" and exists and comment != OWN_COMMENT:
            left_out.append(f"table {schema}.organization is the application's own and was left out")
        else:
            compared.append((schema, table))
        # Also the one left out: a foreign key names it with its schema.
        schemas[table] = schema
    return _Own(schemas, tuple(compared), tuple(left_out))
