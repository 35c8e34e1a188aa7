"""Whether a database that the caller gave for scratch is empty, and making it so again."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from ..errors import DatabaseFailed, InvalidInput

# The server's own objects have oids below 16384 (manual, section on system catalogs' initial data); `public` may
# have been made anew. What depends on another object, or belongs to an extension, goes with that.
_MADE = """
    with made (classid, objid) as (
        select tableoid, oid from pg_event_trigger
        union all select tableoid, oid from pg_publication
        union all select tableoid, oid from pg_extension
        union all select tableoid, oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'public'
        union all select tableoid, oid from pg_class where relkind not in ('i', 'I', 't') and relpersistence <> 't'
        union all select tableoid, oid from pg_proc
        union all select tableoid, oid from pg_type where typrelid = 0 or typtype = 'c'
        union all select tableoid, oid from pg_operator
        union all select tableoid, oid from pg_opfamily
        union all select tableoid, oid from pg_opclass
        union all select tableoid, oid from pg_collation
        union all select tableoid, oid from pg_conversion
        union all select tableoid, oid from pg_statistic_ext
        union all select tableoid, oid from pg_ts_config
        union all select tableoid, oid from pg_ts_dict
        union all select tableoid, oid from pg_ts_parser
        union all select tableoid, oid from pg_ts_template
        union all select tableoid, oid from pg_cast
        union all select tableoid, oid from pg_transform
        union all select tableoid, oid from pg_am
        union all select tableoid, oid from pg_foreign_server
        union all select tableoid, oid from pg_foreign_data_wrapper
        union all select tableoid, oid from pg_language
    )
    select upper(found.type), found.identity
    from made
    cross join lateral pg_identify_object(made.classid, made.objid, 0) found
    where made.objid >= 16384
        and not exists (
            select from pg_depend dep
            where dep.classid = made.classid and dep.objid = made.objid and dep.deptype in ('i', 'e')
                -- The columns of a partition key depend on their own table so.
                and (dep.refclassid, dep.refobjid) <> (made.classid, made.objid)
        )
        and coalesce(found.schema, '') !~ '^pg_(temp|toast)'
    order by found.type <> 'event trigger', found.type <> 'publication', found.type <> 'extension',
        found.type <> 'schema', made.objid desc
"""
_DROPPED_AS = {
    "COMPOSITE TYPE": "TYPE",
    "FOREIGN-DATA WRAPPER": "FOREIGN DATA WRAPPER",
    "STATISTICS OBJECT": "STATISTICS",
}


def refuse_unless_empty(connection: psycopg.Connection) -> None:
    """Raise InvalidInput, naming something that is there, unless nobody has made anything in this database."""
    made = connection.execute(_MADE).fetchall()
    if made:
        what, identity = made[0]
        raise InvalidInput(
            f"the scratch database is not empty: it has {what.lower()} {identity}"
            + (f" and {len(made) - 1} more" if len(made) > 1 else "")
            + "; give one that is, since whatever is in it would be dropped"
        )


def empty(connection: psycopg.Connection) -> None:
    """Drop whatever was made in a database. Raises DatabaseFailed when something cannot be dropped."""
    connection.execute("set client_min_messages = error")
    connection.execute("set statement_timeout = 0")
    left = connection.execute(_MADE).fetchall()
    while left:
        for what, identity in left:
            # What went with another is not there any more, and what could not go yet is tried again below.
            with suppress(psycopg.DatabaseError):
                connection.execute(f"drop {_DROPPED_AS.get(what, what)} if exists {identity} cascade".encode())
        before, left = left, connection.execute(_MADE).fetchall()
        if len(left) == len(before):
            what, identity = left[0]
            raise DatabaseFailed(f"the scratch database could not be emptied again: {what.lower()} {identity} stays")
