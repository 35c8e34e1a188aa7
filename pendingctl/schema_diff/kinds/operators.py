"""Operators, their classes and families, access methods and conversions."""

from __future__ import annotations

from .kind import Kind

_OPERATORS = """
    select
        array[
            nsp.nspname, opr.oprname,
            '(' || case opr.oprleft when 0 then 'none' else format_type(opr.oprleft, null) end
                || ', ' || format_type(opr.oprright, null) || ')'
        ]::text[] as name,
        opr.oid,
        'operator' as definition,
        nullif(opr.oprcode::oid, 0)::regprocedure::text as function,
        case when opr.oprresult <> 0 then format_type(opr.oprresult, null) end as result,
        nullif(opr.oprcom, 0)::regoperator::text as commutator,
        nullif(opr.oprnegate, 0)::regoperator::text as negator,
        nullif(opr.oprrest::oid, 0)::regprocedure::text as restrict,
        nullif(opr.oprjoin::oid, 0)::regprocedure::text as join,
        case when opr.oprcanmerge then 'yes' else 'no' end as merges,
        case when opr.oprcanhash then 'yes' else 'no' end as hashes
    from pg_operator opr join pg_namespace nsp on nsp.oid = opr.oprnamespace
    where opr.oid = any(%(operators)s)
"""

# The members of an operator family.
_MEMBERS = """
    join lateral (
        select
            (
                select string_agg(
                    amo.amopstrategy || ' ' || amo.amopopr::regoperator::text || coalesce(' for order by ' || (
                        select quote_ident(sort_nsp.nspname) || '.' || quote_ident(sort.opfname)
                        from pg_opfamily sort join pg_namespace sort_nsp on sort_nsp.oid = sort.opfnamespace
                        where sort.oid = amo.amopsortfamily
                    ), ''),
                    ', ' order by amo.amopstrategy, amo.amopopr::regoperator::text
                )
                from pg_amop amo where amo.amopfamily = opf.oid
            ) as operators,
            (
                select string_agg(
                    amp.amprocnum || ' ' || amp.amproc::regprocedure::text || ' for '
                        || format_type(amp.amproclefttype, null) || ', ' || format_type(amp.amprocrighttype, null),
                    '; ' order by amp.amprocnum, amp.amproc::regprocedure::text, amp.amproclefttype::regtype::text,
                        amp.amprocrighttype::regtype::text
                )
                from pg_amproc amp where amp.amprocfamily = opf.oid
            ) as functions
    ) members on true
"""

# A class created without a family has one of the same name, whose members are attributes of the class.
_CLASSES = (
    """
    select
        array[nsp.nspname, opc.opcname, '(' || am.amname || ')']::text[] as name,
        opc.oid,
        'operator class for ' || format_type(opc.opcintype, null) as definition,
        format_type(opc.opcintype, null) as type,
        case when opc.opcdefault then 'yes' else 'no' end as default,
        case when opc.opckeytype <> 0 then format_type(opc.opckeytype, null) end as storage,
        quote_ident(opf_nsp.nspname) || '.' || quote_ident(opf.opfname) as family,
        case when (opf.opfname, opf.opfnamespace) = (opc.opcname, opc.opcnamespace) then members.operators end
            as operators,
        case when (opf.opfname, opf.opfnamespace) = (opc.opcname, opc.opcnamespace) then members.functions end
            as functions
    from pg_opclass opc
    join pg_namespace nsp on nsp.oid = opc.opcnamespace
    join pg_am am on am.oid = opc.opcmethod
    join pg_opfamily opf on opf.oid = opc.opcfamily
    join pg_namespace opf_nsp on opf_nsp.oid = opf.opfnamespace
"""
    + _MEMBERS
    + """
    where opc.oid = any(%(operator_classes)s)
"""
)

_FAMILIES = (
    """
    select
        array[nsp.nspname, opf.opfname, '(' || am.amname || ')']::text[] as name,
        opf.oid,
        'operator family' as definition,
        members.operators,
        members.functions
    from pg_opfamily opf
    join pg_namespace nsp on nsp.oid = opf.opfnamespace
    join pg_am am on am.oid = opf.opfmethod
"""
    + _MEMBERS
    + """
    where opf.oid = any(%(operator_families)s)
        and not exists (
            select from pg_opclass opc
            where opc.opcfamily = opf.oid and opc.opcname = opf.opfname and opc.opcnamespace = opf.opfnamespace
        )
"""
)

_ACCESS_METHODS = """
    select
        array[am.amname]::text[] as name,
        am.oid,
        'access method' as definition,
        case am.amtype when 'i' then 'index' else 'table' end as type,
        am.amhandler::oid::regprocedure::text as handler
    from pg_am am
    where am.oid = any(%(access_methods)s)
"""

_CONVERSIONS = """
    select
        array[nsp.nspname, con.conname]::text[] as name,
        con.oid,
        'conversion' as definition,
        pg_encoding_to_char(con.conforencoding)::text as from,
        pg_encoding_to_char(con.contoencoding)::text as to,
        con.conproc::oid::regprocedure::text as function,
        case when con.condefault then 'yes' else 'no' end as default
    from pg_conversion con join pg_namespace nsp on nsp.oid = con.connamespace
    where con.oid = any(%(conversions)s)
"""

KINDS = (
    Kind("access method", "pg_am", _ACCESS_METHODS),
    Kind("operator", "pg_operator", _OPERATORS),
    Kind("operator family", "pg_opfamily", _FAMILIES),
    Kind("operator class", "pg_opclass", _CLASSES),
    Kind("conversion", "pg_conversion", _CONVERSIONS),
)
