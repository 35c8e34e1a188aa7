create table t (id int, a int);
alter table t add check (a > 0);
alter table t add unique (a);
alter table t add primary key (id);
