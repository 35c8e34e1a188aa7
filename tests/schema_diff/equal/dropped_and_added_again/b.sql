create table t (a int, b text);
alter table t drop column b;
alter table t add column b int;
create index i on t (b);
