"""The kinds of objects that are compared, each with its query on pg_catalog. To add a kind, add an entry here.

Every query returns `name`, `definition` and `oid`, and may return `of_table`, `columns`, `depends_on`,
`has_generated_name` (see model.CatalogObject), `kind` (where it differs from the Kind's name), `subid` (a column's
number) and `relation` (the oid of the relation that has its columns). Every other column of the result is an attribute
of that name, null where the object has none. Comments, owners and grants are read for all kinds at once, in
comments_and_privileges.py.

All queries run with `search_path = pg_catalog`, so that the deparsers and `::regclass` print all other names with
their schemas, and on PostgreSQL 14 and later: a catalog column that some versions lack is read through to_jsonb,
where it is then null. scope.py supplies the parameters: `%(relations)s` are the oids of the tables to compare,
`%(types)s` those of the types, and so on.
"""

from __future__ import annotations

from . import code, database, keys, operators, tables, text_search, triggers, types, views
from .kind import Kind

__all__ = ["KINDS", "Kind"]

KINDS = (
    *database.KINDS,
    *types.KINDS,
    *tables.KINDS,
    *keys.KINDS,
    *views.KINDS,
    *triggers.KINDS,
    *code.KINDS,
    *operators.KINDS,
    *text_search.KINDS,
)
