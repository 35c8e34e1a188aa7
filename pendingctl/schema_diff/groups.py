"""The groups of objects that are made while an application runs, and that --without leaves out. Pure.

They are recognised by what they are, not by their names: that is the difference from the patterns of ignore.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from .model import Catalog, Group, Name

# The table in which each migration tool notes what it has applied, as the tool names it unless it is configured.
_BOOKKEEPING = frozenset(
    {
        "__EFMigrationsHistory",
        "_prisma_migrations",
        "_sqlx_migrations",
        "alembic_version",
        "ar_internal_metadata",
        "atlas_schema_revisions",
        "databasechangelog",
        "databasechangeloglock",
        "django_migrations",
        "flyway_schema_history",
        "goose_db_version",
        "gorp_migrations",
        "knex_migrations",
        "knex_migrations_lock",
        "pgmigrations",
        "schema_migrations",
    }
)
# Tools whose bookkeeping is a schema of its own.
_BOOKKEEPING_SCHEMAS = frozenset({"sqitch", "drizzle", "atlas_schema_revisions"})
# TimescaleDB makes its chunks here; they are no members of the extension.
_CHUNKS = "_timescaledb_internal"

_REPLICATION_KINDS = frozenset({"publication"})
_SUBSCRIPTIONS = "subscriptions (they hold passwords)"


def without_groups(catalog: Catalog, groups: Collection[Group]) -> Catalog:
    """Return a catalog without the objects of these groups, and without what belongs to them."""
    tables = {table for group in groups for table in _tables(catalog, group)}
    kinds = _REPLICATION_KINDS if Group.REPLICATION in groups else frozenset()
    schemas = _BOOKKEEPING_SCHEMAS if Group.BOOKKEEPING in groups else frozenset()
    kept = tuple(
        item
        for item in catalog.objects
        if item.table not in tables and item.kind not in kinds and item.name[0] not in schemas
    )
    uncompared = dict(catalog.uncompared)
    if Group.REPLICATION in groups:
        uncompared.pop(_SUBSCRIPTIONS, None)
    return replace(catalog, objects=kept, uncompared=uncompared)


def _tables(catalog: Catalog, group: Group) -> Iterator[Name]:
    # pg_partman copies from a template what partitions do not take from their parent; it makes that table itself.
    templates = {item.attributes["schema"] for item in catalog.objects if item.name == ("pg_partman",)}
    for item in catalog.objects:
        if item.kind not in ("table", "foreign table"):
            continue
        schema, name = item.name
        match group:
            case Group.PARTITIONS if (
                item.attributes.get("partition_of") is not None
                or schema == _CHUNKS
                or (schema in templates and name.startswith("template_"))
            ):
                yield item.name
            case Group.BOOKKEEPING if name in _BOOKKEEPING:
                yield item.name
