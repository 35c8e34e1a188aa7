create table a (x int not null default 3);
create table t (like a including all);
