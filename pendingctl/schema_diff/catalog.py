"""Reads one side from pg_catalog, which any role can read whole, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg.rows import dict_row

from ..database import connect_parameters, translated_errors
from ..errors import DatabaseFailed
from .kinds import KINDS
from .model import Catalog, CatalogObject, Name

# 14 is the oldest that the queries were written for; 13 has not been supported since November 2025.
OLDEST_MAJOR = 14
BOOKKEEPING_TABLE = "pendingctl_migration"

# What a session prints a constant with, and the path on which it prints names.
_READING = """
    select
        set_config('search_path', 'pg_catalog', true),
        set_config('statement_timeout', %(statement_timeout)s, true),
        set_config('timezone', 'UTC', true),
        set_config('datestyle', 'ISO, YMD', true),
        set_config('intervalstyle', 'postgres', true),
        set_config('extra_float_digits', '1', true),
        set_config('bytea_output', 'hex', true),
        set_config('quote_all_identifiers', 'off', true)
"""

_RELATIONS = """
    select rel.oid, nsp.nspname, rel.relname
    from pg_class rel join pg_namespace nsp on nsp.oid = rel.relnamespace
    where rel.relkind in ('r', 'p') and rel.relpersistence <> 't'
        and nsp.nspname !~ '^pg_' and nsp.nspname <> 'information_schema'
        and rel.relname <> %(bookkeeping)s
        and not exists (
            select from pg_depend dep
            where dep.classid = 'pg_class'::regclass and dep.objid = rel.oid and dep.deptype = 'e'
        )
"""

# Kinds that are met and not compared. Triggers, rules and policies belong to a table; the others stand for
# themselves and matter only where whole schemas are compared. What an extension brought is the extension's.
_UNCOMPARED = """
    with outside as (
        select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
    ), brought as (
        select classid, objid from pg_depend where deptype = 'e'
    )
    select 'triggers' as kind, count(*) from pg_trigger
        where tgrelid = any(%(relations)s) and not tgisinternal
    union all select 'policies', count(*) from pg_policy where polrelid = any(%(relations)s)
    union all select 'rules', count(*) from pg_rewrite where ev_class = any(%(relations)s)
    union all select case relkind
            when 'v' then 'views' when 'm' then 'materialized views' when 'f' then 'foreign tables'
            when 'c' then 'composite types' else 'sequences'
        end, count(*)
        from pg_class
        where %(everything)s and relkind in ('v', 'm', 'f', 'c', 'S') and relpersistence <> 't'
            and relnamespace in (select oid from outside)
            and ('pg_class'::regclass, oid) not in (select classid, objid from brought)
            and not exists (
                select from pg_depend dep where dep.classid = 'pg_class'::regclass and dep.objid = pg_class.oid
                    and dep.deptype = 'i' and relkind = 'S'
            )
        group by 1
    union all select case prokind when 'a' then 'aggregates' when 'p' then 'procedures' else 'functions' end, count(*)
        from pg_proc
        where %(everything)s and pronamespace in (select oid from outside)
            and ('pg_proc'::regclass, oid) not in (select classid, objid from brought)
        group by 1
    union all select case typtype when 'e' then 'enums' when 'd' then 'domains' else 'range types' end, count(*)
        from pg_type
        where %(everything)s and typtype in ('e', 'd', 'r') and typnamespace in (select oid from outside)
            and ('pg_type'::regclass, oid) not in (select classid, objid from brought)
        group by 1
    union all select 'extensions', count(*) from pg_extension where %(everything)s and extname <> 'plpgsql'
    union all select 'event triggers', count(*) from pg_event_trigger where %(everything)s
    union all select 'publications', count(*) from pg_publication where %(everything)s
"""


@dataclass(frozen=True, slots=True)
class _Relation:
    oid: int
    name: Name


@contextmanager
def reading(dsn: str, application: str) -> Iterator[psycopg.Connection]:
    """A connection inside one read-only, repeatable-read transaction, which is rolled back at the end.

    Nothing of it outlives the transaction and nothing is prepared, so that a pooler in transaction mode and a
    standby serve as well as a primary does. Raises DatabaseUnreachable, DatabaseFailed and InvalidInput.
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
            yield connection
        finally:
            connection.close()


def read_catalog(
    connection: psycopg.Connection,
    tables: Sequence[Name] | None,
    statement_timeout: timedelta,
    *,
    schemas: Sequence[str] | None = None,
    options: frozenset[str] = frozenset(),  # noqa: ARG001
) -> Catalog:
    """Return what the database has: these tables and what belongs to them, or with None everything of its users.

    A constant number of queries, whatever the number of objects.
    """
    connection.execute(_READING, {"statement_timeout": f"{statement_timeout.total_seconds() * 1000:.0f}ms"})
    relations = [
        _Relation(oid, (schema, table))
        for oid, schema, table in connection.execute(_RELATIONS, {"bookkeeping": BOOKKEEPING_TABLE})
        if (tables is None or (schema, table) in tables) and (schemas is None or schema in schemas)
    ]
    asked = {"relations": [relation.oid for relation in relations], "everything": tables is None}
    uncompared = {kind: count for kind, count in connection.execute(_UNCOMPARED, asked) if count}
    objects: list[CatalogObject] = []
    with connection.cursor(row_factory=dict_row) as cursor:
        for kind in KINDS:
            # The queries are constants of this package; the driver's type asks for literals in place.
            cursor.execute(kind.query.encode(), asked)
            objects += [_object(kind.name, row) for row in cursor]
    return Catalog(tuple(objects), uncompared)


def _object(kind: str, row: Mapping[str, object]) -> CatalogObject:
    attributes = dict(row)
    name, table, columns = (attributes.pop(key, None) for key in ("name", "of_table", "columns"))
    return CatalogObject(
        kind=kind,
        name=_texts(name),
        table=_texts(table),
        definition=str(attributes.pop("definition")),
        attributes={key: None if value is None else str(value) for key, value in attributes.items()},
        columns=tuple(columns) if isinstance(columns, list) else (),
    )


def _texts(value: object) -> Name:
    return tuple(str(part) for part in value) if isinstance(value, list) else ()
