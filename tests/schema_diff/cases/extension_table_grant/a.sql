create table t (a int, b int);
alter extension plpgsql add table t;
grant select on t to pg_monitor;
