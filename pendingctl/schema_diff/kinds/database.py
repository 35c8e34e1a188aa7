"""Schemas, extensions, publications, foreign servers and their wrappers, default privileges."""

from __future__ import annotations

from .kind import Kind, listed

_SCHEMAS = """
    select array[nsp.nspname]::text[] as name, nsp.oid, 'schema' as definition
    from pg_namespace nsp
    where nsp.oid = any(%(schemas)s)
"""

_EXTENSIONS = """
    select
        array[ext.extname]::text[] as name,
        ext.oid,
        'extension' as definition,
        ext.extnamespace::regnamespace::text as schema,
        ext.extversion as version
    from pg_extension ext
    where ext.oid = any(%(extensions)s)
"""

# Only the part of a publication that is in the compared schemas. 14 lacks prattrs and prqual, whose names then lead to
# `absent`, and pg_publication_namespace, whose rows are therefore found through pg_depend.
_PUBLICATIONS = """
    select
        array[pub.pubname]::text[] as name,
        pub.oid,
        'publication' as definition,
        case when pub.puballtables then 'yes' else 'no' end as all_tables,
        concat_ws(
            ', ',
            case when pub.pubinsert then 'insert' end,
            case when pub.pubupdate then 'update' end,
            case when pub.pubdelete then 'delete' end,
            case when pub.pubtruncate then 'truncate' end
        ) as operations,
        case when pub.pubviaroot then 'yes' else 'no' end as via_partition_root,
        case to_jsonb(pub) ->> 'pubgencols' when 's' then 'stored' else 'none' end as generated_columns,
        (
            select string_agg(
                rel.prrelid::regclass::text
                    || coalesce(' (' || (
                        select string_agg(quote_ident(att.attname), ', ' order by att.attname)
                        from unnest(prattrs::smallint[]) key (attnum)
                        join pg_attribute att on att.attrelid = rel.prrelid and att.attnum = key.attnum
                    ) || ')', '')
                    || coalesce(' where ' || pg_get_expr(prqual, rel.prrelid), ''),
                ', ' order by rel.prrelid::regclass::text
            )
            from pg_publication_rel rel where rel.prpubid = pub.oid and rel.prrelid = any(%(relations)s)
        ) as tables,
        (
            select string_agg(part.refobjid::regnamespace::text, ', ' order by part.refobjid::regnamespace::text)
            from pg_depend dep join pg_depend part on part.classid = dep.classid and part.objid = dep.objid
            where dep.classid = to_regclass('pg_publication_namespace')
                and dep.refclassid = 'pg_publication'::regclass and dep.refobjid = pub.oid
                and part.refclassid = 'pg_namespace'::regclass and part.refobjid = any(%(schemas)s)
        ) as schemas
    from pg_publication pub
    cross join (select null::int2vector as prattrs, null::pg_node_tree as prqual) absent
    where pub.oid = any(%(publications)s)
"""

_WRAPPERS = f"""
    select
        array[fdw.fdwname]::text[] as name,
        fdw.oid,
        'foreign-data wrapper' as definition,
        nullif(fdw.fdwhandler, 0)::regprocedure::text as handler,
        nullif(fdw.fdwvalidator, 0)::regprocedure::text as validator,
        {listed("fdw.fdwoptions")} as options
    from pg_foreign_data_wrapper fdw
    where fdw.oid = any(%(foreign_data_wrappers)s)
"""

_SERVERS = f"""
    select
        array[srv.srvname]::text[] as name,
        srv.oid,
        'server' as definition,
        quote_ident(fdw.fdwname) as wrapper,
        srv.srvtype as type,
        srv.srvversion as version,
        {listed("srv.srvoptions")} as options
    from pg_foreign_server srv join pg_foreign_data_wrapper fdw on fdw.oid = srv.srvfdw
    where srv.oid = any(%(foreign_servers)s)
"""

# The privileges that future objects will have. They are read with all other grants.
_DEFAULT_PRIVILEGES = """
    select
        array_remove(array[
            case
                when pg_get_userbyid(acl.defaclrole) in ('pg_database_owner', %(database_owner)s)
                    or acl.defaclrole = (select datdba from pg_database where datname = current_database())
                then '(database owner)'
                else pg_get_userbyid(acl.defaclrole)::text
            end,
            nsp.nspname::text,
            case acl.defaclobjtype
                when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types'
                when 'n' then 'schemas' else 'large objects'
            end
        ], null) as name,
        acl.oid,
        'default privileges' as definition
    from pg_default_acl acl left join pg_namespace nsp on nsp.oid = acl.defaclnamespace
    where acl.oid = any(%(default_privileges)s)
"""

KINDS = (
    Kind("schema", "pg_namespace", _SCHEMAS),
    Kind("extension", "pg_extension", _EXTENSIONS, optional={"version": "extension_versions"}),
    Kind("foreign-data wrapper", "pg_foreign_data_wrapper", _WRAPPERS),
    Kind("foreign server", "pg_foreign_server", _SERVERS),
    Kind("publication", "pg_publication", _PUBLICATIONS),
    Kind("default privileges", "pg_default_acl", _DEFAULT_PRIVILEGES, option="privileges"),
)
