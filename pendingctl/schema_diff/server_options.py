"""Lists the options that are left out of the comparison, since no user can have set them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psycopg

from .kinds.options import COLUMN_OPTIONS, is_documented, is_setting, of_relation

_SERVER_OPTIONS = f"""
    with compared as (
        select rel.* from pg_class rel where rel.oid = any(%(relations)s::oid[] || %(views)s::oid[])
    ), stored as (
        select compared.* from compared
        union all select index.*
        from pg_class index join pg_index ind on ind.indexrelid = index.oid join compared on compared.oid = ind.indrelid
        union all select toast.* from pg_class toast join compared on compared.reltoastrelid = toast.oid
    ), found (what, option) as (
        select 'columns', option
        from compared join pg_attribute att on att.attrelid = compared.oid and att.attnum > 0 and not att.attisdropped
        cross join unnest(att.attoptions) option
        where not {is_documented("option", COLUMN_OPTIONS)}
        union all
        select 'relations', option from stored cross join lateral unnest(stored.reloptions) option
        where not {of_relation("option", "stored")}
        union all
        select 'functions', option from pg_proc pro cross join lateral unnest(pro.proconfig) option
        where pro.oid = any(%(functions)s) and not {is_setting("option")}
    )
    select what, split_part(option, '=', 1), count(*)::integer from found group by 1, 2 order by 1, 2
"""


def read_server_options(connection: psycopg.Connection, oids: Mapping[str, str]) -> Mapping[str, int]:
    """Return what the server itself keeps on the compared objects, as "pg_attver of columns", with its count."""
    found = connection.execute(_SERVER_OPTIONS.encode(), oids).fetchall()
    return {f"{name} of {what}": count for what, name, count in found}


def left_out(side: str, options: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each of a side's options that was left out."""
    for what, count in options.items():
        yield f"{side}: {what} ({count}) is no option that a user can set, and was left out"
