"""Constraints and indexes of tables."""

from __future__ import annotations

from .kind import Kind, generated_name
from .options import index_definition, relation_options

# Without NOT NULL, which is in this catalog since 18 and an attribute of the column on every version, and without the
# rows of a foreign key to each partition of the table that it references: they follow from the foreign key itself, with
# names that depend on the order in which the partitions were created.
_CONSTRAINTS = f"""
    select
        array[nsp.nspname, rel.relname, con.conname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        con.oid,
        pg_get_constraintdef(con.oid) as definition,
        keys.names as columns,
        case when con.coninhcount > 0 then (
            select jsonb_agg(jsonb_build_array('constraint', parent_nsp.nspname, parent.relname, above.conname))
            from pg_inherits inh
            join pg_class parent on parent.oid = inh.inhparent
            join pg_namespace parent_nsp on parent_nsp.oid = parent.relnamespace
            join pg_constraint above on above.conrelid = parent.oid
            where inh.inhrelid = rel.oid
                and (above.oid = con.conparentid or (above.contype = 'c' and above.conname = con.conname))
        ) end as depends_on,
        case con.contype
            when 'f' then
                con.conname = upper.conname
                or (starts_with(con.conname, rel.relname || '_') and con.conname ~ '_fkey\\d*$')
            else {generated_name("case con.contype when 'p' then 'pkey' when 'u' then 'key' else 'excl' end")}
        end as has_generated_name,
        case con.contype
            when 'p' then 'primary key' when 'u' then 'unique' when 'c' then 'check'
            when 'f' then 'foreign key' else 'exclusion'
        end as type,
        case when con.contype in ('p', 'u', 'f') then keys.listed end as key_columns,
        case when con.contype = 'c' then pg_get_expr(con.conbin, con.conrelid) end as expression,
        case when con.contype = 'f' then con.confrelid::regclass::text || ' (' || (
            select string_agg(quote_ident(att.attname), ', ' order by key.position)
            from unnest(con.confkey) with ordinality key (attnum, position)
            join pg_attribute att on att.attrelid = con.confrelid and att.attnum = key.attnum
        ) || ')' end as references,
        case con.confmatchtype when 's' then 'simple' when 'f' then 'full' when 'p' then 'partial' end as match,
        action.update as on_update,
        case when con.contype = 'f' then concat_ws(' ', action.delete, (
            select '(' || string_agg(quote_ident(att.attname), ', ' order by att.attname) || ')'
            from jsonb_array_elements_text(nullif(constraint_row.fields -> 'confdelsetcols', 'null')) key (attnum)
            join pg_attribute att on att.attrelid = con.conrelid and att.attnum = key.attnum::smallint
        )) end as on_delete,
        case when con.condeferred then 'initially deferred' when con.condeferrable then 'deferrable' else 'no' end
            as deferrable,
        case when con.convalidated then 'valid' else 'not valid' end as validity,
        case when constraint_row.fields ->> 'conenforced' = 'false' then 'not enforced' end as enforcement,
        case when constraint_row.fields ->> 'conperiod' = 'true' then 'yes' end as period,
        case when con.contype = 'c' and con.connoinherit then 'no inherit' end as inheritance,
        case
            when con.contype <> 'c' then null
            when con.coninhcount = 0 then 'here'
            when con.conislocal then 'here and by a parent'
            else 'by a parent'
        end as declared,
        case when index_row.fields ->> 'indnullsnotdistinct' = 'true' then 'not distinct' end as nulls,
        case when ind.indnatts > ind.indnkeyatts then (
            select string_agg(pg_get_indexdef(ind.indexrelid, position, false), ', ' order by position)
            from generate_series(ind.indnkeyatts + 1, ind.indnatts) position
        ) end as include,
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
        {relation_options("index")} as storage_parameters,
        (select quote_ident(spc.spcname) from pg_tablespace spc where spc.oid = index.reltablespace) as tablespace,
        case when index.relispartition then (
            select inh.inhparent::regclass::text from pg_inherits inh where inh.inhrelid = index.oid
        ) end as attached_to,
        -- Only an exclusion constraint can have an expression, and only an expression a target.
        case when con.contype = 'x' then (
            select string_agg(own.attnum || ': ' || nullif(own.attstattarget::integer, -1), ', ' order by own.attnum)
            from pg_attribute own where own.attrelid = index.oid
        ) end as statistics_targets,
        -- The effect of ALTER TABLE ... DISABLE TRIGGER ALL on a foreign key, on either table.
        (
            select string_agg(distinct
                case tg.tgenabled when 'D' then 'disabled' when 'R' then 'replica' else 'always' end
                    || ' on ' || tg.tgrelid::regclass::text,
                ', '
            )
            from pg_trigger tg where tg.tgconstraint = con.oid and tg.tgisinternal and tg.tgenabled <> 'O'
        ) as triggers,
        case when ind.indisclustered then 'yes' end as clustered,
        (
            select com.description from pg_description com
            where com.classoid = 'pg_class'::regclass and com.objoid = index.oid and com.objsubid = 0
        ) as index_comment,
        (
            select string_agg(ext.extname, ', ' order by ext.extname)
            from pg_depend dep join pg_extension ext on ext.oid = dep.refobjid
            where dep.classid = 'pg_class'::regclass and dep.objid = index.oid and dep.deptype = 'x'
                and dep.refclassid = 'pg_extension'::regclass
        ) as index_depends_on_extensions
    from pg_constraint con
    join pg_class rel on rel.oid = con.conrelid
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join pg_constraint upper on upper.oid = con.conparentid
    left join pg_index ind on ind.indexrelid = con.conindid and con.contype in ('p', 'u', 'x')
    left join pg_class index on index.oid = ind.indexrelid
    left join pg_am am on am.oid = index.relam
    -- Of each row once: the trees of expressions in it are long. OFFSET keeps the planner from inserting it everywhere.
    cross join lateral (select to_jsonb(con) as fields offset 0) constraint_row
    left join lateral (select to_jsonb(ind) as fields where ind.indexrelid is not null offset 0) index_row on true
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
        and (con.contype <> 'f' or con.conparentid = 0 or con.conrelid <> upper.conrelid)
"""

# Without the indexes of constraints, which are compared with those. Attributes of single keys are listed with the
# key's position, and only if they are not the default or, for a collation, that of the column.
_INDEXES = f"""
    select
        array[nsp.nspname, index.relname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        ind.indexrelid as oid,
        {index_definition("ind.indexrelid", "index")} as definition,
        keys.names as columns,
        case when index.relispartition then (
            select jsonb_agg(jsonb_build_array('index', parent_nsp.nspname, parent.relname))
            from pg_inherits inh
            join pg_class parent on parent.oid = inh.inhparent
            join pg_namespace parent_nsp on parent_nsp.oid = parent.relnamespace
            where inh.inhrelid = index.oid
        ) end as depends_on,
        {generated_name("'idx'")} as has_generated_name,
        rel.oid::regclass::text as table,
        am.amname::text as method,
        keys.listed as keys,
        keys.operator_classes as operator_classes,
        keys.operator_class_options as operator_class_options,
        keys.collations as collations,
        keys.directions as directions,
        case when ind.indnatts > ind.indnkeyatts then (
            select string_agg(pg_get_indexdef(ind.indexrelid, position, false), ', ' order by position)
            from generate_series(ind.indnkeyatts + 1, ind.indnatts) position
        ) end as include,
        pg_get_expr(ind.indpred, ind.indrelid) as predicate,
        case when ind.indisunique then 'yes' else 'no' end as unique,
        case when to_jsonb(ind) ->> 'indnullsnotdistinct' = 'true' then 'not distinct' end as nulls,
        case when not ind.indisvalid then 'invalid' when not ind.indisready then 'not ready' else 'valid' end
            as validity,
        {relation_options("index")} as storage_parameters,
        (select quote_ident(spc.spcname) from pg_tablespace spc where spc.oid = index.reltablespace) as tablespace,
        case when index.relispartition then (
            select inh.inhparent::regclass::text from pg_inherits inh where inh.inhrelid = index.oid
        ) end as attached_to,
        keys.statistics_targets as statistics_targets,
        case when ind.indisclustered then 'yes' end as clustered
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
                position || ': ' || (
                    select string_agg(option, ', ' order by option)
                    from unnest(own.attoptions) option where option !~ '^pg_'
                ),
                '; ' order by position
            ) as operator_class_options,
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
    where ind.indrelid = any(%(relations)s::oid[] || %(views)s::oid[])
        and not exists (
            select from pg_constraint con where con.conindid = ind.indexrelid and con.contype in ('p', 'u', 'x')
        )
"""

KINDS = (Kind("constraint", "pg_constraint", _CONSTRAINTS), Kind("index", "pg_class", _INDEXES))
