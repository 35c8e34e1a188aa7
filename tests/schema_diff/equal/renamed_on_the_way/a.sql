create table t (a int, constraint k check (a > 0));
create index i on t (a);
