"""Whether the schema that a connection leads to can take pendingctl's tables; checked before anything is made."""

from __future__ import annotations

import psycopg
from psycopg.rows import dict_row

from ..errors import DatabaseFailed, InvalidInput
from ..postgres.driver_errors import translated_errors
from ..postgres.dsn import connect_parameters

# current_schemas() returns those of the path that are there and that this role may use; "$user" need not be there.
_SCHEMAS = """
    with path as (
        select
            position,
            case when part[1] like '"%' then replace(substr(part[1], 2, length(part[1]) - 2), '""', '"')
                else lower(part[1])
            end as name
        from regexp_matches(current_setting('search_path'), '"(?:[^"]|"")*"|[^, ]+', 'g')
            with ordinality found (part, position)
    )
    select
        current_schema() as first,
        current_setting('search_path') as search_path,
        (
            select name from path
            where name <> '$user' and name !~ '^pg_' and name <> all(current_schemas(true)::text[])
                and position < (select min(position) from path where name = current_schema())
            order by position limit 1
        ) as missing,
        (
            select nspname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
            where pg_class.oid = to_regclass('pendingctl_migration')
        ) as of_bookkeeping
"""

# Another copy of pendingctl may rightly be in another schema; it matters only where this connection finds none.
_ELSEWHERE = """
    select
        current_setting('search_path'),
        array(
            select nspname::text from pg_class join pg_namespace on pg_namespace.oid = relnamespace
            where relname = 'pending_interactions' and relkind in ('r', 'p') and not pg_table_is_visible(pg_class.oid)
                and to_regclass('pending_interactions') is null
            order by nspname
        )
"""

_WRITABLE = """
    select pg_is_in_recovery() as is_standby, current_setting('transaction_read_only') = 'on' as is_read_only
"""

# A foreign key needs a unique index that is whole, immediate and valid, on exactly the column that it references
# (transformFkeyCheckAttrs in src/backend/commands/tablecmds.c).
_ORGANIZATION = """
    with recursive base (oid, typbasetype) as (
        select type.oid, type.typbasetype
        from pg_attribute join pg_type as type on type.oid = atttypid
        where attrelid = to_regclass('organization') and attname = 'id'
        union all
        select type.oid, type.typbasetype from base join pg_type as type on type.oid = base.typbasetype
    )
    select
        format('%I.%I', nspname, relname) as name,
        relkind::text as kind,
        relpersistence::text as persistence,
        nspname <> current_schema() and obj_description(pg_class.oid, 'pg_class') = 'created by pendingctl'
            as is_of_another_copy,
        format_type(atttypid, atttypmod) as type,
        exists (
            select from base where oid in ('text'::regtype, 'character varying'::regtype, 'character'::regtype)
        ) as is_text,
        coalesce((select collisdeterministic from pg_collation where oid = attcollation), true) as is_deterministic,
        exists (
            select from pg_index
            where indrelid = pg_class.oid and indisunique and indimmediate and indisvalid
                and indpred is null and indexprs is null and indnkeyatts = 1 and indkey[0] = attnum
        ) as is_unique,
        current_user as role,
        has_table_privilege(pg_class.oid, 'references')
            or coalesce(has_column_privilege(pg_class.oid, attnum, 'references'), false) as may_reference
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    left join pg_attribute on attrelid = pg_class.oid and attname = 'id'
    where pg_class.oid = to_regclass('organization')
"""

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "c": "a composite type",
    "i": "an index",
    "I": "an index",
}

_OWN_SCHEMA = (
    "give pendingctl's tables a schema of their own, in which it keeps its own organizations: "
    "create schema pendingctl, and add ?options=-csearch_path%3Dpendingctl to the connection string"
)


def check_search_path(connection: psycopg.Connection) -> None:
    """Raise InvalidInput where no schema of the search_path is there."""
    row = connection.cursor(row_factory=dict_row).execute(_SCHEMAS).fetchone()
    assert row is not None
    if row["first"] is None:
        raise InvalidInput(
            f"no schema of the search_path ({row['search_path'] or 'empty'}) is there for this role; "
            "create one, or name another: ?options=-csearch_path%3Dpublic"
        )


def check_schema(connection: psycopg.Connection) -> str:
    """Return the schema to create tables in: the first one of the search_path.

    Raises InvalidInput unless there is one and no other one has pendingctl's tables: were its tables found in a later
    one, a migration would put a part of them into the first. And where one that the path names before it is not
    there, and none has the tables: they would be created where nobody meant them to be.
    """
    check_search_path(connection)
    row = connection.cursor(row_factory=dict_row).execute(_SCHEMAS).fetchone()
    assert row is not None
    first, of_bookkeeping, missing = str(row["first"]), row["of_bookkeeping"], row["missing"]
    if of_bookkeeping not in (None, first):
        raise InvalidInput(
            f"pendingctl's tables are in schema {of_bookkeeping}, but schema {first} comes first in the search_path; "
            f"name one alone: ?options=-csearch_path%3D{of_bookkeeping} for those, "
            f"or %3D{first} to have others there"
        )
    if of_bookkeeping is None and missing is not None:
        raise InvalidInput(
            f"schema {missing} of the search_path ({row['search_path']}) is not there for this role, and the tables "
            f"would be created in {first}; create it, or name one alone: ?options=-csearch_path%3D{first}"
        )
    return first


def tables_elsewhere(dsn: str) -> str | None:
    """Return, as a sentence, where pendingctl's tables are if not in a schema of the search_path; None if nowhere.

    Raises the errors of a connection.
    """
    added = connect_parameters(dsn, "pendingctl")
    with translated_errors(), psycopg.connect(dsn, autocommit=True, **added) as connection:  # type: ignore[arg-type]
        row = connection.execute(_ELSEWHERE).fetchone()
    assert row is not None
    search_path, schemas = row
    if not schemas:
        return None
    return (
        f"pendingctl's tables are in schema {' and in '.join(schemas)}, which the search_path "
        f"({search_path or 'empty'}) does not name; name it: ?options=-csearch_path%3D{schemas[0]}"
    )


def check_writable(connection: psycopg.Connection) -> None:
    """Raise DatabaseFailed on a standby, and where transactions are read-only by default."""
    row = connection.cursor(row_factory=dict_row).execute(_WRITABLE).fetchone()
    assert row is not None
    if row["is_standby"]:
        raise DatabaseFailed("this server is a standby, on which nothing can be migrated; connect to the primary")
    if row["is_read_only"]:
        raise DatabaseFailed(
            "default_transaction_read_only is on for this role or database; migrate as another role, "
            "or set it off for the run: ?options=-cdefault_transaction_read_only%3Doff"
        )


def check_organization(connection: psycopg.Connection, *, applying: bool) -> None:
    """Raise InvalidInput where a table `organization` that pendingctl did not create cannot be referenced.

    When `applying`, raise DatabaseFailed where this role may not reference it.
    """
    row = connection.cursor(row_factory=dict_row).execute(_ORGANIZATION).fetchone()
    if row is None:
        return
    name = row["name"]
    reason = None
    if row["kind"] not in ("r", "p"):
        reason = f"{name} is {_KINDS.get(row['kind'], 'no table')}"
    elif row["persistence"] != "p":
        reason = f"{name} is an unlogged or a temporary table"
    elif row["is_of_another_copy"]:
        reason = f"{name} belongs to another copy of pendingctl"
    elif row["type"] is None:
        reason = f"{name} has no column id"
    elif not row["is_text"]:
        reason = f"{name}.id is of type {row['type']}, not text"
    elif not row["is_deterministic"]:
        reason = f"the collation of {name}.id takes different ids for equal"
    elif not row["is_unique"]:
        reason = f"{name}.id is not unique by itself (a primary key of id alone, not deferrable)"
    if reason is not None:
        raise InvalidInput(
            f"a table organization is here already, and pendingctl cannot use it: {reason}; {_OWN_SCHEMA}"
        )
    if applying and not row["may_reference"]:
        raise DatabaseFailed(
            f"role {row['role']} may not reference the table {name}, which pendingctl would use; "
            f"grant references on {name} to {row['role']}, or {_OWN_SCHEMA}"
        )
