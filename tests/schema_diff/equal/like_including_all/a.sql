create table a (x int not null default 3);
create table t (x int not null default 3);
