create table t (a int);
alter table t set (fillfactor = 70);
