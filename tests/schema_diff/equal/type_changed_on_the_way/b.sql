create table t (a int);
alter table t alter a type bigint, alter a set default 0, alter a set not null;
