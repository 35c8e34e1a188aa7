"""Selects the objects of a database to read: those that users created, in the wanted schemas.

What the server creates along with another object is left out: the constructors and casts of a range type, the row
type of a table. The members of extensions are read too, see extension_members.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg

from .own_tables import OwnTables

# No migration creates these: pendingctl's bookkeeping, and yoyo's own.
BOOKKEEPING_TABLES = ("pendingctl_migration", "_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock")

_RELATIONS = """
    select rel.oid, nsp.nspname, rel.relname
    from pg_class rel join pg_namespace nsp on nsp.oid = rel.relnamespace
    where rel.relkind in ('r', 'p', 'f') and rel.relpersistence <> 't'
        and nsp.nspname !~ '^pg_' and nsp.nspname <> 'information_schema'
        and rel.relname <> all(%(bookkeeping)s)
"""

# What belongs to chosen tables: the sequences of their columns; and the chosen functions, which have no arguments.
_CHOSEN = """
    select 'sequences', seq.oid
    from pg_class seq join pg_depend dep on dep.classid = 'pg_class'::regclass and dep.objid = seq.oid
    where seq.relkind = 'S' and dep.refclassid = 'pg_class'::regclass and dep.refobjid = any(%(relations)s)
        and dep.refobjsubid > 0 and dep.deptype in ('a', 'i')
    union all
    select 'functions', pro.oid
    from pg_proc pro
    join pg_namespace nsp on nsp.oid = pro.pronamespace
    join unnest(%(schemas)s::text[], %(functions)s::text[]) chosen (schema, name)
        on chosen.schema = nsp.nspname and chosen.name = pro.proname
    where pro.pronargs = 0
"""

# Each catalog of objects that users can create, under the name of its parameter in the queries of kinds/; a name with
# a space is a kind that no query reads. Objects without a schema are selected with the schemas that they refer to, or,
# if they refer to none, only with the whole database. The server's own objects have oids below 16384;
# of these PL/pgSQL can get a comment and grants from a user. Every role may
# read pg_subscription except for its passwords, but not pg_user_mapping, hence the view.
_SCOPE = """
    with inside as (
        select oid from pg_namespace
        where nspname !~ '^pg_' and nspname <> 'information_schema'
            and (%(named)s::text[] is null or nspname = any(%(named)s))
    ), whole as (
        select where %(named)s::text[] is null
    ), types as (
        select oid from pg_type where typnamespace in (select oid from inside)
    ), functions as (
        select oid from pg_proc where pronamespace in (select oid from inside)
    ), found (what, class, oid) as (
        select 'schemas', 'pg_namespace'::regclass, oid from inside
        union all
        select case relkind when 'S' then 'sequences' else 'views' end, 'pg_class', oid from pg_class
        where relkind in ('v', 'm', 'S') and relpersistence <> 't' and relnamespace in (select oid from inside)
        union all
        select 'types', 'pg_type', oid from pg_type
        where oid in (select oid from types)
            and (
                typtype in ('e', 'd', 'r', 'b', 'p')
                or exists (select from pg_class where pg_class.oid = typrelid and relkind = 'c')
            )
            and not exists (select from pg_type element where element.typarray = pg_type.oid)
        union all select 'functions', 'pg_proc', oid from functions
        -- One without a function only reserves a name, for the COMMUTATOR or NEGATOR of another.
        union all select 'operators', 'pg_operator', oid from pg_operator
        where oprnamespace in (select oid from inside) and oprcode <> 0
        union all select 'operator_classes', 'pg_opclass', oid from pg_opclass
        where opcnamespace in (select oid from inside)
        union all select 'operator_families', 'pg_opfamily', oid from pg_opfamily
        where opfnamespace in (select oid from inside)
        union all select 'collations', 'pg_collation', oid from pg_collation
        where collnamespace in (select oid from inside)
        union all select 'conversions', 'pg_conversion', oid from pg_conversion
        where connamespace in (select oid from inside)
        union all select 'statistics', 'pg_statistic_ext', oid from pg_statistic_ext
        where stxnamespace in (select oid from inside)
        union all select 'text_search_parsers', 'pg_ts_parser', oid from pg_ts_parser
        where prsnamespace in (select oid from inside)
        union all select 'text_search_templates', 'pg_ts_template', oid from pg_ts_template
        where tmplnamespace in (select oid from inside)
        union all select 'text_search_dictionaries', 'pg_ts_dict', oid from pg_ts_dict
        where dictnamespace in (select oid from inside)
        union all select 'text_search_configurations', 'pg_ts_config', oid from pg_ts_config
        where cfgnamespace in (select oid from inside)
        union all select 'extensions', 'pg_extension', oid from pg_extension
        where extnamespace in (select oid from inside) or exists (select from whole)
        union all select 'casts', 'pg_cast', oid from pg_cast
        where oid >= 16384 and (
            exists (select from whole) or castsource in (select oid from types)
            or casttarget in (select oid from types) or castfunc in (select oid from functions)
        )
        union all select 'transforms', 'pg_transform', oid from pg_transform
        where exists (select from whole) or trftype in (select oid from types)
        union all select 'event_triggers', 'pg_event_trigger', oid from pg_event_trigger
        where exists (select from whole) or evtfoid in (select oid from functions)
        union all select 'publications', 'pg_publication', oid from pg_publication
        where exists (select from whole) or puballtables or exists (
            select from pg_publication_rel part join pg_class rel on rel.oid = part.prrelid
            where part.prpubid = pg_publication.oid and rel.relnamespace in (select oid from inside)
        ) or exists (
            select from pg_depend dep
            where dep.classid = to_regclass('pg_publication_namespace') and dep.refclassid = 'pg_publication'::regclass
                and dep.refobjid = pg_publication.oid
        )
        union all select 'languages', 'pg_language', oid from pg_language
        where (oid >= 16384 or lanname = 'plpgsql') and exists (select from whole)
        union all select 'access_methods', 'pg_am', oid from pg_am where oid >= 16384 and exists (select from whole)
        union all select 'foreign_data_wrappers', 'pg_foreign_data_wrapper', oid from pg_foreign_data_wrapper
        where exists (select from whole)
        union all select 'foreign_servers', 'pg_foreign_server', oid from pg_foreign_server
        where exists (select from whole)
        union all select 'default_privileges', 'pg_default_acl', oid from pg_default_acl
        where defaclnamespace in (select oid from inside) or exists (select from whole)
        union all select 'user mappings (they hold passwords)', 'pg_user_mapping', umid from pg_user_mappings
        where exists (select from whole)
        union all select 'subscriptions (they hold passwords)', 'pg_subscription', oid from pg_subscription
        where exists (select from whole)
            and subdbid = (select oid from pg_database where datname = current_database())
        union all select 'security labels', classoid, objoid from pg_seclabel where exists (select from whole)
    )
    select what, array_agg(oid)
    from found
    where not exists (
        select from pg_depend dep
        where dep.classid = found.class and dep.objid = found.oid and dep.deptype = 'i'
            and found.class in ('pg_proc'::regclass, 'pg_cast'::regclass)
    )
    group by what
"""

# The parameters of the queries of kinds/; one without objects is an empty list.
_NAMES = (
    "access_methods",
    "casts",
    "collations",
    "conversions",
    "default_privileges",
    "event_triggers",
    "extensions",
    "foreign_data_wrappers",
    "foreign_servers",
    "functions",
    "languages",
    "operator_classes",
    "operator_families",
    "operators",
    "publications",
    "schemas",
    "sequences",
    "statistics",
    "text_search_configurations",
    "text_search_dictionaries",
    "text_search_parsers",
    "text_search_templates",
    "transforms",
    "types",
    "views",
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The parameters of the queries of kinds/, their lengths, and the counts of kinds that no query reads."""

    oids: Mapping[str, str]
    counts: Mapping[str, int]
    uncompared: Mapping[str, int]


def read_scope(connection: psycopg.Connection, own: OwnTables | None, schemas: Sequence[str] | None) -> Scope:
    """Return pendingctl's own tables and functions, or with None every object in these schemas, or with None in all."""
    relations = [
        oid
        for oid, schema, table in connection.execute(_RELATIONS, {"bookkeeping": list(BOOKKEEPING_TABLES)})
        if (own is None or (schema, table) in own.compared) and (schemas is None or schema in schemas)
    ]
    found: dict[str, list[int]] = {}
    if own is None:
        parameters = {"named": None if schemas is None else list(schemas)}
        found = {name: list(oids) for name, oids in connection.execute(_SCOPE, parameters)}
    else:
        chosen = {
            "relations": relations,
            "schemas": list(own.functions.values()),
            "functions": list(own.functions),
        }
        for name, oid in connection.execute(_CHOSEN, chosen):
            found.setdefault(name, []).append(oid)
    known = {"relations": relations, **{name: found.get(name, []) for name in _NAMES}}
    return Scope(
        # As text, which the server reads as oids; the driver would send numbers, for which no index can be used.
        {name: "{" + ",".join(map(str, oids)) + "}" for name, oids in known.items()},
        {name: len(oids) for name, oids in known.items()},
        {name: len(oids) for name, oids in found.items() if name not in known},
    )
