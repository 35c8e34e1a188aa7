"""Views, materialized views, sequences and statistics objects."""

from __future__ import annotations

from .kind import Kind
from .options import column_options, relation_options

# The rows of a materialized view are data, and so is whether it was ever refreshed.
_VIEWS = f"""
    select
        array[nsp.nspname, rel.relname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        case rel.relkind when 'm' then 'materialized view' end as kind,
        rel.oid,
        pg_get_viewdef(rel.oid) as definition,
        (
            select jsonb_agg(case read.relkind
                when 'v' then jsonb_build_array('view', read_nsp.nspname, read.relname)
                when 'm' then jsonb_build_array('materialized view', read_nsp.nspname, read.relname)
                else jsonb_build_array('column', read_nsp.nspname, read.relname, att.attname)
            end)
            from pg_rewrite rule
            join pg_depend dep on dep.classid = 'pg_rewrite'::regclass and dep.objid = rule.oid
                and dep.refclassid = 'pg_class'::regclass and dep.refobjid <> rel.oid
            join pg_attribute att on att.attrelid = dep.refobjid and att.attnum = dep.refobjsubid
            join pg_class read on read.oid = dep.refobjid
            join pg_namespace read_nsp on read_nsp.oid = read.relnamespace
            where rule.ev_class = rel.oid
        ) as depends_on,
        {relation_options("rel")} as options,
        (
            select string_agg(
                quote_ident(att.attname) || ' ' || format_type(att.atttypid, att.atttypmod)
                    || case when att.attcollation <> typ.typcollation
                        then ' collate ' || att.attcollation::regcollation::text else ''
                    end,
                ', ' order by att.attnum
            )
            from pg_attribute att join pg_type typ on typ.oid = att.atttypid
            where att.attrelid = rel.oid and att.attnum > 0 and not att.attisdropped
        ) as columns_and_types,
        (
            select string_agg(
                quote_ident(att.attname) || ': ' || pg_get_expr(def.adbin, def.adrelid), ', ' order by att.attnum
            )
            from pg_attrdef def
            join pg_attribute att on att.attrelid = def.adrelid and att.attnum = def.adnum
            where def.adrelid = rel.oid
        ) as column_defaults,
        (
            select string_agg(
                quote_ident(att.attname) || ': ' || concat_ws(
                    ', ',
                    'statistics ' || nullif(att.attstattarget::integer, -1),
                    case when att.attstorage <> typ.typstorage then 'storage ' || att.attstorage::text end,
                    'compression ' || nullif(att.attcompression::text, ''),
                    {column_options("att")}
                ),
                '; ' order by att.attnum
            )
            from pg_attribute att join pg_type typ on typ.oid = att.atttypid
            where att.attrelid = rel.oid and att.attnum > 0 and not att.attisdropped
                and (
                    nullif(att.attstattarget::integer, -1) is not null or att.attstorage <> typ.typstorage
                    or att.attcompression <> '' or {column_options("att")} is not null
                )
        ) as column_settings,
        am.amname::text as access_method,
        (select quote_ident(spc.spcname) from pg_tablespace spc where spc.oid = rel.reltablespace) as tablespace,
        case rel.relreplident when 'f' then 'full' when 'n' then case rel.relkind when 'm' then 'nothing' end end
            as replica_identity
    from pg_class rel
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join pg_am am on am.oid = rel.relam
    where rel.oid = any(%(views)s)
"""

# The sequence of a serial or identity column belongs to the column's table: it exists only with the column.
_SEQUENCES = """
    select
        array[nsp.nspname, rel.relname]::text[] as name,
        case when owner.column is not null then array[owner.schema, owner.table]::text[] end as of_table,
        case when owner.column is not null then array[owner.column]::text[] end as columns,
        case when owner.column is not null
            then jsonb_build_array(jsonb_build_array('column', owner.schema, owner.table, owner.column))
        end as depends_on,
        rel.oid,
        'sequence' as definition,
        case rel.relpersistence when 'u' then 'unlogged' else 'permanent' end as persistence,
        format_type(seq.seqtypid, null) as type,
        seq.seqstart::text as start,
        seq.seqincrement::text as increment,
        seq.seqmin::text as minimum,
        seq.seqmax::text as maximum,
        seq.seqcache::text as cache,
        case when seq.seqcycle then 'cycle' else 'no cycle' end as cycle,
        case owner.deptype when 'i' then 'identity of ' else '' end
            || owner.relation || '.' || quote_ident(owner.column) as owned_by
    from pg_sequence seq
    join pg_class rel on rel.oid = seq.seqrelid
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join lateral (
        select tab_nsp.nspname as schema, tab.relname as table, att.attname as column, dep.deptype,
            tab.oid::regclass::text as relation
        from pg_depend dep
        join pg_class tab on tab.oid = dep.refobjid
        join pg_namespace tab_nsp on tab_nsp.oid = tab.relnamespace
        join pg_attribute att on att.attrelid = tab.oid and att.attnum = dep.refobjsubid
        where dep.classid = 'pg_class'::regclass and dep.objid = rel.oid and dep.objsubid = 0
            and dep.refclassid = 'pg_class'::regclass and dep.refobjsubid > 0 and dep.deptype in ('a', 'i')
    ) owner on true
    where rel.oid = any(%(sequences)s)
"""

_STATISTICS = """
    select
        array[nsp.nspname, stx.stxname]::text[] as name,
        array[tab_nsp.nspname, tab.relname]::text[] as of_table,
        stx.oid,
        pg_get_statisticsobjdef(stx.oid) as definition,
        stx.stxrelid::regclass::text as table,
        (
            select string_agg(
                case kind when 'd' then 'ndistinct' when 'f' then 'dependencies' when 'm' then 'mcv'
                    else 'expressions' end,
                ', ' order by kind
            )
            from unnest(stx.stxkind) kind
        ) as statistics,
        pg_get_statisticsobjdef_columns(stx.oid) as keys,
        nullif(stx.stxstattarget::integer, -1)::text as target
    from pg_statistic_ext stx
    join pg_namespace nsp on nsp.oid = stx.stxnamespace
    join pg_class tab on tab.oid = stx.stxrelid
    join pg_namespace tab_nsp on tab_nsp.oid = tab.relnamespace
    where stx.stxrelid = any(%(relations)s::oid[] || %(views)s::oid[])
"""

KINDS = (
    Kind("sequence", "pg_class", _SEQUENCES, with_columns=True),
    Kind("view", "pg_class", _VIEWS, with_columns=True, with_definition=True),
    Kind("statistics object", "pg_statistic_ext", _STATISTICS),
)
