"""The kinds of objects that are compared, each a query on pg_catalog. A new kind is a new entry here.

Every query gives `name`, `of_table` and `definition`, may give `columns` (see model.CatalogObject), and each
further column is an attribute under that name, null where the object has none of it. All run under
`search_path = pg_catalog`, so that the deparsers and `::regclass` print every other name with its schema, and on
PostgreSQL 14 and later: a catalog column that one of these lacks is read through to_jsonb, where it is null.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object; `%(relations)s` in its query are the oids of the tables that are compared."""

    name: str
    query: str


_TABLES = """
    select
        array[nsp.nspname, rel.relname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        case rel.relkind when 'p' then 'partitioned table' else 'table' end as definition,
        case rel.relpersistence when 'u' then 'unlogged' else 'permanent' end as persistence,
        pg_get_partkeydef(rel.oid) as partition_key,
        case when rel.relispartition then parents.names end as partition_of,
        pg_get_expr(rel.relpartbound, rel.oid) as partition_bound,
        case when not rel.relispartition then parents.names end as inherits,
        case when rel.reloftype <> 0 then format_type(rel.reloftype, null) end as of_type,
        am.amname::text as access_method,
        (
            select string_agg(option, ', ' order by option)
            from (
                select unnest(rel.reloptions)
                union all
                select 'toast.' || unnest(toast.reloptions) from pg_class toast where toast.oid = rel.reltoastrelid
            ) as options (option)
        ) as storage_parameters,
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
        case when rel.relforcerowsecurity then 'on' else 'off' end as forced_row_security
    from pg_class rel
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join pg_am am on am.oid = rel.relam
    left join lateral (
        select string_agg(
            inh.inhparent::regclass::text || case when inh.inhdetachpending then ' (detach pending)' else '' end,
            ', ' order by inh.inhseqno
        ) as names
        from pg_inherits inh where inh.inhrelid = rel.oid
    ) parents on true
    where rel.oid = any(%(relations)s)
"""

# A column of a partition is never declared by the partition itself, however that was made.
_COLUMNS = """
    select
        array[nsp.nspname, rel.relname, att.attname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
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
        case when att.attgenerated = '' then value.expression end as default,
        case att.attidentity when 'a' then 'always' when 'd' then 'by default' end as identity,
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
        (select string_agg(option, ', ' order by option) from unnest(att.attoptions) option) as options,
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

# Left out are NOT NULL, which 18 lists here and a column's nullability tells on every version, and the rows with
# which the server keeps track of a foreign key that touches partitions: they follow from the foreign key itself,
# under names that depend on the order in which the partitions came.
_CONSTRAINTS = """
    select
        array[nsp.nspname, rel.relname, con.conname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        pg_get_constraintdef(con.oid) as definition,
        keys.names as columns,
        case con.contype
            when 'p' then 'primary key' when 'u' then 'unique' when 'c' then 'check'
            when 'f' then 'foreign key' else 'exclusion'
        end as type,
        case when con.contype in ('p', 'u', 'f') then keys.listed end as key_columns,
        case when con.contype = 'c' then pg_get_expr(con.conbin, con.conrelid) end as expression,
        con.confrelid::regclass::text || ' (' || (
            select string_agg(quote_ident(att.attname), ', ' order by key.position)
            from unnest(con.confkey) with ordinality key (attnum, position)
            join pg_attribute att on att.attrelid = con.confrelid and att.attnum = key.attnum
        ) || ')' as references,
        case con.confmatchtype when 's' then 'simple' when 'f' then 'full' when 'p' then 'partial' end as match,
        action.update as on_update,
        concat_ws(' ', action.delete, (
            select '(' || string_agg(quote_ident(att.attname), ', ' order by att.attname) || ')'
            from jsonb_array_elements_text(nullif(to_jsonb(con) -> 'confdelsetcols', 'null')) key (attnum)
            join pg_attribute att on att.attrelid = con.conrelid and att.attnum = key.attnum::smallint
        )) as on_delete,
        case when con.condeferred then 'initially deferred' when con.condeferrable then 'deferrable' else 'no' end
            as deferrable,
        case when con.convalidated then 'valid' else 'not valid' end as validity,
        case when to_jsonb(con) ->> 'conenforced' = 'false' then 'not enforced' end as enforcement,
        case when to_jsonb(con) ->> 'conperiod' = 'true' then 'yes' end as period,
        case when con.contype = 'c' and con.connoinherit then 'no inherit' end as inheritance,
        case
            when con.contype <> 'c' then null
            when con.coninhcount = 0 then 'here'
            when con.conislocal then 'here and by a parent'
            else 'by a parent'
        end as declared,
        case when to_jsonb(ind) ->> 'indnullsnotdistinct' = 'true' then 'not distinct' end as nulls,
        (
            select string_agg(pg_get_indexdef(ind.indexrelid, position, false), ', ' order by position)
            from generate_series(ind.indnkeyatts + 1, ind.indnatts) position
        ) as include,
        case when con.contype = 'x' then (
            select string_agg(
                pg_get_indexdef(ind.indexrelid, key.position::integer, false) || ' with '
                    || key.operator::regoperator::text,
                ', ' order by key.position
            )
            from unnest(con.conexclop) with ordinality key (operator, position)
        ) end as elements,
        case when con.contype = 'x' then am.amname::text end as method,
        pg_get_expr(ind.indpred, ind.indrelid) as predicate,
        (select string_agg(option, ', ' order by option) from unnest(index.reloptions) option)
            as storage_parameters,
        (select inh.inhparent::regclass::text from pg_inherits inh where inh.inhrelid = index.oid) as attached_to
    from pg_constraint con
    join pg_class rel on rel.oid = con.conrelid
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join pg_index ind on ind.indexrelid = con.conindid and con.contype in ('p', 'u', 'x')
    left join pg_class index on index.oid = ind.indexrelid
    left join pg_am am on am.oid = index.relam
    left join lateral (
        select
            array_agg(att.attname::text order by key.position) as names,
            string_agg(quote_ident(att.attname), ', ' order by key.position) as listed
        from unnest(con.conkey) with ordinality key (attnum, position)
        left join pg_attribute att on att.attrelid = con.conrelid and att.attnum = key.attnum and key.attnum <> 0
    ) keys on true
    left join lateral (
        select
            case con.confupdtype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
                when 'n' then 'set null' when 'd' then 'set default' end as update,
            case con.confdeltype when 'a' then 'no action' when 'r' then 'restrict' when 'c' then 'cascade'
                when 'n' then 'set null' when 'd' then 'set default' end as delete
        where con.contype = 'f'
    ) action on true
    where con.conrelid = any(%(relations)s)
        and con.contype in ('p', 'u', 'c', 'f', 'x')
        and not (con.contype = 'f' and con.conparentid <> 0)
"""

# An index that a constraint made is the constraint's business. What is said key by key stands with the key's
# position, and only where it is not the default or, for a collation, the column's own, which the column tells.
_INDEXES = """
    select
        array[nsp.nspname, index.relname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        pg_get_indexdef(ind.indexrelid) as definition,
        keys.names as columns,
        rel.oid::regclass::text as table,
        am.amname::text as method,
        keys.listed as keys,
        keys.operator_classes as operator_classes,
        keys.collations as collations,
        keys.directions as directions,
        (
            select string_agg(pg_get_indexdef(ind.indexrelid, position, false), ', ' order by position)
            from generate_series(ind.indnkeyatts + 1, ind.indnatts) position
        ) as include,
        pg_get_expr(ind.indpred, ind.indrelid) as predicate,
        case when ind.indisunique then 'yes' else 'no' end as unique,
        case when to_jsonb(ind) ->> 'indnullsnotdistinct' = 'true' then 'not distinct' end as nulls,
        case when not ind.indisvalid then 'invalid' when not ind.indisready then 'not ready' else 'valid' end
            as validity,
        (select string_agg(option, ', ' order by option) from unnest(index.reloptions) option)
            as storage_parameters,
        (select inh.inhparent::regclass::text from pg_inherits inh where inh.inhrelid = index.oid) as attached_to,
        keys.statistics_targets as statistics_targets
    from pg_index ind
    join pg_class index on index.oid = ind.indexrelid
    join pg_class rel on rel.oid = ind.indrelid
    join pg_namespace nsp on nsp.oid = index.relnamespace
    join pg_am am on am.oid = index.relam
    left join lateral (
        select
            array_agg(att.attname::text order by position) as names,
            string_agg(pg_get_indexdef(ind.indexrelid, position, false), ', ' order by position) as listed,
            string_agg(
                position || ': ' || quote_ident(opc_nsp.nspname) || '.' || quote_ident(opc.opcname),
                ', ' order by position
            ) filter (where not opc.opcdefault) as operator_classes,
            string_agg(
                position || ': ' || ind.indcollation[position - 1]::regcollation::text, ', ' order by position
            ) filter (where ind.indcollation[position - 1] not in (0, coalesce(att.attcollation, 0))) as collations,
            string_agg(
                position || case ind.indoption[position - 1] & 3
                    when 1 then ': desc nulls last' when 2 then ': asc nulls first' else ': desc' end,
                ', ' order by position
            ) filter (where ind.indoption[position - 1] & 3 <> 0) as directions,
            string_agg(
                position || ': ' || nullif(own.attstattarget::integer, -1), ', ' order by position
            ) as statistics_targets
        from generate_series(1, ind.indnkeyatts) position
        left join pg_attribute att on att.attrelid = ind.indrelid and att.attnum = ind.indkey[position - 1]
            and att.attnum <> 0
        left join pg_attribute own on own.attrelid = ind.indexrelid and own.attnum = position
        left join pg_opclass opc on opc.oid = ind.indclass[position - 1]
        left join pg_namespace opc_nsp on opc_nsp.oid = opc.opcnamespace
    ) keys on true
    where ind.indrelid = any(%(relations)s)
        and not exists (
            select from pg_constraint con where con.conindid = ind.indexrelid and con.contype in ('p', 'u', 'x')
        )
"""

KINDS = (
    Kind("table", _TABLES),
    Kind("column", _COLUMNS),
    Kind("constraint", _CONSTRAINTS),
    Kind("index", _INDEXES),
)
