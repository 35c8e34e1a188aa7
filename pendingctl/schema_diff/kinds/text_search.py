"""Text search parsers, templates, dictionaries and configurations."""

from __future__ import annotations

from .kind import Kind

_PARSERS = """
    select
        array[nsp.nspname, prs.prsname]::text[] as name,
        prs.oid,
        'text search parser' as definition,
        concat_ws(
            ', ', prs.prsstart::regproc, prs.prstoken::regproc, prs.prsend::regproc, prs.prsheadline::regproc,
            prs.prslextype::regproc
        ) as functions
    from pg_ts_parser prs join pg_namespace nsp on nsp.oid = prs.prsnamespace
    where prs.oid = any(%(text_search_parsers)s)
"""

_TEMPLATES = """
    select
        array[nsp.nspname, tmpl.tmplname]::text[] as name,
        tmpl.oid,
        'text search template' as definition,
        concat_ws(', ', tmpl.tmplinit::regproc, tmpl.tmpllexize::regproc) as functions
    from pg_ts_template tmpl join pg_namespace nsp on nsp.oid = tmpl.tmplnamespace
    where tmpl.oid = any(%(text_search_templates)s)
"""

_DICTIONARIES = """
    select
        array[nsp.nspname, dict.dictname]::text[] as name,
        dict.oid,
        'text search dictionary' as definition,
        (
            select quote_ident(tmpl_nsp.nspname) || '.' || quote_ident(tmpl.tmplname)
            from pg_ts_template tmpl join pg_namespace tmpl_nsp on tmpl_nsp.oid = tmpl.tmplnamespace
            where tmpl.oid = dict.dicttemplate
        ) as template,
        dict.dictinitoption as options
    from pg_ts_dict dict join pg_namespace nsp on nsp.oid = dict.dictnamespace
    where dict.oid = any(%(text_search_dictionaries)s)
"""

_CONFIGURATIONS = """
    select
        array[nsp.nspname, cfg.cfgname]::text[] as name,
        cfg.oid,
        'text search configuration' as definition,
        quote_ident(prs_nsp.nspname) || '.' || quote_ident(prs.prsname) as parser,
        (
            select string_agg(token.alias || ': ' || token.dictionaries, '; ' order by token.alias)
            from (
                select
                    coalesce(kind.alias, map.maptokentype::text) as alias,
                    string_agg(map.mapdict::regdictionary::text, ', ' order by map.mapseqno) as dictionaries
                from pg_ts_config_map map
                left join ts_token_type(cfg.cfgparser) kind on kind.tokid = map.maptokentype
                where map.mapcfg = cfg.oid
                group by 1
            ) token
        ) as mappings
    from pg_ts_config cfg
    join pg_namespace nsp on nsp.oid = cfg.cfgnamespace
    join pg_ts_parser prs on prs.oid = cfg.cfgparser
    join pg_namespace prs_nsp on prs_nsp.oid = prs.prsnamespace
    where cfg.oid = any(%(text_search_configurations)s)
"""

KINDS = (
    Kind("text search parser", "pg_ts_parser", _PARSERS),
    Kind("text search template", "pg_ts_template", _TEMPLATES),
    Kind("text search dictionary", "pg_ts_dict", _DICTIONARIES),
    Kind("text search configuration", "pg_ts_config", _CONFIGURATIONS),
)
