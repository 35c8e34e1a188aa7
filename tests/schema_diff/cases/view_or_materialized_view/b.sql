create table t (a integer, b text);
create materialized view v as select 1 as a;
