"""Functions, procedures, aggregates, languages, casts and transforms."""

from __future__ import annotations

from .kind import Kind, listed
from .options import is_setting

# The argument types are part of a function's name. For C code, the body is the symbol and `library` the file.
_FUNCTIONS = f"""
    select
        array[nsp.nspname, pro.proname, '(' || oidvectortypes(pro.proargtypes) || ')']::text[] as name,
        case pro.prokind when 'p' then 'procedure' end as kind,
        pro.oid,
        concat_ws(' ', '(' || pg_get_function_arguments(pro.oid) || ')', 'returns ' || pg_get_function_result(pro.oid))
            as definition,
        pg_get_function_arguments(pro.oid) as arguments,
        pg_get_function_result(pro.oid) as result,
        case when pro.prokind = 'w' then 'yes' end as window,
        quote_ident(lan.lanname) as language,
        coalesce(pg_get_function_sqlbody(pro.oid), pro.prosrc) as body,
        case when pg_get_function_sqlbody(pro.oid) is null then 'string' else 'sql' end as body_form,
        pro.probin as library,
        case pro.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end as volatility,
        case when pro.proisstrict then 'strict' else 'called on null input' end as strictness,
        case when pro.prosecdef then 'definer' else 'invoker' end as security,
        case when pro.proleakproof then 'leakproof' else 'not leakproof' end as leakproof,
        case pro.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end as parallel,
        pro.procost::text as cost,
        case when pro.proretset then pro.prorows::text end as rows,
        nullif(pro.prosupport::oid, 0)::regprocedure::text as support,
        {listed(f"array(select each from unnest(pro.proconfig) each where {is_setting('each')})")} as settings,
        (select string_agg(format_type(typ, null), ', ') from unnest(pro.protrftypes) typ) as transforms
    from pg_proc pro
    join pg_namespace nsp on nsp.oid = pro.pronamespace
    join pg_language lan on lan.oid = pro.prolang
    where pro.oid = any(%(functions)s) and pro.prokind <> 'a'
"""

_AGGREGATES = """
    select
        array[nsp.nspname, pro.proname, '(' || oidvectortypes(pro.proargtypes) || ')']::text[] as name,
        pro.oid,
        '(' || pg_get_function_arguments(pro.oid) || ') returns ' || pg_get_function_result(pro.oid) as definition,
        pg_get_function_arguments(pro.oid) as arguments,
        pg_get_function_result(pro.oid) as result,
        case agg.aggkind when 'n' then 'normal' when 'o' then 'ordered-set' else 'hypothetical-set' end as form,
        agg.aggnumdirectargs::text as direct_arguments,
        agg.aggtransfn::regprocedure::text as state_function,
        format_type(agg.aggtranstype, null) as state_type,
        agg.aggtransspace::text as state_size,
        agg.agginitval as initial_value,
        nullif(agg.aggfinalfn::oid, 0)::regprocedure::text as final_function,
        case when agg.aggfinalextra then 'yes' else 'no' end as final_extra_arguments,
        case agg.aggfinalmodify when 'r' then 'no' when 's' then 'shareable' else 'yes' end as final_modifies,
        nullif(agg.aggcombinefn::oid, 0)::regprocedure::text as combine_function,
        nullif(agg.aggserialfn::oid, 0)::regprocedure::text as serial_function,
        nullif(agg.aggdeserialfn::oid, 0)::regprocedure::text as deserial_function,
        nullif(agg.aggmtransfn::oid, 0)::regprocedure::text as moving_state_function,
        nullif(agg.aggminvtransfn::oid, 0)::regprocedure::text as moving_inverse_function,
        nullif(agg.aggmfinalfn::oid, 0)::regprocedure::text as moving_final_function,
        case when agg.aggmfinalextra then 'yes' else 'no' end as moving_final_extra_arguments,
        case agg.aggmfinalmodify when 'r' then 'no' when 's' then 'shareable' else 'yes' end as moving_final_modifies,
        case when agg.aggmtranstype <> 0 then format_type(agg.aggmtranstype, null) end as moving_state_type,
        agg.aggmtransspace::text as moving_state_size,
        agg.aggminitval as moving_initial_value,
        nullif(agg.aggsortop, 0)::regoperator::text as sort_operator,
        case pro.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end as parallel
    from pg_proc pro
    join pg_namespace nsp on nsp.oid = pro.pronamespace
    join pg_aggregate agg on agg.aggfnoid = pro.oid
    where pro.oid = any(%(functions)s)
"""

_LANGUAGES = """
    select
        array[lan.lanname]::text[] as name,
        lan.oid,
        'language' as definition,
        case when lan.lanpltrusted then 'trusted' else 'untrusted' end as trust,
        nullif(lan.lanplcallfoid, 0)::regprocedure::text as handler,
        nullif(lan.laninline, 0)::regprocedure::text as inline,
        nullif(lan.lanvalidator, 0)::regprocedure::text as validator
    from pg_language lan
    where lan.oid = any(%(languages)s)
"""

_CASTS = """
    select
        array['(' || format_type(cas.castsource, null) || ' as ' || format_type(cas.casttarget, null) || ')'] as name,
        cas.oid,
        'cast' as definition,
        case cas.castmethod when 'f' then 'function' when 'i' then 'inout' else 'binary' end as method,
        nullif(cas.castfunc, 0)::regprocedure::text as function,
        case cas.castcontext when 'e' then 'explicit' when 'a' then 'assignment' else 'implicit' end as context
    from pg_cast cas
    where cas.oid = any(%(casts)s)
"""

_TRANSFORMS = """
    select
        array['(' || format_type(trf.trftype, null) || ' for ' || quote_ident(lan.lanname) || ')']::text[] as name,
        trf.oid,
        'transform' as definition,
        nullif(trf.trffromsql::oid, 0)::regprocedure::text as from_sql,
        nullif(trf.trftosql::oid, 0)::regprocedure::text as to_sql
    from pg_transform trf join pg_language lan on lan.oid = trf.trflang
    where trf.oid = any(%(transforms)s)
"""

KINDS = (
    Kind("language", "pg_language", _LANGUAGES),
    Kind("function", "pg_proc", _FUNCTIONS),
    Kind("aggregate", "pg_proc", _AGGREGATES),
    Kind("cast", "pg_cast", _CASTS),
    Kind("transform", "pg_transform", _TRANSFORMS),
)
