create table t (a integer, b text);
create view w as select 1 as a;
