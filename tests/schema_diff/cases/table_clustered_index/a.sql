create table t (a integer);
create index t_a on t (a);
alter table t cluster on t_a;
