"""Whether a hand-written schema.sql is what a database really has.

schema.sql is parsed, loaded into a scratch database on a real server, and both sides are read from the system
catalogs with the server's own deparsers; what is compared are structures, never text of files. kinds.py says what
is compared, scratch.py where schema.sql is loaded, locations.py how a difference finds its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from .. import migrations
from ..database import translated_errors
from .catalog import read_catalog, reading
from .compare import compare, notes
from .locations import Locations
from .model import Difference, Name, SchemaDiff
from .parse import read_script
from .scratch import APPLICATION, ScratchKind, load, meaning_settings, move_tables, scratch_database

__all__ = ["STATEMENT_TIMEOUT", "Difference", "SchemaDiff", "ScratchKind", "diff_schema"]

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


@dataclass(frozen=True, slots=True)
class _Own:
    """pendingctl's own tables: the schema of each, those that are compared, and why the others are not."""

    schemas: Mapping[str, str]
    compared: tuple[Name, ...]
    notes: tuple[str, ...]


def diff_schema(
    dsn: str,
    schema_file: Path | None = None,
    *,
    scratch: ScratchKind = "auto",
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> SchemaDiff:
    """Compare a database with schema.sql; nothing is written to the database, and nothing is left behind.

    Without a file it is pendingctl's own schema.sql and its own tables, in whatever schema the search_path finds
    them; with one it is every schema but the system's, without the migrations' bookkeeping. A role without any
    grant can read all of it.

    Raises InvalidInput, with `file:line:column`, when the file does not parse or does not load, and when there is
    no server to load it into; ExtraMissing without pglast; DatabaseUnreachable and DatabaseFailed.
    """
    script = read_script(schema_file or migrations.schema_file())
    locations = Locations(script)
    with reading(dsn, APPLICATION) as live, translated_errors():
        own = _own_tables(live) if schema_file is None else None
        tables = None if own is None else own.compared
        settings = meaning_settings(live)
        actual = read_catalog(live, tables, statement_timeout)
        with scratch_database(live, dsn, scratch) as empty:
            # A transaction that idles while schema.sql loads would hold back vacuum on the live server.
            live.rollback()
            load(empty, script, settings)
            if own is not None:
                move_tables(empty, own.schemas)
                for table, schema in own.schemas.items():
                    locations.move_table(("public", table), (schema, table))
            with reading(empty.dsn, APPLICATION) as loaded:
                expected = read_catalog(loaded, tables, statement_timeout)
            told = [*script.notes, *(own.notes if own else ()), *notes(expected, actual)]
            live_major = live.info.server_version // 10000
            if empty.major != live_major:
                told.append(f"schema.sql was loaded on PostgreSQL {empty.major}, the database is on {live_major}")
    return SchemaDiff(Path(script.source.label), compare(expected, actual, locations.line), tuple(told))


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
