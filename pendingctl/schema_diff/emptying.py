"""Checks that the caller's scratch database is empty, and empties it again."""

from __future__ import annotations

from contextlib import suppress

import psycopg

from ..errors import DatabaseFailed, InvalidInput

# The server's own objects have oids below 16384 (manual, "System Catalog Initial Data"), except for a `public` that was
# created anew. What is part of another object or of an extension is dropped with it.
_CREATED_OBJECTS = """
    with created (classid, objid) as (
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
        union all select tableoid, oid from pg_default_acl
    )
    select
        upper(found.type),
        -- Older versions write a transform in a way that DROP TRANSFORM does not accept.
        case found.type when 'transform' then replace(found.identity, ' on language ', ' language ')
            else found.identity
        end
    from created
    cross join lateral pg_identify_object(created.classid, created.objid, 0) found
    where created.objid >= 16384
        and not exists (
            select from pg_depend dep
            where dep.classid = created.classid and dep.objid = created.objid and dep.deptype in ('i', 'e')
                -- One that a user added to an extension of the server itself is not dropped with that.
                and (dep.deptype = 'i' or dep.refobjid >= 16384)
                -- The columns of a partition key depend on their own table in this way.
                and (dep.refclassid, dep.refobjid) <> (created.classid, created.objid)
        )
        and coalesce(found.schema, '') !~ '^pg_(temp|toast)'
    order by found.type <> 'event trigger', found.type <> 'publication', found.type <> 'extension',
        found.type <> 'schema', created.objid desc
"""
_ADDED_MEMBERS = """
    select ext.extname, upper(found.type), found.identity
    from pg_depend dep
    join pg_extension ext on ext.oid = dep.refobjid and ext.oid < 16384
    cross join lateral pg_identify_object(dep.classid, dep.objid, 0) found
    where dep.refclassid = 'pg_extension'::regclass and dep.deptype = 'e' and dep.objid >= 16384
"""
_DROPPED_AS = {
    "COMPOSITE TYPE": "TYPE",
    "FOREIGN-DATA WRAPPER": "FOREIGN DATA WRAPPER",
    "STATISTICS OBJECT": "STATISTICS",
}

# Default privileges cannot be dropped; they vanish once they equal the built-in ones (manual, ALTER DEFAULT
# PRIVILEGES).
_RESET_PRIVILEGES = """
    with altered as (
        select
            acl.defaclacl as given,
            case when nsp.oid is null
                then acldefault(
                    (case acl.defaclobjtype when 'S' then 's' else acl.defaclobjtype::text end)::"char", acl.defaclrole
                )
            end as built_in,
            format('alter default privileges for role %I ', pg_get_userbyid(acl.defaclrole))
                || coalesce('in schema ' || quote_ident(nsp.nspname) || ' ', '') as alter_statement,
            case acl.defaclobjtype
                when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types'
                when 'n' then 'schemas' else 'large objects'
            end as objects
        from pg_default_acl acl left join pg_namespace nsp on nsp.oid = acl.defaclnamespace
    ), statements (step, statement) as (
        select 1, alter_statement || format('revoke all on %s from ', objects) || grantee.name
        from altered, aclexplode(given) each, lateral (
            select case each.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(each.grantee)) end as name
        ) grantee
        union
        select 2, alter_statement || format('grant %s on %s to ', each.privilege_type, objects) || grantee.name
        from altered, aclexplode(built_in) each, lateral (
            select case each.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(each.grantee)) end as name
        ) grantee
    )
    select statement from statements order by step
"""

# As statements that create it: a file may drop it, comment on it or change its grants.
_PUBLIC_SCHEMA = """
    select array[
        'create schema public',
        format('alter schema public owner to %I', pg_get_userbyid(nsp.nspowner)),
        format('comment on schema public is %L', obj_description(nsp.oid, 'pg_namespace'))
    ] || array(
        select format(
            'grant %s on schema public to %s%s',
            acl.privilege_type,
            case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end,
            case when acl.is_grantable and acl.grantee <> nsp.nspowner then ' with grant option' else '' end
        )
        from aclexplode(coalesce(nsp.nspacl, acldefault('n', nsp.nspowner))) acl
        order by 1
    )
    from pg_namespace nsp where nsp.nspname = 'public'
"""


def read_public_schema(connection: psycopg.Connection) -> list[str]:
    """Return the statements that create the schema `public` as it is, none if it does not exist."""
    row = connection.execute(_PUBLIC_SCHEMA).fetchone()
    return [] if row is None else [str(each) for each in row[0]]


def refuse_unless_empty(connection: psycopg.Connection) -> None:
    """Raise InvalidInput, naming an object, if anything was created in this database."""
    created = connection.execute(_CREATED_OBJECTS).fetchall()
    if created:
        what, identity = created[0]
        raise InvalidInput(
            f"the scratch database is not empty: it has {what.lower()} {identity}"
            + (f" and {len(created) - 1} more" if len(created) > 1 else "")
            + "; give one that is, since whatever is in it would be dropped"
        )


def drop_everything(connection: psycopg.Connection, public: list[str]) -> None:
    """Drop whatever was created in a database, and restore `public` as `read_public_schema` returned it.

    Raises DatabaseFailed when something cannot be dropped.
    """
    connection.execute("set client_min_messages = error")
    connection.execute("set statement_timeout = 0")
    for (reset,) in connection.execute(_RESET_PRIVILEGES).fetchall():
        connection.execute(str(reset).encode())
    for extension, what, identity in connection.execute(_ADDED_MEMBERS).fetchall():
        # With a table its row type was a member.
        with suppress(psycopg.DatabaseError):
            connection.execute(f'alter extension "{extension}" drop {_DROPPED_AS.get(what, what)} {identity}'.encode())
    left = connection.execute(_CREATED_OBJECTS).fetchall()
    while left:
        for what, identity in left:
            # Some were dropped with another one; those that cannot be dropped yet are tried again in the next round.
            with suppress(psycopg.DatabaseError):
                connection.execute(f"drop {_DROPPED_AS.get(what, what)} if exists {identity} cascade".encode())
        before, left = left, connection.execute(_CREATED_OBJECTS).fetchall()
        if len(left) == len(before):
            what, identity = left[0]
            raise DatabaseFailed(f"the scratch database could not be emptied again: {what.lower()} {identity} stays")
    if read_public_schema(connection) != public:
        connection.execute("drop schema if exists public")
        for statement in public:
            connection.execute(statement.encode())
