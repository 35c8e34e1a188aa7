create table t (a integer, b text);
alter table t alter a set (n_distinct_inherited = 7, n_distinct = 5);
create materialized view m as select a, b from t;
alter materialized view m alter a set (n_distinct = 5);
-- PostgreSQL 15.20 of Debian keeps such a number for every column; it differs between equal tables.
update pg_attribute set attoptions = array_append(attoptions, 'pg_attver=7')
where attrelid in ('t'::regclass, 'm'::regclass) and attnum > 0;
