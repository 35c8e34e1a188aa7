"""The options by which objects are compared: those that a user can set.

A server may keep entries of its own in the same arrays. Debian's PostgreSQL 15.20 adds a number (`pg_attver`) to every
column, which differs between equal tables and is left out by its pg_dump. The catalogs do not say whose an entry is,
hence the names that the manual documents. server_options.py lists what is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

# ALTER TABLE … ALTER COLUMN … SET
COLUMN_OPTIONS = ("n_distinct", "n_distinct_inherited")
# CREATE TABLE and CREATE MATERIALIZED VIEW, PostgreSQL 14 to 18; those of the TOAST table are among them.
TABLE_OPTIONS = (
    "autovacuum_analyze_scale_factor",
    "autovacuum_analyze_threshold",
    "autovacuum_enabled",
    "autovacuum_freeze_max_age",
    "autovacuum_freeze_min_age",
    "autovacuum_freeze_table_age",
    "autovacuum_multixact_freeze_max_age",
    "autovacuum_multixact_freeze_min_age",
    "autovacuum_multixact_freeze_table_age",
    "autovacuum_vacuum_cost_delay",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_insert_scale_factor",
    "autovacuum_vacuum_insert_threshold",
    "autovacuum_vacuum_max_threshold",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "fillfactor",
    "log_autovacuum_min_duration",
    "parallel_workers",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_index_cleanup",
    "vacuum_max_eager_freeze_failure_rate",
    "vacuum_truncate",
)
# CREATE INDEX
INDEX_OPTIONS = (
    "autosummarize",
    "buffering",
    "deduplicate_items",
    "fastupdate",
    "fillfactor",
    "gin_pending_list_limit",
    "pages_per_range",
)
# CREATE VIEW
VIEW_OPTIONS = ("check_option", "security_barrier", "security_invoker")

# What pg_settings does not show, or not to every role, and a function can set.
_HIDDEN_SETTINGS = (
    "dynamic_library_path",
    "extension_control_path",
    "role",
    "seed",
    "session_authorization",
    "session_preload_libraries",
)


def is_documented(option: str, names: Sequence[str]) -> str:
    """Return the SQL condition that an entry, `name=value`, has one of these names."""
    return f"split_part({option}, '=', 1) in ({_quoted(names)})"


def is_setting(option: str) -> str:
    """Return the SQL condition that an entry, `name=value`, names a setting of this server or of an extension."""
    return f"""(
        split_part({option}, '=', 1) ~ '\\.' or {is_documented(option, _HIDDEN_SETTINGS)}
        or lower(split_part({option}, '=', 1)) in (select lower(setting.name) from pg_settings setting)
    )"""


def of_relation(option: str, relation: str) -> str:
    """Return the SQL condition that a user can set an entry on this row of pg_class.

    An access method of an extension has options of its own, which are all a user's.
    """
    return f"""(
        exists (
            select from pg_am method where method.oid = {relation}.relam and method.oid >= 16384
        ) or case
            when {relation}.relkind in ('i', 'I') then {is_documented(option, INDEX_OPTIONS)}
            when {relation}.relkind = 'v' then {is_documented(option, VIEW_OPTIONS)}
            else {is_documented(option, TABLE_OPTIONS)}
        end
    )"""


def relation_options(relation: str) -> str:
    """Return the SQL that lists the options of this row of pg_class that a user can set, in alphabetical order.

    Those of its TOAST table are among them.
    """
    return f"""case when {relation}.reloptions is not null or {relation}.reltoastrelid <> 0 then (
            select string_agg(option, ', ' order by option)
            from (
                select option from unnest({relation}.reloptions) option where {of_relation("option", relation)}
                union all
                select 'toast.' || option from pg_class toast cross join lateral unnest(toast.reloptions) option
                where toast.oid = {relation}.reltoastrelid and {of_relation("option", "toast")}
            ) options (option)
        ) end"""


def index_definition(oid: str, relation: str) -> str:
    """Return the SQL for pg_get_indexdef, without options that a user cannot set."""
    return f"""case
            when not exists (
                select from unnest({relation}.reloptions) option where not {of_relation("option", relation)}
            ) then pg_get_indexdef({oid})
            else regexp_replace(
                pg_get_indexdef({oid}),
                ' WITH \\(.*?\\)(?= TABLESPACE | WHERE |$)',
                coalesce(' WITH (' || (
                    -- As pg_get_indexdef writes them (flatten_reloptions in the server's ruleutils.c).
                    select string_agg(
                        quote_ident(name) || '=' || case quote_ident(value) when value then value
                            else quote_literal(value)
                        end,
                        ', ' order by position
                    )
                    from unnest({relation}.reloptions) with ordinality entry (option, position),
                        split_part(option, '=', 1) name, substr(option, length(name) + 2) value
                    where {of_relation("option", relation)}
                ) || ')', '')
            )
        end"""


def column_options(column: str) -> str:
    """Return the SQL that lists the options of this row of pg_attribute that a user can set, in alphabetical order."""
    return f"""case when {column}.attoptions is not null then (
            select string_agg(option, ', ' order by option)
            from unnest({column}.attoptions) option where {is_documented("option", COLUMN_OPTIONS)}
        ) end"""


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
