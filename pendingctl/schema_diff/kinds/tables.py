"""Tables, foreign tables and their columns."""

from __future__ import annotations

from .kind import Kind, listed
from .options import column_options, relation_options

_TABLES = f"""
    select
        array[nsp.nspname, rel.relname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        rel.oid,
        case rel.relkind when 'f' then 'foreign table' end as kind,
        case when rel.relispartition then parents.depends_on end as depends_on,
        case rel.relkind when 'p' then 'partitioned table' when 'f' then 'foreign table' else 'table' end as definition,
        case rel.relpersistence when 'u' then 'unlogged' else 'permanent' end as persistence,
        pg_get_partkeydef(rel.oid) as partition_key,
        case when rel.relispartition then parents.names end as partition_of,
        pg_get_expr(rel.relpartbound, rel.oid) as partition_bound,
        case when not rel.relispartition then parents.names end as inherits,
        case when rel.reloftype <> 0 then format_type(rel.reloftype, null) end as of_type,
        am.amname::text as access_method,
        (select quote_ident(spc.spcname) from pg_tablespace spc where spc.oid = rel.reltablespace) as tablespace,
        {relation_options("rel")} as storage_parameters,
        case rel.relreplident
            when 'd' then 'default'
            when 'n' then 'nothing'
            when 'f' then 'full'
            else 'index ' || coalesce((
                select quote_ident(identity.relname)
                from pg_index ind join pg_class identity on identity.oid = ind.indexrelid
                where ind.indrelid = rel.oid and ind.indisreplident
            ), '(dropped)')
        end as replica_identity,
        case when rel.relrowsecurity then 'on' else 'off' end as row_security,
        case when rel.relforcerowsecurity then 'on' else 'off' end as forced_row_security,
        quote_ident(server.srvname) as server,
        {listed("foreign_table.ftoptions")} as server_options
    from pg_class rel
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join pg_am am on am.oid = rel.relam
    left join pg_foreign_table foreign_table on foreign_table.ftrelid = rel.oid
    left join pg_foreign_server server on server.oid = foreign_table.ftserver
    left join lateral (
        select string_agg(
            inh.inhparent::regclass::text || case when inh.inhdetachpending then ' (detach pending)' else '' end,
            ', ' order by inh.inhseqno
        ) as names,
        jsonb_agg(jsonb_build_array('table', parent_nsp.nspname, parent.relname)) as depends_on
        from pg_inherits inh
        join pg_class parent on parent.oid = inh.inhparent
        join pg_namespace parent_nsp on parent_nsp.oid = parent.relnamespace
        where inh.inhrelid = rel.oid
    ) parents on true
    where rel.oid = any(%(relations)s)
"""

# `declared` is the same for all partitions, however they were created. Since 18 NOT NULL has a name; a generated one is
# ignored. It is made of the table and the column, by whatever names they had: one that begins with the column, or that
# has only one part, is a user's. A child's may be its parent's. Where NOT NULL is declared is an attribute
# only if that differs from where its column is declared.
_COLUMNS = f"""
    select
        array[nsp.nspname, rel.relname, att.attname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        att.attrelid as oid,
        att.attnum as subid,
        case when att.attinhcount > 0 then (
            select jsonb_agg(jsonb_build_array('column', parent_nsp.nspname, parent.relname, att.attname))
            from pg_inherits inh
            join pg_class parent on parent.oid = inh.inhparent
            join pg_namespace parent_nsp on parent_nsp.oid = parent.relnamespace
            where inh.inhrelid = rel.oid
        ) end as depends_on,
        concat_ws(
            ' ',
            format_type(att.atttypid, att.atttypmod),
            case when att.attnotnull then 'not null' end,
            case when att.attgenerated = '' then 'default ' || value.expression end
        ) as definition,
        format_type(att.atttypid, att.atttypmod) as type,
        case when not att.attnotnull then 'null' else concat_ws(
            ' ',
            'not null',
            case when not_null.convalidated is false then 'not valid' end,
            case when not_null.connoinherit then 'no inherit' end
        ) end as nullability,
        case
            when not_null.conname ~ '._.+_not_null\\d*$' and (
                starts_with(not_null.conname, rel.relname || '_')
                or not starts_with(not_null.conname, att.attname || '_')
            ) then null
            when exists (
                select from pg_inherits inh
                join pg_attribute above on above.attrelid = inh.inhparent and above.attname = att.attname
                join pg_constraint named on named.conrelid = inh.inhparent and named.contype = 'n'
                    and named.conkey = array[above.attnum]
                where inh.inhrelid = rel.oid and named.conname = not_null.conname
            ) then null
            else quote_ident(not_null.conname)
        end as not_null_name,
        case when not_null.coninhcount > 0 and not_null.conislocal <> att.attislocal and not rel.relispartition
            then case when not_null.conislocal then 'here and by a parent' else 'by a parent' end
        end as not_null_declared,
        obj_description(not_null.oid, 'pg_constraint') as not_null_comment,
        case when att.attgenerated = '' then value.expression end as default,
        -- Since 17 a partition inherits that of its parent; before, it had none.
        case
            when rel.relispartition and current_setting('server_version_num')::integer >= 170000 then null
            when att.attidentity = 'a' then 'always'
            when att.attidentity = 'd' then 'by default'
        end as identity,
        case att.attgenerated
            when 's' then value.expression || ' stored'
            when 'v' then value.expression || ' virtual'
        end as generated,
        case when att.attcollation <> typ.typcollation then att.attcollation::regcollation::text end as collation,
        case att.attcompression when 'p' then 'pglz' when 'l' then 'lz4' end as compression,
        case when att.attstorage <> typ.typstorage then case att.attstorage
            when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended'
        end end as storage,
        nullif(att.attstattarget::integer, -1)::text as statistics_target,
        {column_options("att")} as options,
        {listed("att.attfdwoptions")} as server_options,
        case
            when att.attinhcount = 0 then 'here'
            when att.attislocal then 'here and by a parent'
            else 'by a parent'
        end as declared
    from pg_attribute att
    join pg_class rel on rel.oid = att.attrelid
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    join pg_type typ on typ.oid = att.atttypid
    left join lateral (
        select pg_get_expr(def.adbin, def.adrelid) as expression
        from pg_attrdef def where def.adrelid = att.attrelid and def.adnum = att.attnum
    ) value on true
    left join pg_constraint not_null
        on not_null.conrelid = att.attrelid and not_null.contype = 'n' and not_null.conkey = array[att.attnum]
    where att.attrelid = any(%(relations)s) and att.attnum > 0 and not att.attisdropped
    order by att.attrelid, att.attnum
"""

KINDS = (Kind("table", "pg_class", _TABLES), Kind("column", "pg_class", _COLUMNS))
