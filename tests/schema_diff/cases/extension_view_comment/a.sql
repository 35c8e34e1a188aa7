create extension pg_stat_statements;
comment on view pg_stat_statements is 'the slow ones';
