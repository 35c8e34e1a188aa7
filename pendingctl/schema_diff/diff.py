"""Compares schema.sql with a live database, or with the result of migrations on an empty one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg

from ..errors import InvalidInput, MigrationFailed
from ..postgres.driver_errors import translated_errors
from ..schema import migrations
from ..schema.place import check_search_path
from .catalog import read_catalog, reading
from .compare import column_order_notes, compare, uncompared_kinds
from .ignore import without_ignored_attributes, without_ignored_objects, without_ignored_uncompared
from .load import create_roles, literal_settings, load, move_tables
from .locations import Locations
from .model import Catalog, Options, SchemaDiff
from .normalization import classify
from .own_tables import OwnTables, find_own_tables
from .parse import Script, read_script, roles_in
from .scratch import (
    APPLICATION,
    Place,
    Scratch,
    ScratchKind,
    ServerLacks,
    is_lacking,
    places,
    places_without_live_server,
    second_database,
)

STATEMENT_TIMEOUT = timedelta(seconds=30)

_SCHEMAS = "select nspname from pg_namespace where nspname = any(%(schemas)s)"


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of the comparison: its catalog, its major version, and which of the wanted schemas it has."""

    catalog: Catalog
    major: int
    schemas: frozenset[str]


def diff_schema(
    dsn: str,
    schema_file: Path | None = None,
    *,
    scratch: ScratchKind | str = "auto",
    options: Options = Options(),  # noqa: B008  # frozen
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare a database with schema.sql; nothing is written to the database, and nothing is left behind.

    Without a file, pendingctl's own schema.sql is compared with its own tables, in whatever schema the search_path
    finds them; with one, every schema but the system's is compared, without the migrations' bookkeeping. A role
    without any grant can read all of it. `scratch` is where the file is loaded: a ScratchKind, or the DSN of an
    empty database.

    Raises InvalidInput, with `file:line:column`, when the file does not parse or does not load, and when there is
    no server to load it into; ExtraMissing without pglast; DatabaseUnreachable and DatabaseFailed.
    """
    script = _read_script(schema_file, options)
    with reading(dsn, APPLICATION) as live, translated_errors():
        if schema_file is None:
            # Else each table would be reported as missing.
            check_search_path(live)
        own = find_own_tables(live) if schema_file is None else None
        settings = literal_settings(live)
        actual = _read_side(live, own, options, statement_timeout)

        def compared_on(empty: Scratch) -> SchemaDiff:
            # A transaction that idles while schema.sql loads would hold back vacuum on the live server.
            live.rollback()
            return _load_and_compare(script, empty, settings, own, actual, options, statement_timeout)

        return _on_first_that_has_all(places(live, dsn, scratch), compared_on)


def diff_migrations(
    directory: Path,
    schema_file: Path | None = None,
    *,
    scratch: ScratchKind | str = "auto",
    options: Options = Options(),  # noqa: B008  # frozen
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare schema.sql with the result of applying a folder of yoyo migrations to an empty database.

    No live database is needed: both sides are created on the scratch server, one after the other. Raises
    InvalidInput when a migration fails, and otherwise what diff_schema raises.
    """
    script = _read_script(schema_file, options)

    def compared_on(empty: Scratch) -> SchemaDiff:
        with second_database(empty) as database:
            _migrate(database, directory)
            with reading(database.dsn, APPLICATION) as migrated, translated_errors():
                own = find_own_tables(migrated) if schema_file is None else None
                settings = literal_settings(migrated)
                actual = _read_side(migrated, own, options, statement_timeout)
        return _load_and_compare(script, empty, settings, own, actual, options, statement_timeout)

    return _on_first_that_has_all(places_without_live_server(scratch), compared_on)


def _on_first_that_has_all(candidates: Sequence[Place], compared_on: Callable[[Scratch], SchemaDiff]) -> SchemaDiff:
    """Compare on the first server that has the extensions, and whatever else of its build, that the files need."""
    lacking: list[tuple[Place, ServerLacks]] = []
    for place in candidates:
        try:
            with place.opened() as empty:
                found = compared_on(empty)
        except ServerLacks as error:
            lacking.append((place, error))
            continue
        reasons = "; ".join(f"{each.name}: {error.reason}" for each, error in lacking)
        note = (f"schema.sql was loaded on {place.name}, the first server that has all it needs ({reasons})",)
        return replace(found, notes=(*found.notes, *(note if lacking else ())))
    # What the best one lacks is what to install.
    first, *others = lacking
    complaint, line_end, excerpt = str(first[1]).partition("\n")
    tried = "".join(f"; {each.name}: {error.reason}" for each, error in others if error.reason != first[1].reason)
    raise InvalidInput(f"{complaint}{tried}{line_end}{excerpt}")


def _read_script(schema_file: Path | None, options: Options) -> Script:
    if schema_file is None and options.schemas is not None:
        raise InvalidInput("--schemas chooses among the schemas of a file of your own; name it with --schema")
    return read_script(schema_file or migrations.schema_file())


def _migrate(database: Scratch, directory: Path) -> None:
    try:
        steps = migrations.pending_steps(database.dsn, directory)
        create_roles(database, roles_in(step.sql for step in steps))
        migrations.apply(database.dsn, directory)
    except MigrationFailed as error:
        message = f"{error} (on the empty scratch database, PostgreSQL {database.major})"
        if is_lacking(error.__cause__):
            raise ServerLacks(message, str(error.__cause__).partition("\n")[0]) from error
        raise InvalidInput(message) from error


def _read_side(
    connection: psycopg.Connection,
    own: OwnTables | None,
    options: Options,
    statement_timeout: timedelta,
    database_owner: str | None = None,
) -> _Side:
    catalog = read_catalog(
        connection,
        None if own is None else own.compared,
        statement_timeout,
        schemas=options.schemas,
        enabled=options.enabled,
        database_owner=database_owner,
    )
    existing = connection.execute(_SCHEMAS, {"schemas": list(options.schemas or ())}).fetchall()
    return _Side(
        without_ignored_objects(catalog, options.ignore),
        connection.info.server_version // 10000,
        frozenset(name for (name,) in existing),
    )


def _load_and_compare(
    script: Script,
    empty: Scratch,
    settings: Mapping[str, str],
    own: OwnTables | None,
    actual: _Side,
    options: Options,
    statement_timeout: timedelta,
) -> SchemaDiff:
    """Load schema.sql into the empty database and compare the result with the other side."""
    locations = Locations(script)
    passed_over = load(empty, script, settings, ownership=options.privileges)
    if own is not None:
        move_tables(empty, own.schemas, own.functions)
        for table, schema in own.schemas.items():
            locations.move_table(("public", table), (schema, table))
    with reading(empty.dsn, APPLICATION) as loaded, translated_errors():
        expected = _read_side(loaded, own, options, statement_timeout, actual.catalog.database_owner)
    _refuse_unknown_schemas(options.schemas or (), expected.schemas | actual.schemas)
    skipped = script.uncompared if options.schemas is None else {}
    catalogs = (
        replace(expected.catalog, uncompared={**skipped, **expected.catalog.uncompared}),
        actual.catalog,
    )
    found = compare(*catalogs, locations.line, column_order=options.column_order)
    wanted = without_ignored_attributes(found, options.ignore)
    differences, undecided = classify(wanted, expected.major, actual.major)
    notes = [*script.notes, *passed_over, *(own.notes if own else ())]
    if not options.column_order:
        notes += column_order_notes(*catalogs)
    if expected.major != actual.major:
        notes.append(f"schema.sql was loaded on PostgreSQL {expected.major}, the database is on {actual.major}")
    uncompared = without_ignored_uncompared((*uncompared_kinds(*catalogs), *undecided), options.ignore)
    return SchemaDiff(Path(script.source.label), differences, tuple(notes), uncompared)


def _refuse_unknown_schemas(wanted: Sequence[str], existing: frozenset[str]) -> None:
    for schema in wanted:
        if schema not in existing:
            raise InvalidInput(f"neither schema.sql nor the database has a schema {schema}, which --schemas names")
