"""Enums, domains, composite, range and base types, and collations."""

from __future__ import annotations

from .kind import Kind

_ENUMS = """
    select
        array[nsp.nspname, typ.typname]::text[] as name,
        typ.oid,
        'enum' as definition,
        (
            select string_agg(quote_literal(label.enumlabel), ', ' order by label.enumsortorder)
            from pg_enum label where label.enumtypid = typ.oid
        ) as labels
    from pg_type typ join pg_namespace nsp on nsp.oid = typ.typnamespace
    where typ.oid = any(%(types)s) and typ.typtype = 'e'
"""

# Since 17 NOT NULL is among the constraints too, with a name that is compared if a user chose it.
_DOMAINS = """
    select
        array[nsp.nspname, typ.typname]::text[] as name,
        array[nsp.nspname, typ.typname]::text[] as of_table,
        typ.oid,
        format_type(typ.typbasetype, typ.typtypmod) as definition,
        format_type(typ.typbasetype, typ.typtypmod) as type,
        case when typ.typnotnull then 'not null' else 'null' end as nullability,
        case when not_null.conname !~ '_not_null\\d*$' then quote_ident(not_null.conname) end as not_null_name,
        obj_description(not_null.oid, 'pg_constraint') as not_null_comment,
        pg_get_expr(typ.typdefaultbin, 0) as default,
        case when typ.typcollation <> base.typcollation then typ.typcollation::regcollation::text end as collation
    from pg_type typ
    join pg_namespace nsp on nsp.oid = typ.typnamespace
    join pg_type base on base.oid = typ.typbasetype
    left join pg_constraint not_null on not_null.contypid = typ.oid and not_null.contype = 'n'
    where typ.oid = any(%(types)s) and typ.typtype = 'd'
"""

_DOMAIN_CHECKS = """
    select
        array[nsp.nspname, typ.typname, con.conname]::text[] as name,
        array[nsp.nspname, typ.typname]::text[] as of_table,
        con.oid,
        pg_get_constraintdef(con.oid) as definition,
        pg_get_expr(con.conbin, 0) as expression,
        case when con.convalidated then 'valid' else 'not valid' end as validity
    from pg_constraint con
    join pg_type typ on typ.oid = con.contypid
    join pg_namespace nsp on nsp.oid = typ.typnamespace
    where con.contypid = any(%(types)s) and con.contype = 'c'
"""

_COMPOSITES = """
    select
        array[nsp.nspname, typ.typname]::text[] as name,
        array[nsp.nspname, typ.typname]::text[] as of_table,
        typ.oid,
        typ.typrelid as relation,
        'composite type' as definition,
        (
            select string_agg(
                concat_ws(
                    ' ',
                    quote_ident(att.attname),
                    format_type(att.atttypid, att.atttypmod),
                    case when att.attcollation <> own.typcollation
                        then 'collate ' || att.attcollation::regcollation::text
                    end
                ),
                ', ' order by att.attnum
            )
            from pg_attribute att join pg_type own on own.oid = att.atttypid
            where att.attrelid = typ.typrelid and att.attnum > 0 and not att.attisdropped
        ) as attributes
    from pg_type typ join pg_namespace nsp on nsp.oid = typ.typnamespace
    where typ.oid = any(%(types)s) and typ.typtype = 'c'
"""

_RANGES = """
    select
        array[nsp.nspname, typ.typname]::text[] as name,
        typ.oid,
        'range of ' || format_type(ran.rngsubtype, null) as definition,
        format_type(ran.rngsubtype, null) as subtype,
        (
            select quote_ident(opc_nsp.nspname) || '.' || quote_ident(opc.opcname)
            from pg_opclass opc join pg_namespace opc_nsp on opc_nsp.oid = opc.opcnamespace
            where opc.oid = ran.rngsubopc
        ) as operator_class,
        case when ran.rngcollation <> sub.typcollation then ran.rngcollation::regcollation::text end as collation,
        nullif(ran.rngcanonical::oid, 0)::regprocedure::text as canonical,
        nullif(ran.rngsubdiff::oid, 0)::regprocedure::text as subtype_difference,
        format_type(ran.rngmultitypid, null) as multirange
    from pg_type typ
    join pg_namespace nsp on nsp.oid = typ.typnamespace
    join pg_range ran on ran.rngtypid = typ.oid
    join pg_type sub on sub.oid = ran.rngsubtype
    where typ.oid = any(%(types)s) and typ.typtype = 'r'
"""

# A shell type is only a name: the first step of creating a base type.
_BASE_TYPES = """
    select
        array[nsp.nspname, typ.typname]::text[] as name,
        typ.oid,
        case when typ.typisdefined then 'base type' else 'shell type' end as definition,
        case when typ.typisdefined then 'yes' else 'no' end as defined,
        nullif(typ.typinput::oid, 0)::regprocedure::text as input,
        nullif(typ.typoutput::oid, 0)::regprocedure::text as output,
        nullif(typ.typreceive::oid, 0)::regprocedure::text as receive,
        nullif(typ.typsend::oid, 0)::regprocedure::text as send,
        nullif(typ.typmodin::oid, 0)::regprocedure::text as modifier_input,
        nullif(typ.typmodout::oid, 0)::regprocedure::text as modifier_output,
        nullif(typ.typanalyze::oid, 0)::regprocedure::text as analyze,
        nullif((to_jsonb(typ) ->> 'typsubscript'), '-') as subscript,
        typ.typlen::text as length,
        typ.typbyval::text as by_value,
        typ.typalign::text as alignment,
        typ.typstorage::text as storage,
        typ.typcategory::text as category,
        typ.typispreferred::text as preferred,
        typ.typdefault as default,
        case when typ.typelem <> 0 then format_type(typ.typelem, null) end as element,
        typ.typdelim::text as delimiter,
        nullif(typ.typcollation, 0)::regcollation::text as collation
    from pg_type typ join pg_namespace nsp on nsp.oid = typ.typnamespace
    where typ.oid = any(%(types)s) and typ.typtype in ('b', 'p')
"""

# Which column has the locale depends on the provider, and changed with 15 and with 17. The version of the provider's
# data depends on the machine, and the encoding cannot be chosen.
_COLLATIONS = """
    select
        array[nsp.nspname, coll.collname]::text[] as name,
        coll.oid,
        'collation' as definition,
        case coll.collprovider
            when 'c' then 'libc' when 'i' then 'icu' when 'b' then 'builtin' else 'default'
        end as provider,
        coalesce(to_jsonb(coll) ->> 'colllocale', to_jsonb(coll) ->> 'colliculocale', coll.collcollate) as locale,
        coalesce(to_jsonb(coll) ->> 'colllocale', to_jsonb(coll) ->> 'colliculocale', coll.collctype) as character_type,
        to_jsonb(coll) ->> 'collicurules' as rules,
        case when coll.collisdeterministic then 'yes' else 'no' end as deterministic
    from pg_collation coll join pg_namespace nsp on nsp.oid = coll.collnamespace
    where coll.oid = any(%(collations)s)
"""

KINDS = (
    Kind("collation", "pg_collation", _COLLATIONS),
    Kind("enum", "pg_type", _ENUMS),
    Kind("domain", "pg_type", _DOMAINS),
    Kind("domain constraint", "pg_constraint", _DOMAIN_CHECKS),
    Kind("composite type", "pg_type", _COMPOSITES, with_columns=True),
    Kind("range type", "pg_type", _RANGES),
    Kind("base type", "pg_type", _BASE_TYPES),
)
