"""pendingctl's own tables and functions: in which schemas they are, and which of them are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from .model import Name
from .parse import Script

OWN_COMMENT = "created by pendingctl"

# Migrations create everything in one schema. Where the bookkeeping is gone it is the schema of the main table, and
# where nothing was migrated the one in which a migration would create it. The search_path alone does not find a table
# that was dropped: a later schema may have another copy of it, or a table of the application with the same name.
_HOME = """
    select coalesce(
        (
            select nspname::text from pg_class join pg_namespace nsp on nsp.oid = relnamespace
            where pg_class.oid = to_regclass('pendingctl_migration')
        ),
        (
            select nspname::text from pg_class join pg_namespace nsp on nsp.oid = relnamespace
            where pg_class.oid = to_regclass('pending_interactions')
        ),
        current_schema()::text,
        'public'
    )
"""

# An `organization` that the application created may be in any schema of the path, and is referenced from there.
_ORGANIZATION = """
    select nsp.nspname
    from pg_class rel join pg_namespace nsp on nsp.oid = rel.relnamespace
    where rel.oid = coalesce(to_regclass(format('%%I.organization', %(home)s::text)), to_regclass('organization'))
        and obj_description(rel.oid, 'pg_class') is distinct from %(comment)s
"""


@dataclass(frozen=True, slots=True)
class OwnTables:
    """The schemas of the tables and functions, the tables to compare, and a note for each that is left out."""

    schemas: Mapping[str, str]
    functions: Mapping[str, str]
    compared: tuple[Name, ...]
    notes: tuple[str, ...]


def find_own_tables(live: psycopg.Connection, script: Script) -> OwnTables:
    """Find what pendingctl's schema.sql creates. An `organization` that the application created is left out."""
    row = live.execute(_HOME).fetchone()
    assert row is not None
    (home,) = row
    schemas = {
        statement.tree.relation.relname: home for statement in script.statements if statement.kind == "CreateStmt"
    }
    functions = {
        statement.tree.funcname[-1].sval: home
        for statement in script.statements
        if statement.kind == "CreateFunctionStmt"
    }
    compared = [(home, table) for table in schemas]
    notes: list[str] = []
    found = live.execute(_ORGANIZATION, {"home": home, "comment": OWN_COMMENT}).fetchone()
    if found is not None:
        (schemas["organization"],) = found
        compared.remove((home, "organization"))
        notes.append(f"table {found[0]}.organization is the application's own and was left out")
    return OwnTables(schemas, functions, tuple(compared), tuple(notes))
