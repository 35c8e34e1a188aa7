create table t (a int);
grant usage on type t to pg_monitor;
