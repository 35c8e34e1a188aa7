"""Reads what an object of any kind can have: a comment, an extension and, on request, its owner and its grants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import psycopg

# The catalog that contains an object, its oid there, and the number of a column, otherwise 0.
Identity: TypeAlias = tuple[str, int, int]

# What the server creates along with another object, of which it is a part: what a user sets on it is an attribute of
# that object. The functions of a range type have the names of the server's C functions.
_PARTS = """
    select 'pg_class'::regclass as class, rel.oid, 'row_type' as part, 'pg_type'::regclass as part_class,
        typ.oid as part_oid
    from pg_type typ join pg_class rel on rel.oid = typ.typrelid where rel.relkind <> 'c'
    union all select 'pg_class', rul.ev_class, 'rule', 'pg_rewrite', rul.oid
    from pg_rewrite rul where rul.rulename = '_RETURN'
    union all select 'pg_type', ran.rngtypid, 'multirange', 'pg_type', ran.rngmultitypid from pg_range ran
    union all
    select
        coalesce(of_row.class, of_range.class, 'pg_type'), coalesce(of_row.oid, of_range.oid, typ.oid),
        case when of_range.oid is not null then 'multirange_array_type' else 'array_type' end, 'pg_type', typ.typarray
    from pg_type typ
    left join lateral (
        select 'pg_class'::regclass as class, rel.oid from pg_class rel where rel.oid = typ.typrelid and relkind <> 'c'
    ) of_row on true
    left join lateral (
        select 'pg_type'::regclass as class, ran.rngtypid as oid from pg_range ran where ran.rngmultitypid = typ.oid
    ) of_range on true
    where typ.typarray <> 0
    union all select 'pg_type', ran.rngtypid, pro.prosrc, 'pg_proc', pro.oid
    from pg_range ran
    join pg_depend dep on dep.refclassid = 'pg_type'::regclass and dep.refobjid in (ran.rngtypid, ran.rngmultitypid)
        and dep.classid = 'pg_proc'::regclass and dep.deptype = 'i'
    join pg_proc pro on pro.oid = dep.objid
    union all select 'pg_type', ran.rngtypid, 'multirange_cast', 'pg_cast', cas.oid
    from pg_range ran join pg_cast cas on cas.castsource = ran.rngtypid and cas.casttarget = ran.rngmultitypid
"""

# Without the thousands on the server's own objects. The one on `public` goes when `public` is created anew.
_COMMENTS = f"""
    select
        coalesce(part.part || '_comment', 'comment'),
        coalesce(part.class, com.classoid)::regclass::text, coalesce(part.oid, com.objoid),
        com.objsubid, com.description, att.attname
    from pg_description com
    left join pg_attribute att
        on com.classoid = 'pg_class'::regclass and att.attrelid = com.objoid and att.attnum = com.objsubid
        and com.objsubid > 0
    left join ({_PARTS}) part on part.part_class = com.classoid and part.part_oid = com.objoid
    where (
            com.objoid >= 16384
            or com.classoid in ('pg_namespace'::regclass, 'pg_extension'::regclass, 'pg_language'::regclass)
        )
        and com.description <> 'standard public schema'
    order by com.objoid, com.objsubid
"""

# Null stands for the default privileges, which acldefault knows for each type of object. The grantor does not matter,
# and an owner may grant all that it has. All the rights that exist are written as `all`, since 17 added one.
_PRIVILEGES = f"""
    with part as ({_PARTS}
    ), owned (class, oid, subid, attname, owner, acl, type) as (
        select 'pg_class', oid, 0, null::name, relowner, relacl, case relkind when 'S' then 's' else 'r' end
        from pg_class where oid = any(%(relations)s::oid[] || %(views)s::oid[] || %(sequences)s::oid[])
        union all select 'pg_class', att.attrelid, att.attnum, att.attname, rel.relowner, att.attacl, null
        from pg_attribute att join pg_class rel on rel.oid = att.attrelid
        where att.attrelid = any(%(relations)s::oid[] || %(views)s::oid[] || %(sequences)s::oid[])
            and att.attacl is not null and not att.attisdropped
        union all select 'pg_proc', oid, 0, null, proowner, proacl, 'f' from pg_proc where oid = any(%(functions)s)
        union all select 'pg_type', oid, 0, null, typowner, typacl, 'T' from pg_type where oid = any(%(types)s)
        union all select 'pg_type', typ.oid, 0, null, typ.typowner, typ.typacl, 'T'
        from part join pg_type typ on part.part_class = 'pg_type'::regclass and typ.oid = part.part_oid
        where part.part in ('row_type', 'multirange')
            and part.oid = any(%(relations)s::oid[] || %(views)s::oid[] || %(types)s::oid[])
        union all select 'pg_proc', pro.oid, 0, null, pro.proowner, pro.proacl, 'f'
        from part join pg_proc pro on part.part_class = 'pg_proc'::regclass and pro.oid = part.part_oid
        where part.oid = any(%(types)s)
        union all select 'pg_namespace', oid, 0, null, nspowner, nspacl, 'n'
        from pg_namespace where oid = any(%(schemas)s)
        union all select 'pg_language', oid, 0, null, lanowner, lanacl, 'l'
        from pg_language where oid = any(%(languages)s)
        union all select 'pg_foreign_data_wrapper', oid, 0, null, fdwowner, fdwacl, 'F'
        from pg_foreign_data_wrapper where oid = any(%(foreign_data_wrappers)s)
        union all select 'pg_foreign_server', oid, 0, null, srvowner, srvacl, 'S'
        from pg_foreign_server where oid = any(%(foreign_servers)s)
        union all select 'pg_default_acl', oid, 0, null, defaclrole, defaclacl,
            case defaclobjtype when 'S' then 's' else defaclobjtype::text end
        from pg_default_acl where oid = any(%(default_privileges)s)
        union all select 'pg_operator', oid, 0, null, oprowner, null, null
        from pg_operator where oid = any(%(operators)s)
        union all select 'pg_opclass', oid, 0, null, opcowner, null, null
        from pg_opclass where oid = any(%(operator_classes)s)
        union all select 'pg_opfamily', oid, 0, null, opfowner, null, null
        from pg_opfamily where oid = any(%(operator_families)s)
        union all select 'pg_collation', oid, 0, null, collowner, null, null
        from pg_collation where oid = any(%(collations)s)
        union all select 'pg_conversion', oid, 0, null, conowner, null, null
        from pg_conversion where oid = any(%(conversions)s)
        union all select 'pg_statistic_ext', oid, 0, null, stxowner, null, null
        from pg_statistic_ext where oid = any(%(statistics)s)
        union all select 'pg_ts_dict', oid, 0, null, dictowner, null, null
        from pg_ts_dict where oid = any(%(text_search_dictionaries)s)
        union all select 'pg_ts_config', oid, 0, null, cfgowner, null, null
        from pg_ts_config where oid = any(%(text_search_configurations)s)
        union all select 'pg_event_trigger', oid, 0, null, evtowner, null, null
        from pg_event_trigger where oid = any(%(event_triggers)s)
        union all select 'pg_publication', oid, 0, null, pubowner, null, null
        from pg_publication where oid = any(%(publications)s)
    ), standing as (
        select oid from pg_roles
        where rolname = 'pg_database_owner' or rolname = %(database_owner)s
            or (%(database_owner)s::text is not null and rolname = current_user)
            or (
                %(database_owner)s::text is null
                and oid = (select datdba from pg_database where datname = current_database())
            )
    ), granted as (
        select
            owned.class, owned.oid, owned.subid,
            case
                when acl.grantee = 0 then 'public'
                when acl.grantee = owned.owner then '(owner)'
                when acl.grantee in (select oid from standing) then '(database owner)'
                else quote_ident(pg_get_userbyid(acl.grantee))
            end as grantee,
            lower(acl.privilege_type) as privilege,
            bool_or(acl.is_grantable and acl.grantee <> owned.owner) as grantable,
            (
                select count(*) from aclexplode(acldefault(owned.type::"char", owned.owner)) every
                where every.grantee = owned.owner
            ) as every
        from owned, lateral aclexplode(coalesce(owned.acl, acldefault(owned.type::"char", owned.owner))) acl
        group by owned.class, owned.oid, owned.subid, owned.owner, owned.type, 4, 5
    ), listed as (
        select
            class, oid, subid,
            grantee || ': ' || case
                when count(*) = every and bool_and(grantable) = bool_or(grantable)
                then 'all' || case when bool_and(grantable) then '*' else '' end
                else string_agg(privilege || case when grantable then '*' else '' end, ', ' order by privilege)
            end as text
        from granted
        group by class, oid, subid, grantee, every
    ), joined as (
        select class, oid, subid, string_agg(text, '; ' order by text) as text from listed group by class, oid, subid
    )
    select
        coalesce(part.part || '_grants', 'grants'),
        coalesce(part.class::text, owned.class), coalesce(part.oid, owned.oid), owned.subid, owned.attname,
        case
            when part.oid is not null then null
            when owned.owner in (select oid from standing) then '(database owner)'
            -- Until 14 `public` belongs to the server's first role, since 15 to the database's owner.
            when owned.class = 'pg_namespace' and owned.owner = 10
                and current_setting('server_version_num')::integer < 150000
                and owned.oid = (select oid from pg_namespace where nspname = 'public')
            then '(database owner)'
            else quote_ident(pg_get_userbyid(owned.owner))
        end,
        joined.text
    from owned
    left join joined using (class, oid, subid)
    left join part on (part.part_class::text, part.part_oid) = (owned.class, owned.oid)
    order by owned.oid, owned.subid
"""

# What an extension created, and what ALTER ... DEPENDS ON EXTENSION makes it take along when it is dropped.
_EXTENSIONS = """
    select dep.classid::regclass::text, dep.objid, dep.deptype::text, string_agg(ext.extname, ', ' order by ext.extname)
    from pg_depend dep join pg_extension ext on ext.oid = dep.refobjid
    where dep.refclassid = 'pg_extension'::regclass and dep.deptype in ('e', 'x')
    group by 1, 2, 3
"""

_OWNER = "select pg_get_userbyid(datdba) from pg_database where datname = current_database()"


@dataclass(slots=True)
class Annotations:
    """The values of one attribute, such as the comment, of many objects."""

    of_object: dict[Identity, str] = field(default_factory=dict)
    # By relation, since a view's columns are not objects of their own.
    of_columns: dict[int, list[str]] = field(default_factory=dict)

    def add(self, identity: Identity, column: str | None, text: str) -> None:
        """Add the value of an object or a column."""
        self.of_object[identity] = text
        if column is not None:
            self.of_columns.setdefault(identity[1], []).append(f"{column}: {text}")

    def columns(self, relation: int) -> str | None:
        """Return the values of a relation's columns, with their names."""
        return "; ".join(self.of_columns.get(relation, ())) or None


def read_comments(connection: psycopg.Connection) -> Mapping[str, Annotations]:
    """Return every comment on an object that a user created or on its parts, under the name of the attribute."""
    comments: dict[str, Annotations] = {}
    for attribute, catalog, oid, subid, text, column in connection.execute(_COMMENTS.encode()):
        comments.setdefault(attribute, Annotations()).add((catalog, oid, subid), column, text)
    return dict(sorted(comments.items()))


def read_extensions(connection: psycopg.Connection) -> Mapping[str, Annotations]:
    """Return the extension of which an object is a member, and those on which a user made it depend."""
    members, depending = Annotations(), Annotations()
    for catalog, oid, type_, names in connection.execute(_EXTENSIONS):
        (members if type_ == "e" else depending).add((catalog, oid, 0), None, names)
    return {"extension": members, "depends_on_extensions": depending}


def read_privileges(
    connection: psycopg.Connection, oids: Mapping[str, str], database_owner: str | None
) -> Mapping[str, Annotations]:
    """Return owners and grants, with `(database owner)` in place of the name of the database's owner.

    With None that is the owner of this database. Where schema.sql was loaded it is the present role, which loaded
    it, and `database_owner`, the owner of the live database, whom schema.sql may name.
    """
    owners = Annotations()
    grants: dict[str, Annotations] = {}
    found: Iterable[tuple[str, str, int, int, str | None, str | None, str | None]]
    found = connection.execute(_PRIVILEGES.encode(), {**oids, "database_owner": database_owner})
    for attribute, catalog, oid, subid, column, owner, granted in found:
        if column is None and owner is not None:
            owners.add((catalog, oid, subid), None, owner)
        if granted is not None:
            grants.setdefault(attribute, Annotations()).add((catalog, oid, subid), column, granted)
    return {"owner": owners, **dict(sorted(grants.items()))}


def read_database_owner(connection: psycopg.Connection) -> str:
    """Return the name of the role that owns the database."""
    row = connection.execute(_OWNER).fetchone()
    assert row is not None
    return str(row[0])
