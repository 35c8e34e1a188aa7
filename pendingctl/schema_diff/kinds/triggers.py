"""Triggers, rules, policies and event triggers."""

from __future__ import annotations

from ..model import LOADING_ROLE
from .kind import Kind

# A partition's copy of its parent's trigger can be enabled or disabled and have a comment by itself. The bits of tgtype
# are defined in the server's catalog/pg_trigger.h. WHEN refers to two rows, which pg_get_expr cannot print, and is
# taken from the whole definition.
_TRIGGERS = """
    select
        array[nsp.nspname, rel.relname, tg.tgname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        tg.oid,
        pg_get_triggerdef(tg.oid) as definition,
        case when parent.oid is not null then (
            select jsonb_build_array(
                jsonb_build_array('trigger', above_nsp.nspname, above.relname, parent.tgname)
            )
            from pg_class above join pg_namespace above_nsp on above_nsp.oid = above.relnamespace
            where above.oid = parent.tgrelid
        ) end as depends_on,
        case when tg.tgtype & 2 <> 0 then 'before' when tg.tgtype & 64 <> 0 then 'instead of' else 'after' end
            as timing,
        concat_ws(
            ' or ',
            case when tg.tgtype & 4 <> 0 then 'insert' end,
            case when tg.tgtype & 8 <> 0 then 'delete' end,
            case when tg.tgtype & 16 <> 0 then 'update' end,
            case when tg.tgtype & 32 <> 0 then 'truncate' end
        ) as events,
        (
            select string_agg(quote_ident(att.attname), ', ' order by att.attname)
            from unnest(tg.tgattr::smallint[]) key (attnum)
            join pg_attribute att on att.attrelid = tg.tgrelid and att.attnum = key.attnum
        ) as update_columns,
        case when tg.tgtype & 1 <> 0 then 'row' else 'statement' end as level,
        case when tg.tgqual is not null
            then substring(pg_get_triggerdef(tg.oid) from ' WHEN \\((.*)\\) EXECUTE (?:FUNCTION|PROCEDURE) ')
        end as when,
        tg.tgfoid::regproc::text as function,
        (
            select string_agg(
                quote_literal(convert_from(decode(argument, 'hex'), getdatabaseencoding())), ', ' order by position
            )
            -- Each ends with a zero byte.
            from unnest(string_to_array(regexp_replace(encode(tg.tgargs, 'hex'), '(..)', '\\1 ', 'g'), '00 '))
                with ordinality given (argument, position)
            where position <= tg.tgnargs
        ) as arguments,
        case when tg.tgconstraint <> 0 then 'constraint trigger' end as constraint,
        case when tg.tgconstraint <> 0 then
            case when tg.tginitdeferred then 'initially deferred' when tg.tgdeferrable then 'deferrable' else 'no' end
        end as deferrable,
        case when not tg.tgisinternal then obj_description(nullif(tg.tgconstraint, 0), 'pg_constraint') end
            as constraint_comment,
        nullif(tg.tgconstrrelid, 0)::regclass::text as from_table,
        case tg.tgenabled when 'O' then 'enabled' when 'D' then 'disabled' when 'R' then 'replica' else 'always' end
            as enabled,
        tg.tgoldtable::text as old_table,
        tg.tgnewtable::text as new_table
    from pg_trigger tg
    join pg_class rel on rel.oid = tg.tgrelid
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    left join pg_trigger parent on parent.oid = tg.tgparentid
    where tg.tgrelid = any(%(relations)s::oid[] || %(views)s::oid[])
        -- Before 15 a partition's copy counts as internal, as the triggers of a constraint do on all versions.
        and (
            not tg.tgisinternal or tg.tgparentid <> 0 and not exists (
                select from pg_constraint con where con.oid = tg.tgconstraint and con.contype <> 't'
            )
        )
"""

# A rule's condition and action are printed only as part of the whole definition, after its head.
_RULES = """
    select
        array[nsp.nspname, rel.relname, rul.rulename]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        rul.oid,
        pg_get_ruledef(rul.oid) as definition,
        event.name as event,
        case when rul.is_instead then 'instead' else 'also' end as instead,
        parts.found[1] as condition,
        parts.found[2] as action,
        case rul.ev_enabled when 'O' then 'enabled' when 'D' then 'disabled' when 'R' then 'replica' else 'always' end
            as enabled
    from pg_rewrite rul
    join pg_class rel on rel.oid = rul.ev_class
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    join lateral (
        select case rul.ev_type when '1' then 'select' when '2' then 'update' when '3' then 'insert' else 'delete' end
            as name
    ) event on true
    left join lateral (
        select regexp_match(
            substr(
                pg_get_ruledef(rul.oid),
                length(concat(
                    'CREATE RULE ', quote_ident(rul.rulename), ' AS     ON ', event.name, ' TO ', rel.oid::regclass
                )) + 1
            ),
            '^\\s*(?:WHERE (.*?))? DO (?:INSTEAD )?\\s*(.*)$'
        ) as found
    ) parts on true
    where rul.ev_class = any(%(relations)s::oid[] || %(views)s::oid[]) and rul.rulename <> '_RETURN'
"""

_POLICIES = f"""
    select
        array[nsp.nspname, rel.relname, pol.polname]::text[] as name,
        array[nsp.nspname, rel.relname]::text[] as of_table,
        pol.oid,
        concat_ws(
            ' ',
            'policy for', command.name, 'to', roles.names,
            'using (' || pg_get_expr(pol.polqual, pol.polrelid) || ')',
            'with check (' || pg_get_expr(pol.polwithcheck, pol.polrelid) || ')'
        ) as definition,
        command.name as command,
        case when pol.polpermissive then 'permissive' else 'restrictive' end as permissive,
        roles.names as roles,
        pg_get_expr(pol.polqual, pol.polrelid) as using,
        pg_get_expr(pol.polwithcheck, pol.polrelid) as with_check
    from pg_policy pol
    join pg_class rel on rel.oid = pol.polrelid
    join pg_namespace nsp on nsp.oid = rel.relnamespace
    join lateral (
        select case pol.polcmd
            when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all'
        end as name
    ) command on true
    join lateral (
        select string_agg(quote_ident(named.name), ', ' order by named.name) as names
        from unnest(pol.polroles) role
        cross join lateral (
            select case
                when role = 0 then 'public'
                -- The file says CURRENT_USER.
                when pg_get_userbyid(role) = '{LOADING_ROLE}' then coalesce(%(database_owner)s, '{LOADING_ROLE}')
                else pg_get_userbyid(role)::text
            end as name
        ) named
    ) roles on true
    where pol.polrelid = any(%(relations)s)
"""

_EVENT_TRIGGERS = """
    select
        array[evt.evtname]::text[] as name,
        evt.oid,
        'event trigger on ' || evt.evtevent as definition,
        evt.evtevent::text as event,
        (select string_agg(tag, ', ' order by tag) from unnest(evt.evttags) tag) as tags,
        evt.evtfoid::regproc::text as function,
        case evt.evtenabled when 'O' then 'enabled' when 'D' then 'disabled' when 'R' then 'replica' else 'always' end
            as enabled
    from pg_event_trigger evt
    where evt.oid = any(%(event_triggers)s)
"""

KINDS = (
    Kind("trigger", "pg_trigger", _TRIGGERS),
    Kind("rule", "pg_rewrite", _RULES),
    Kind("policy", "pg_policy", _POLICIES),
    Kind("event trigger", "pg_event_trigger", _EVENT_TRIGGERS),
)
