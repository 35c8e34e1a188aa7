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
from .extension_members import without_other_extensions
from .groups import without_groups
from .ignore import without_ignored_attributes, without_ignored_objects, without_ignored_uncompared
from .load import create_roles, literal_settings, load, move_tables
from .locations import Locations
from .model import Catalog, Difference, Group, Options, SchemaDiff
from .normalization import classify
from .other_tools import refuse_other_tools
from .own_tables import OwnTables, find_own_tables
from .parse import Script, read_script, roles_in
from .scratch import (
    APPLICATION,
    Place,
    Scratch,
    ScratchKind,
    ServerLacks,
    places,
    places_without_live_server,
    second_database,
    what_is_lacking,
)
from .server_options import left_out

STATEMENT_TIMEOUT = timedelta(seconds=30)

_SCHEMAS = "select nspname from pg_namespace where nspname = any(%(schemas)s)"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison: its catalog, its major version, and which of the wanted schemas it has."""

    catalog: Catalog
    major: int
    schemas: frozenset[str]


def diff_schema(
    dsn: str,
    schema: Path | Sequence[Path] = (),
    *,
    scratch: ScratchKind | str = "auto",
    options: Options = Options(),  # noqa: B008  # frozen
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare a database with schema.sql; nothing is written to the database, and nothing is left behind.

    `schema` is a file or a folder of files, or several of them. Without any, pendingctl's own schema.sql is compared
    with its own tables, in whatever schema the search_path finds them; with one, every schema but the system's is
    compared, without the migrations' bookkeeping. A role without any grant can read all of it. `scratch` is where the
    file is loaded: a ScratchKind, or the DSN of an empty database.

    Raises InvalidInput, with `file:line:column`, when the file does not parse or does not load, and when there is
    no server to load it into; ExtraMissing without pglast; DatabaseUnreachable and DatabaseFailed.
    """
    given = _given(schema)
    script = _read_script(given, options)
    with reading(dsn, APPLICATION) as live, translated_errors():
        if not given:
            # Else each table would be reported as missing.
            check_search_path(live)
        own = None if given else find_own_tables(live, script)
        settings = literal_settings(live)
        actual = read_side(live, own, options, statement_timeout)

        def compared_on(empty: Scratch) -> SchemaDiff:
            # A transaction that idles while schema.sql loads would hold back vacuum on the live server.
            live.rollback()
            return _load_and_compare(script, empty, settings, own, actual, options, statement_timeout)

        return _on_first_that_has_all(places(live, dsn, scratch), compared_on)


def diff_migrations(
    directory: Path,
    schema: Path | Sequence[Path] = (),
    *,
    scratch: ScratchKind | str = "auto",
    options: Options = Options(),  # noqa: B008  # frozen
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare schema.sql with the result of applying a folder of yoyo migrations to an empty database.

    No live database is needed: both sides are created on the scratch server, one after the other. Raises
    InvalidInput when the folder is another tool's or has no migrations and when one of them fails, and otherwise what
    diff_schema raises.
    """
    refuse_other_tools(directory)
    given = _given(schema)
    script = _read_script(given, options)

    def compared_on(empty: Scratch) -> SchemaDiff:
        with second_database(empty) as database:
            _migrate(database, directory)
            with reading(database.dsn, APPLICATION) as migrated, translated_errors():
                own = None if given else find_own_tables(migrated, script)
                settings = literal_settings(migrated)
                actual = read_side(migrated, own, options, statement_timeout)
        return _load_and_compare(script, empty, settings, own, actual, options, statement_timeout, migrated=True)

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


def _given(schema: Path | Sequence[Path]) -> tuple[Path, ...]:
    return (schema,) if isinstance(schema, Path) else tuple(schema)


def _read_script(given: Sequence[Path], options: Options) -> Script:
    if not given and options.schemas is not None:
        raise InvalidInput("--schemas chooses among the schemas of a file of your own; name it with --schema")
    return read_script(*(given or (migrations.schema_file(),)))


def _migrate(database: Scratch, directory: Path) -> None:
    try:
        steps = migrations.pending_steps(database.dsn, directory)
        create_roles(database, roles_in(step.sql for step in steps))
        migrations.apply(database.dsn, directory)
    except MigrationFailed as error:
        message = f"{error} (on the empty scratch database, PostgreSQL {database.major})"
        if (lacking := what_is_lacking(error.__cause__)) is not None:
            raise ServerLacks(message, lacking) from error
        raise InvalidInput(message) from error


def read_side(
    connection: psycopg.Connection,
    own: OwnTables | None,
    options: Options,
    statement_timeout: timedelta,
    database_owner: str | None = None,
) -> Side:
    """Read one side; where schema.sql was loaded, `database_owner` is the other side's (see read_catalog)."""
    catalog = read_catalog(
        connection,
        own,
        statement_timeout,
        schemas=options.schemas,
        enabled=options.enabled,
        database_owner=database_owner,
    )
    existing = connection.execute(_SCHEMAS, {"schemas": list(options.schemas or ())}).fetchall()
    return Side(
        without_ignored_objects(without_groups(catalog, options.without), options.ignore),
        connection.info.server_version // 10000,
        frozenset(name for (name,) in existing),
    )


def _load_and_compare(
    script: Script,
    empty: Scratch,
    settings: Mapping[str, str],
    own: OwnTables | None,
    actual: Side,
    options: Options,
    statement_timeout: timedelta,
    *,
    migrated: bool = False,
) -> SchemaDiff:
    """Load schema.sql into the empty database and compare the result with the other side."""
    locations = Locations(script)
    passed_over = load(empty, script, settings, ownership=options.privileges)
    if own is not None:
        move_tables(empty, own.schemas, own.functions)
        for table, schema in own.schemas.items():
            locations.move_table(("public", table), (schema, table))
        for function, schema in own.functions.items():
            locations.move_function(("public", function), (schema, function))
    with reading(empty.dsn, APPLICATION) as loaded, translated_errors():
        expected = read_side(loaded, own, options, statement_timeout, actual.catalog.database_owner)
        loader, owner = loaded.info.user, actual.catalog.database_owner
    if options.privileges and empty.shared and loader != owner and loader in script.roles:
        passed_over.append(
            f"schema.sql names {loader}, which loaded it and therefore stands for the owner of the database, {owner}: "
            "--scratch local tells the two apart"
        )
    compared = compare_sides(script, locations, expected, actual, options, own, migrated=migrated)
    return replace(compared, notes=(*passed_over, *compared.notes))


def compare_sides(
    script: Script,
    locations: Locations,
    expected: Side,
    actual: Side,
    options: Options,
    own: OwnTables | None = None,
    *,
    migrated: bool = False,
) -> SchemaDiff:
    """Compare what schema.sql, loaded, made with the other side. Raises InvalidInput for a schema that neither has."""
    other = "the migrations" if migrated else "the database"
    _refuse_unknown_schemas(options.schemas or (), expected.schemas | actual.schemas, other)
    skipped = script.uncompared if options.schemas is None and Group.REPLICATION not in options.without else {}
    ours, theirs, extension_notes = without_other_extensions(
        replace(expected.catalog, uncompared={**skipped, **expected.catalog.uncompared}),
        actual.catalog,
    )
    found = compare(ours, theirs, locations.line, column_order=options.column_order)
    wanted = without_ignored_attributes(found, options.ignore)
    differences, undecided = classify(wanted, expected.major, actual.major, actual.catalog.setting_types)
    notes = [*script.notes, *(own.notes if own else ()), *extension_notes]
    if not options.column_order:
        notes += column_order_notes(ours, theirs)
    if expected.major != actual.major:
        notes.append(f"schema.sql was loaded on PostgreSQL {expected.major}, {other} on {actual.major}")
    uncompared = without_ignored_uncompared((*uncompared_kinds(ours, theirs, other), *undecided), options.ignore)
    details = (*left_out("schema.sql", ours.server_options), *left_out(other, theirs.server_options))
    # pendingctl's own file is no place to lead anybody to.
    placed = differences if own is not None else tuple(_placed(each, script) for each in differences)
    return SchemaDiff(() if own is not None else script.given, placed, tuple(notes), uncompared, migrated, details)


def _placed(difference: Difference, script: Script) -> Difference:
    """Return a difference with the file and the line in it, in place of the line of the text read."""
    if difference.line is None:
        return difference
    file, line = script.source.place(difference.line)
    return replace(difference, file=file, line=line)


def _refuse_unknown_schemas(wanted: Sequence[str], existing: frozenset[str], other: str) -> None:
    for schema in wanted:
        if schema not in existing:
            raise InvalidInput(f"neither schema.sql nor {other} has a schema {schema}, which --schemas names")
