"""The kinds of objects that are compared, each a query on pg_catalog. A new kind is a new entry here.

Every query gives `name`, `definition` and `oid`, may give `of_table`, `columns` (see model.CatalogObject), `kind`
(where it is not the family's), `subid` (a column's number) and `relation` (the oid under which its columns stand),
and each further column is an attribute under that name, null where the object has none of it. Comments, owners and
grants are read for all kinds at once, in said.py.

All run under `search_path = pg_catalog`, so that the deparsers and `::regclass` print every other name with its
schema, and on PostgreSQL 14 and later: a catalog column that one of these lacks is read through to_jsonb, where it
is null. What they read is given by scope.py: `%(relations)s` are the oids of the tables that are compared,
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
