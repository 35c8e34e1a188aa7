create table t (a integer, b text);
create view v as select 1 as a;
