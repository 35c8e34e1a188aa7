"""pendingctl's own tables: in which schemas they are, and which of them are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from .model import Name

OWN_TABLES = ("organization", "pending_interactions")
# The function of a trigger stands beside the trigger's table.
OWN_FUNCTIONS = {"pendingctl_draw_ask_number": "pending_interactions"}
OWN_COMMENT = "created by pendingctl"

# The first schema on the path that has the table; where none has it, the one in which a migration would create it.
_OWN_TABLE = """
    select coalesce(nsp.nspname, current_schema(), 'public'), rel.oid is not null,
        obj_description(rel.oid, 'pg_class')
    from (select to_regclass(%(name)s)::oid as oid) found
    left join pg_class rel on rel.oid = found.oid
    left join pg_namespace nsp on nsp.oid = rel.relnamespace
"""


@dataclass(frozen=True, slots=True)
class OwnTables:
    """The schemas of the tables and functions, the tables to compare, and a note for each that is left out."""

    schemas: Mapping[str, str]
    functions: Mapping[str, str]
    compared: tuple[Name, ...]
    notes: tuple[str, ...]


def find_own_tables(live: psycopg.Connection) -> OwnTables:
    """Find the tables through the search_path. An `organization` that the application created is left out."""
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
        # Also of the one left out: a foreign key names it with its schema.
        schemas[table] = schema
    functions = {function: schemas[table] for function, table in OWN_FUNCTIONS.items()}
    return OwnTables(schemas, functions, tuple(compared), tuple(left_out))
